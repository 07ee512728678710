//! Any lines as the events of a stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let events: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    openai::fuzzing::meter(&events);
});
