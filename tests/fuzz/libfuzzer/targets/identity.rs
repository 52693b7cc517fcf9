//! A library file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::identity::file(data));
