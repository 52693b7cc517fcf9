//! Control messages of the kernel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport_net::fuzz::control_messages(data));
