//! Datagrams and ICMP at a client that searches for the path MTU.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_fuzz::replies::path_mtu(data));
