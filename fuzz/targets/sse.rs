//! Any bytes as an event stream; the first four say how it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (cuts, stream) = data.split_at(data.len().min(4));
    openai::fuzzing::sse(stream, cuts);
});
