//! A file that `polyport replay` reads.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::captures::file(data));
