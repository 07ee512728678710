//! Any bytes as a request body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| openai::fuzzing::body(data));
