//! The codec without sockets: however a response is cut into reads, and whatever it says, the outcome is the same.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;

use super::head::{HeadReader, Scanned};
use super::inbox::{Inbox, Item};
use super::malformed::Malformed;

const LIMIT: usize = 64 << 10;

/// All that a reader of a response can see.
#[derive(Debug, PartialEq)]
struct Seen {
    head: Option<(StatusCode, HeaderMap, bool)>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    end: Seal,
}

#[derive(Debug, PartialEq)]
enum Seal {
    /// Over, and whether the connection may serve again.
    Whole {
        clean: bool,
    },
    CutOff,
    Bad(Malformed),
}

/// Reads a response that arrives in `pieces` and is then closed.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, to_head: bool) -> Seen {
    let mut heads = HeadReader::new(LIMIT);
    heads.expect(to_head);
    let mut seen = Seen { head: None, body: Vec::new(), trailers: None, end: Seal::CutOff };
    let mut inbox: Option<Inbox> = None;
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        let mut piece = piece.to_vec();
        match &mut inbox {
            Some(inbox) => inbox.feed(&mut piece),
            None => match heads.take(&mut piece) {
                Scanned::Whole(head, body) => {
                    let (parts, ()) = head.response.into_parts();
                    seen.head = Some((parts.status, parts.headers, head.keep_alive));
                    inbox = Some(body);
                }
                Scanned::Partial => continue,
                Scanned::Bad(fault) => return Seen { end: Seal::Bad(fault), ..seen },
                Scanned::Closed => unreachable!("pieces have bytes"),
            },
        }
        if let Some(inbox) = &mut inbox
            && take(inbox, &mut seen)
        {
            return seen;
        }
    }
    if let Some(inbox) = &mut inbox
        && inbox.close()
    {
        take(inbox, &mut seen);
    }
    seen
}

/// Takes what there is; whether that was the end.
fn take(inbox: &mut Inbox, seen: &mut Seen) -> bool {
    loop {
        match inbox.next() {
            Item::Frame(frame) => match frame.into_data() {
                Ok(data) => seen.body.extend_from_slice(&data),
                Err(frame) => seen.trailers = frame.into_trailers().ok(),
            },
            Item::Starved => return false,
            Item::End => {
                seen.end = Seal::Whole { clean: inbox.is_clean() };
                return true;
            }
            Item::Bad(fault) => {
                seen.end = Seal::Bad(fault);
                return true;
            }
        }
    }
}

fn whole(response: &str) -> Seen {
    read([response.as_bytes()], false)
}

fn fault(response: &str) -> Malformed {
    match whole(response).end {
        Seal::Bad(fault) => fault,
        end => panic!("{response:?} was taken: {end:?}"),
    }
}

