//! What a handler queues.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| polyport::exchange::fuzz::outputs(data));
