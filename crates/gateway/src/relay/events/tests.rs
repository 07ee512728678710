use proptest::prelude::*;

use super::*;

const STREAM: &str = concat!(
    ": hello\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
);

const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";

const HIDE: HideUsage = HideUsage { last: true, continuous: false };

fn run(hide: HideUsage, chunks: &[&[u8]]) -> (String, u32, Seen) {
    let mut events = Events::new(hide);
    let mut out = Outgoing::new();
    let mut tokens = 0;
    let mut count = |came: Tokens| tokens += came.first + came.rest;
    for chunk in chunks {
        count(events.push(Bytes::copy_from_slice(chunk), &mut out));
    }
    count(events.finish(&mut out));
    let text = out.iter().flatten().copied().collect();
    (String::from_utf8(text).unwrap(), tokens, events.seen())
}

fn split<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

#[test]
fn an_untouched_stream_leaves_chunk_by_chunk_as_it_came() {
    let mut events = Events::new(HideUsage::default());
    let mut out = Outgoing::new();
    let (first, second) = STREAM.split_at(40);
    events.push(Bytes::from_static(first.as_bytes()), &mut out);
    events.push(Bytes::from_static(second.as_bytes()), &mut out);
    assert_eq!(out, [first, second]);
}

#[test]
fn half_an_event_that_went_out_is_ended_before_an_error() {
    let mut events = Events::new(HideUsage::default());
    let mut out = Outgoing::new();
    events.push(Bytes::from_static(b"data: {\"cho"), &mut out);
    events.abort(Bytes::from_static(b"event: error\n\n"), &mut out);
    assert_eq!(out, ["data: {\"cho", "\n\n", "event: error\n\n"]);
    assert!(!events.seen().is_whole());
}

#[test]
fn half_an_event_that_was_held_back_is_dropped_before_an_error() {
    let mut events = Events::new(HIDE);
    let mut out = Outgoing::new();
    events.push(Bytes::from_static(b": a\n\ndata: {\"cho"), &mut out);
    events.abort(Bytes::from_static(b"event: error\n\n"), &mut out);
    assert_eq!(out, [": a\n\n", "\n\n", "event: error\n\n"]);
}

#[test]
fn half_an_event_at_the_end_of_a_stream_is_no_part_of_it() {
    for (hide, want) in [(HIDE, vec!["\n\n", "error"]), (HideUsage::default(), vec!["data: {\"cho", "\n\n", "error"])] {
        let mut events = Events::new(hide);
        let mut out = Outgoing::new();
        events.push(Bytes::from_static(b"data: {\"cho"), &mut out);
        events.finish(&mut out);
        events.abort(Bytes::from_static(b"error"), &mut out);
        assert_eq!(out, want);
    }
}

#[test]
fn a_last_event_without_its_blank_line_counts() {
    let (text, _, seen) = run(HIDE, &[b"data: {\"choices\":[]}\n\ndata: [DONE]"]);
    assert!(seen.done);
    assert!(text.ends_with("data: [DONE]"));
}

#[test]
fn an_error_event_of_the_coordinator_ends_a_stream_too() {
    for stream in ["event: error\ndata: {}\n\n", "data: {\"error\":{\"message\":\"x\"}}\n\n"] {
        let (_, _, seen) = run(HIDE, &[stream.as_bytes()]);
        assert!(seen.error && seen.is_whole(), "{stream}");
    }
    let (_, _, seen) = run(HIDE, &[b"data: garbage\n\n"]);
    assert!(!seen.is_whole());
}

proptest! {
    #[test]
    fn usage_is_hidden_and_read_however_the_stream_is_cut(cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let (text, tokens, seen) = run(HIDE, &split(STREAM.as_bytes(), &cuts));
        prop_assert_eq!(text, STREAM.replace(USAGE, ""));
        prop_assert_eq!(tokens, 2);
        let usage = seen.usage.unwrap();
        prop_assert_eq!((usage.prompt_tokens, usage.completion_tokens), (3, 2));
        prop_assert!(seen.done && seen.finished && !seen.error);
    }

    #[test]
    fn a_stream_that_is_only_looked_at_keeps_every_byte(cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let (text, tokens, seen) = run(HideUsage::default(), &split(STREAM.as_bytes(), &cuts));
        prop_assert_eq!(text, STREAM);
        prop_assert_eq!(tokens, 2);
        prop_assert!(seen.is_whole());
    }
}

#[test]
fn events_that_come_at_once_are_counted_apart() {
    let two = "data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"index\":0,\"text\":\"b\",\"token_ids\":[1,2]}]}\n\n";
    let mut events = Events::new(HideUsage::default());
    let tokens = events.push(Bytes::from_static(two.as_bytes()), &mut Outgoing::new());
    assert_eq!(tokens.first, 1);
    assert!(tokens.rest >= 2);
}
