use super::*;

fn data_of(chunks: &[&[u8]]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut scanner = Scanner::default();
    let mut keep = |event: Event<'_>| seen.push(String::from_utf8_lossy(event.data).into_owned());
    for chunk in chunks {
        scanner.push(chunk, &mut keep);
    }
    scanner.finish(&mut keep);
    seen
}

#[test]
fn every_line_ending_ends_an_event() {
    for stream in ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"] {
        assert_eq!(data_of(&[stream.as_bytes()]), ["a", "b"], "{stream:?}");
    }
}
