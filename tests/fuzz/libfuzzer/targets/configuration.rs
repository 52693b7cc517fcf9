//! The text of `polyport.toml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::configuration::toml(data));
