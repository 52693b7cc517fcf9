//! The text of an option's value.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::values::text(data));
