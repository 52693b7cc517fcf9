//! Datagrams to be recorded.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_listener_handler::fuzz::recording(data));
