//! Decision logs, as `polyport-plot` reads and draws them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::plot::log(data));
