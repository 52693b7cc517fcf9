//! Arguments of `--listen`, one a line.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::configuration::specs(data));
