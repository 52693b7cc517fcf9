//! A datagram of PPT/1.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::protocol::datagram(data));
