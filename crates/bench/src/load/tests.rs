//! Load and null engine against each other over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::engine;
use crate::process::{exchange, free_address};
use crate::stopwatch::MILLISECOND;

/// A null engine on a thread of its own, which lives as long as the test's process.
fn engine() -> SocketAddr {
    let listen = free_address().unwrap();
    thread::spawn(move || engine::run(engine::Args { listen, awake: false }));
    while TcpStream::connect(listen).is_err() {
        thread::yield_now();
    }
    listen
}

fn stats(engine: SocketAddr) -> engine::Stats {
    let request = format!("GET /bench/stats HTTP/1.1\r\nhost: {engine}\r\n\r\n");
    let (status, text) = exchange(engine, request.as_bytes()).unwrap();
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

/// A server that answers every connection's first request with `answer` and closes.
fn canned(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(answer);
        }
    });
    address
}

const PLAIN: Shape = Shape { stream: None, prefiller: None };

#[test]
fn a_closed_loop_answers_every_request() {
    let mut session = Session::open(engine(), 16).unwrap();
    let tally = session.run(Phase { shape: PLAIN, spread: 0, until: Until::Each(20) }).unwrap();
    assert_eq!((tally.requests, tally.in_time, tally.failed), (320, 320, 0));
    assert_eq!((tally.totals.len(), tally.added.len()), (320, 0), "no first token without a stream");
}

#[test]
fn a_timed_loop_counts_only_what_ends_in_time() {
    let mut session = Session::open(engine(), 4).unwrap();
    let pace = Pace { tokens: 1, ttft_us: 200_000, interval_us: 0 };
    let shape = Shape { stream: Some(pace), prefiller: None };
    // The first answers come after the end: they drain, but do not count.
    let tally = session.run(Phase { shape, spread: 0, until: Until::Elapsed(50 * MILLISECOND) }).unwrap();
    assert_eq!((tally.requests, tally.in_time), (4, 0));
}

#[test]
fn paced_streams_take_their_time_and_bring_every_token() {
    let address = engine();
    let mut session = Session::open(address, 8).unwrap();
    let pace = Pace { tokens: 5, ttft_us: 20_000, interval_us: 10_000 };
    let shape = Shape { stream: Some(pace), prefiller: None };
    let tally = session.run(Phase { shape, spread: MILLISECOND, until: Until::Each(2) }).unwrap();
    assert_eq!((tally.requests, tally.failed, tally.tokens), (16, 0, 80));
    assert_eq!(tally.added.len(), 16);
    for (total, added) in tally.totals.iter().zip(&tally.added) {
        assert!(*total >= 60 * MILLISECOND, "20 ms and four intervals: {total}");
        assert!(*added > 0 && *added + 20 * MILLISECOND <= *total, "{added} of {total}");
    }
    let seen = stats(address);
    assert_eq!(seen.streams, 0);
    assert!((1..=8).contains(&seen.streams_peak));
}

#[test]
fn the_engine_forgets_streams_whose_client_left() {
    let address = engine();
    let pace = Pace { tokens: 1_000_000, ttft_us: 0, interval_us: 1_000 };
    let request = Shape { stream: Some(pace), prefiller: None }.request(address);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&request).unwrap();
    let _ = client.read(&mut [0; 64]).unwrap();
    assert_eq!(stats(address).streams, 1);
    drop(client);
    while stats(address).streams > 0 {
        thread::yield_now();
    }
}

#[test]
fn failures_are_counted_and_the_connection_replaced() {
    let address = canned(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nbusy");
    let mut session = Session::open(address, 2).unwrap();
    let tally = session.run(Phase { shape: PLAIN, spread: 0, until: Until::Each(3) }).unwrap();
    assert_eq!((tally.requests, tally.failed), (6, 6));
    assert!(matches!(tally.failure, Some(Failure::Status(503, text)) if text == "busy"));
}

#[test]
fn a_short_stream_is_a_failure() {
    let address =
        canned(b"HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\ndata: {\"content\":\" a\"}\n\ndata: [DONE]\n\n");
    let pace = Pace { tokens: 2, ttft_us: 0, interval_us: 0 };
    let shape = Shape { stream: Some(pace), prefiller: None };
    let tally = Session::open(address, 1).unwrap().run(Phase { shape, spread: 0, until: Until::Each(1) }).unwrap();
    assert!(matches!(tally.failure, Some(Failure::Tokens(1, 2))), "{:?}", tally.failure);
}

#[test]
fn the_prefill_target_travels_in_the_sidecars_header() {
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, 8200));
    let request = Shape { stream: None, prefiller: Some(target) }.request(target);
    assert!(memchr::memmem::find(&request, b"\r\nx-prefiller-host-port: 127.0.0.1:8200\r\n").is_some());
}

#[test]
fn the_engine_notes_when_a_watched_client_left() {
    let address = engine();
    let body = r#"{"stream":true,"max_tokens":9,"user":"ttft_us=60000000;head=late;watch=7"}"#;
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(&crate::stage::post(address, "/v1/chat/completions", "watched", body)).unwrap();
    while stats(address).streams == 0 {
        thread::yield_now();
    }
    let left = now();
    drop(client);
    while stats(address).streams > 0 {
        thread::yield_now();
    }
    assert!(matches!(stats(address).left[..], [(7, at)] if at >= left), "{:?}", stats(address).left);
}

#[test]
fn every_request_is_stamped_with_its_moment() {
    let mut text = *b"<00000000000000000000>";
    write_serial(&mut text[1..21], 12_034);
    assert_eq!(&text, b"<00000000000000012034>");
    assert!(String::from_utf8(PLAIN.request(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))).unwrap().contains(SERIAL));
}
