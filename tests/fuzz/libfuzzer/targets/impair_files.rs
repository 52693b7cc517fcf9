//! A distribution, or a trace of rates or delays.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::impair::files(data));