#[test]
fn two_readings_of_a_length_are_refused() {
    let cases = [
        ("content-length: 3\r\ncontent-length: 4", Malformed::ContentLength),
        ("content-length: 3, 4", Malformed::ContentLength),
        ("content-length: +3", Malformed::ContentLength),
        ("content-length: 3,", Malformed::ContentLength),
        ("content-length: 0x3", Malformed::ContentLength),
        ("content-length:", Malformed::ContentLength),
        ("content-length: 18446744073709551616", Malformed::ContentLength),
        ("content-length: 3\r\ntransfer-encoding: chunked", Malformed::TwoLengths),
        ("transfer-encoding: gzip", Malformed::TransferEncoding),
        ("transfer-encoding: gzip, chunked", Malformed::TransferEncoding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", Malformed::TransferEncoding),
        ("transfer-encoding: xchunked", Malformed::TransferEncoding),
    ];
    for (fields, expected) in cases {
        assert_eq!(fault(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nabc")), expected, "{fields}");
    }
    assert_eq!(fault("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), Malformed::TransferEncoding);
}

#[test]
fn equal_lengths_are_one() {
    let seen = whole("HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\ncontent-length: 3\r\n\r\nabc");
    let (_, headers, keep_alive) = seen.head.as_ref().unwrap();
    assert_eq!(headers.get_all("content-length").iter().collect::<Vec<_>>(), ["3"]);
    assert!(*keep_alive);
    assert_eq!((seen.body.as_slice(), seen.end), (&b"abc"[..], Seal::Whole { clean: true }));
}

#[test]
fn bytes_behind_the_end_spoil_the_connection() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcd",
        "HTTP/1.1 204 No Content\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\r\n\r\nx",
    ] {
        assert_eq!(whole(response).end, Seal::Whole { clean: false }, "{response}");
    }
}

#[test]
fn connections_are_kept_by_version_and_word() {
    for (head, kept) in [
        ("HTTP/1.1 200 OK", true),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close", false),
        ("HTTP/1.0 200 OK", false),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive", true),
    ] {
        let seen = whole(&format!("{head}\r\ncontent-length: 0\r\n\r\n"));
        assert_eq!(seen.head.unwrap().2, kept, "{head}");
    }
}

#[test]
fn heads_that_are_none_are_refused_early() {
    for start in ["\x16\x03\x01\x02", "HTTP/2", "SSH-2.0", "\r\nHTTP/1.1 200 OK\r\n\r\n"] {
        assert_eq!(fault(start), Malformed::NotHttp, "{start:?}");
    }
    assert_eq!(fault("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), Malformed::Upgrade);
    assert!(matches!(fault("HTTP/1.1 200 OK\r\na : b\r\n\r\n"), Malformed::Head(_)), "a space before the colon");
    assert!(matches!(fault("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n"), Malformed::Head(_)), "a folded line");
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(LIMIT));
    assert_eq!(fault(&endless), Malformed::HeadTooLong { limit: LIMIT });
}

#[test]
fn chunks_are_read_strictly() {
    let body = |chunks: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    for (chunks, expected) in [
        ("\r\n", Malformed::ChunkSize),
        ("-1\r\n", Malformed::ChunkSize),
        ("0x1\r\n", Malformed::ChunkSize),
        ("1\na\r\n", Malformed::ChunkSize),
        ("1\rXa\r\n", Malformed::ChunkSize),
        ("00000000000000001\r\n", Malformed::ChunkSize),
        ("1;a\nb\r\na\r\n", Malformed::ChunkExtension),
        ("1\r\nabc", Malformed::ChunkEnd),
        ("1\r\na\nx", Malformed::ChunkEnd),
        ("0\r\nno colon\r\n\r\n", Malformed::Trailers),
    ] {
        assert_eq!(fault(&body(chunks)), expected, "{chunks:?}");
    }
    assert_eq!(fault(&body(&format!("1;{}", "x".repeat(20 << 10)))), Malformed::ChunkExtension);
    assert_eq!(fault(&body(&format!("0\r\nx: {}", "x".repeat(20 << 10)))), Malformed::Trailers);
    let seen = whole(&body("1;name=\"value\"\r\na\r\n2 \r\nbc\r\n0;last\r\nt: 1\r\nt: 2\r\n\r\n"));
    assert_eq!(seen.body, b"abc");
    assert_eq!(seen.trailers.unwrap().get_all("t").iter().count(), 2);
    assert_eq!(seen.end, Seal::Whole { clean: true });
}

/// A response of any framing, and what it carries.
#[derive(Clone, Debug)]
struct Sample {
    wire: Vec<u8>,
    body: Vec<u8>,
    trailers: usize,
}

fn sample() -> impl Strategy<Value = Sample> {
    let chunks = vec(vec(any::<u8>(), 1..200), 0..8);
    (chunks, 0..3_u8, 0..3_usize, any::<bool>(), vec("[ -~]{0,30}", 0..4)).prop_map(
        |(chunks, framing, trailers, informed, fields)| {
            let body = chunks.concat();
            let mut wire = if informed { "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" } else { "" }.to_owned();
            wire.push_str("HTTP/1.1 200 OK\r\n");
            for (at, value) in fields.iter().enumerate() {
                wire.push_str(&format!("x-{at}: {value}\r\n"));
            }
            let mut wire = wire.into_bytes();
            match framing {
                0 => wire.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes()),
                1 => wire.extend_from_slice(b"\r\n"),
                _ => return Sample { wire: chunked(wire, &chunks, trailers), body, trailers },
            }
            wire.extend_from_slice(&body);
            Sample { wire, body, trailers: 0 }
        },
    )
}

/// A plain encoder, to decode against.
fn chunked(mut wire: Vec<u8>, chunks: &[Vec<u8>], trailers: usize) -> Vec<u8> {
    wire.extend_from_slice(b"Transfer-Encoding: Chunked\r\n\r\n");
    for (at, chunk) in chunks.iter().enumerate() {
        let extension = if at % 3 == 1 { ";x=y" } else { "" };
        wire.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n");
    for at in 0..trailers {
        wire.extend_from_slice(format!("t-{at}: {at}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire
}

/// Cuts `wire` into pieces at any places.
fn pieces<'a>(wire: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    places.extend([0, wire.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_sent(sample in sample(), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let seen = read(pieces(&sample.wire, &cuts), false);
        prop_assert_eq!(&seen.body, &sample.body);
        prop_assert_eq!(seen.trailers.map_or(0, |map| map.len()), sample.trailers);
        let is_whole = matches!(seen.end, Seal::Whole { .. });
        prop_assert!(is_whole, "{:?}", seen.end);
    }

    #[test]
    fn cuts_change_nothing(sample in sample(), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let whole = read([sample.wire.as_slice()], false);
        prop_assert_eq!(read(pieces(&sample.wire, &cuts), false), whole);
        prop_assert_eq!(read(sample.wire.chunks(1), false), read([sample.wire.as_slice()], false));
    }

    /// One byte of a response replaced: taken or refused, but the same however it arrives.
    #[test]
    fn broken_responses_are_judged_alike(
        sample in sample(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut wire = sample.wire;
        let at = at.index(wire.len());
        wire[at] = byte;
        let whole = read([wire.as_slice()], false);
        let cut = read(pieces(&wire, &cuts), false);
        prop_assert_eq!(&cut.head, &whole.head);
        // Bytes behind the end are seen only where they come with it.
        if !matches!(whole.end, Seal::Whole { .. }) {
            prop_assert_eq!(cut.end, whole.end);
        }
        prop_assert_eq!(cut.body, whole.body);
    }

    #[test]
    fn a_shortened_response_is_never_whole(sample in sample(), cut in any::<prop::sample::Index>()) {
        let seen = read([&sample.wire[..cut.index(sample.wire.len())]], false);
        let by_close = !sample.wire.windows(8).any(|window| window.eq_ignore_ascii_case(b"content-") || window.eq_ignore_ascii_case(b"transfer"));
        if !by_close {
            prop_assert_eq!(seen.end, Seal::CutOff);
        }
    }

    #[test]
    fn garbage_never_panics(bytes in vec(any::<u8>(), 0..400), start in 0..4_usize, to_head in any::<bool>()) {
        let start = [
            "", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ][start];
        let wire = [start.as_bytes(), &bytes].concat();
        read([wire.as_slice()], to_head);
        read(wire.chunks(3), to_head);
    }

    /// Chunk framing is made of few characters; random ones of these get further than random bytes.
    #[test]
    fn chunk_like_garbage_is_judged_alike(text in "([0-3a;:\r\n ]|\r\n){0,60}", cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let wire = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{text}").into_bytes();
        let (whole, cut) = (read([wire.as_slice()], false), read(pieces(&wire, &cuts), false));
        prop_assert_eq!(cut.body, whole.body);
        prop_assert_eq!(std::mem::discriminant(&cut.end), std::mem::discriminant(&whole.end));
    }
}

#[test]
fn a_read_of_many_chunks_is_one_frame() {
    let mut heads = HeadReader::new(LIMIT);
    heads.expect(false);
    let mut wire =
        chunked(b"HTTP/1.1 200 OK\r\n".to_vec(), &[b"one ".to_vec(), b"two ".to_vec(), b"three".to_vec()], 0);
    let Scanned::Whole(_, mut inbox) = heads.take(&mut wire) else { panic!("not whole") };
    let Item::Frame(frame) = inbox.next() else { panic!("no frame") };
    assert_eq!(frame.into_data().unwrap(), Bytes::from_static(b"one two three"));
    assert!(inbox.is_end() && inbox.is_clean());
}

mod heads {
    use super::*;
    use crate::Body;
    use crate::client::h1::request::encode_head;

    fn encoded(request: Request<Body>, length: Option<u64>) -> String {
        String::from_utf8(encode_head(&request.into_parts().0, length)).unwrap()
    }

    #[test]
    fn the_body_decides_on_the_framing_and_not_the_headers() {
        let request = || {
            Request::post("/v1?x=1")
                .header("content-length", "999")
                .header("transfer-encoding", "gzip")
                .header("a", "1")
                .header("a", "2")
                .body(Body::Empty)
                .unwrap()
        };
        assert_eq!(encoded(request(), Some(5)), "POST /v1?x=1 HTTP/1.1\r\na: 1\r\na: 2\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(encoded(request(), Some(0)), "POST /v1?x=1 HTTP/1.1\r\na: 1\r\na: 2\r\ncontent-length: 0\r\n\r\n");
        assert!(encoded(request(), None).ends_with("a: 2\r\ntransfer-encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn a_request_without_a_body_says_nothing_of_one() {
        for (uri, line) in [("/", "GET / "), ("*", "GET * "), ("http://x?q", "GET /?q ")] {
            assert_eq!(
                encoded(Request::get(uri).body(Body::Empty).unwrap(), Some(0)),
                format!("{line}HTTP/1.1\r\n\r\n")
            );
        }
    }
}
