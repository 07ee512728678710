use super::*;

fn events(chunks: &[&[u8]]) -> (Vec<String>, bool) {
    let mut seen = Vec::new();
    let mut scanner = Scanner::default();
    let mut keep = |event: Event<'_>| seen.push(String::from_utf8_lossy(event.data).into_owned());
    for chunk in chunks {
        scanner.push(chunk, &mut keep);
    }
    let unfinished = scanner.finish(&mut keep);
    (seen, unfinished)
}

#[test]
fn every_line_ending_ends_an_event() {
    for stream in ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"] {
        assert_eq!(events(&[stream.as_bytes()]), (vec!["a".into(), "b".into()], false), "{stream:?}");
    }
}

#[test]
fn an_event_is_reported_with_the_byte_that_ends_it() {
    let stream = b"data: a\r\n\r\n";
    let mut scanner = Scanner::default();
    let mut ends = Vec::new();
    for (at, byte) in stream.iter().enumerate() {
        scanner.push(&[*byte], |_| ends.push(at));
    }
    // The second CR ends it: nothing waits for the LF, which may never come.
    assert_eq!(ends, [9]);
    assert!(scanner.is_between_events());
}

#[test]
fn ranges_are_offsets_in_the_stream() {
    let mut seen = Vec::new();
    let mut scanner = Scanner::default();
    for chunk in [&b": hi\n\nevent: x\nda"[..], b"ta: 1\n\ndata: 2\n", b"data:3\n\n"] {
        scanner.push(chunk, |event| seen.push((event.range.clone(), event.data.to_vec())));
    }
    assert_eq!(seen, [(6..24, b"1".to_vec()), (24..40, b"2\n3".to_vec())]);
}

#[test]
fn a_last_event_without_a_blank_line_is_reported() {
    assert_eq!(events(&[b"data: a\n\ndata: [DO", b"NE]"]), (vec!["a".into(), "[DONE]".into()], true));
    assert_eq!(events(&[b"data: a\n\n: keep-alive\n"]), (vec!["a".into()], true));
}

#[test]
fn an_event_beyond_the_limit_is_opaque_and_costs_no_memory() {
    let mut scanner = Scanner::new(64);
    let mut seen = Vec::new();
    scanner.push(b"data: ", |_| panic!("no event has ended"));
    for _ in 0..1000 {
        scanner.push(&[b'x'; 50], |_| panic!("no event has ended"));
        assert!(scanner.carry.capacity() <= 128);
    }
    scanner.push(b"\n\ndata: next\n\n", |event| seen.push(event.data.to_vec()));
    assert_eq!(seen, [b"next"]);
}

/// Pushes the chunks through a filter that drops events whose data is `drop`, and returns what leaves with each chunk.
fn relay(filter: &mut Filter, chunks: &[&'static [u8]]) -> Vec<Vec<Bytes>> {
    let push = |chunk: &&'static [u8]| {
        let mut out = Vec::new();
        let judge = |event: &Event<'_>| if event.data == b"drop" { Verdict::Drop } else { Verdict::Keep };
        filter.push(&Bytes::from_static(chunk), judge, &mut out);
        out
    };
    chunks.iter().map(push).collect()
}

#[test]
fn what_is_kept_leaves_at_once_and_uncopied() {
    const WHOLE: &[u8] = b"data: a\n\n: note\n\ndata: b\n\n";
    let mut filter = Filter::default();
    let out = relay(&mut filter, &[WHOLE, b"data: a\n\ndata: drop\n\ndata: b\n\n", b"data: dr", b"op\n\ndata: c\n\n"]);
    assert_eq!(out[0], [WHOLE]);
    assert_eq!(out[0][0].as_ptr(), WHOLE.as_ptr());
    assert_eq!(out[1], ["data: a\n\n", "data: b\n\n"]);
    assert_eq!(out[2..], [vec![], vec![Bytes::from_static(b"data: c\n\n")]]);
    assert!(filter.is_between_events());
}

#[test]
fn an_opaque_event_leaves_as_it_comes() {
    let mut filter = Filter::new(8);
    let out = relay(&mut filter, &[b"data: 1", b"23456", b"789", b"\n\ndata: x", b"\n\n"]);
    let out: Vec<_> = out.iter().map(|bytes| bytes.concat()).collect();
    assert_eq!(out, [&b""[..], b"data: 123456", b"789", b"\n\n", b"data: x\n\n"]);
}

#[test]
fn data_is_replaced_within_its_lines() {
    let rewrite = |stream: &'static [u8], cut: usize| {
        let (mut filter, mut out) = (Filter::default(), Vec::new());
        let judge = |_: &Event<'_>| Verdict::ReplaceData(Bytes::from_static(b"NEW"));
        for chunk in [&stream[..cut], &stream[cut..]] {
            filter.push(&Bytes::from_static(chunk), judge, &mut out);
        }
        filter.finish(judge, &mut out);
        String::from_utf8(out.concat()).unwrap()
    };
    for cut in 0..26 {
        assert_eq!(rewrite(b": c\r\nid:7\r\ndata: old\r\nx\r\n\r\n", cut), ": c\r\nid:7\r\ndata: NEW\r\nx\r\n\r\n");
        assert_eq!(rewrite(b"event: e\ndata: o\ndata: ld\n\n", cut), "event: e\ndata: NEW\n\n");
    }
}

/// Found by fuzzing.
#[test]
fn an_event_written_anew_keeps_a_name_that_is_no_text() {
    let (mut filter, mut out) = (Filter::default(), Vec::new());
    let stream = Bytes::from_static(b"event: \xE9\ndata: a\ndata: b\n\n");
    filter.push(&stream, |_| Verdict::ReplaceData(Bytes::from_static(b"NEW")), &mut out);
    assert_eq!(out.concat(), b"event: \xE9\ndata: NEW\n\n");
}
