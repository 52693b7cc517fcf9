//! Datagrams at a client with open requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::replies::requests(data));
