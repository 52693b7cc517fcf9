//! Datagrams at the STAMP reflector.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::stamp::packets(data));
