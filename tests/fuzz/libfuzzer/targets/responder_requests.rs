//! Datagrams at the responder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::responder::requests(data));
