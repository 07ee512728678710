use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::HeaderValue;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::Body;
use crate::body::next_frame;

/// What an observer was told, in order.
#[derive(Clone, Default)]
struct Log {
    told: Arc<Mutex<Vec<String>>>,
    trailers: Option<HeaderMap>,
}

impl Observe for Log {
    fn frame(&mut self, data: &Bytes) {
        self.told.lock().push(String::from_utf8_lossy(data).into_owned());
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    fn end(&mut self, end: End<'_>) {
        let end = match end {
            End::Complete => "complete".to_owned(),
            End::Trailers(trailers) => format!("trailers {}", trailers.len()),
            End::Error(error) => format!("error {error}"),
            End::Dropped => "dropped".to_owned(),
        };
        self.told.lock().push(end);
    }
}

/// A body that yields these frames and, if `sized`, knows its length.
struct Script {
    frames: std::collections::VecDeque<io::Result<Frame<Bytes>>>,
    sized: bool,
}

impl Script {
    fn new(frames: impl IntoIterator<Item = io::Result<Frame<Bytes>>>) -> Self {
        Self { frames: frames.into_iter().collect(), sized: false }
    }
}

impl HttpBody for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.frames.is_empty()
    }
}

fn data(text: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn trailers(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static("x"))])
}

async fn drain<B: HttpBody + Unpin>(body: &mut B) -> Vec<Result<Frame<B::Data>, B::Error>> {
    let mut frames = Vec::new();
    while let Some(frame) = next_frame(body).await {
        frames.push(frame);
    }
    frames
}

fn observed<B>(inner: B, log: &Log) -> Observed<B, Log>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    Observed::new(inner, log.clone())
}

#[tokio::test]
async fn the_end_is_told_once() {
    let log = Log::default();
    let mut body = observed(Script::new([data("a"), data("b")]), &log);
    assert_eq!(drain(&mut body).await.len(), 2);
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(*log.told.lock(), ["a", "b", "complete"]);
}

#[tokio::test]
async fn a_known_length_ends_with_its_last_frame() {
    let log = Log::default();
    let mut body = observed(Script { sized: true, ..Script::new([data("a")]) }, &log);
    let _ = next_frame(&mut body).await;
    assert_eq!(*log.told.lock(), ["a", "complete"], "hyper never asks for the final none");
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn an_empty_body_is_complete_though_never_polled() {
    let log = Log::default();
    drop(observed(Body::Empty, &log));
    assert_eq!(*log.told.lock(), ["complete"]);
}

#[tokio::test]
async fn an_early_drop_is_told() {
    let log = Log::default();
    let mut body = observed(Script::new([data("a"), data("b")]), &log);
    let _ = next_frame(&mut body).await;
    drop(body);
    assert_eq!(*log.told.lock(), ["a", "dropped"]);
}

#[tokio::test]
async fn an_error_is_told_and_is_final() {
    let log = Log::default();
    let mut body = observed(Script::new([data("a"), Err(io::Error::other("reset")), data("b")]), &log);
    let frames = drain(&mut body).await;
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].as_ref().unwrap_err().to_string(), "reset");
    drop(body);
    assert_eq!(*log.told.lock(), ["a", "error reset"]);
}

#[tokio::test]
async fn own_trailers_follow_the_body_and_join_those_that_come() {
    for (inner, end, count) in [
        (Script::new([data("a")]), "complete", 1),
        (Script::new([data("a"), Ok(Frame::trailers(trailers("upstream")))]), "trailers 1", 2),
    ] {
        let log = Log { trailers: Some(trailers("own")), ..Log::default() };
        let mut body = observed(inner, &log);
        let last = drain(&mut body).await.pop().unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(last.len(), count);
        assert!(last.contains_key("own"));
        drop(body);
        assert_eq!(*log.told.lock(), ["a", end]);
    }
}

#[tokio::test]
async fn trailers_that_nobody_takes_do_not_undo_a_complete_end() {
    let log = Log { trailers: Some(trailers("own")), ..Log::default() };
    let mut body = observed(Body::from("a"), &log);
    let _ = next_frame(&mut body).await;
    assert!(!body.is_end_stream(), "the trailers are still to come");
    drop(body);
    assert_eq!(*log.told.lock(), ["a", "complete"]);
}

#[test]
fn the_size_hint_is_the_inner_one() {
    let log = Log::default();
    assert_eq!(observed(Body::from("four"), &log).size_hint().exact(), Some(4));
}

proptest! {
    /// However a body goes and wherever its reader stops, the end comes once and after every frame.
    #[test]
    fn exactly_one_end(
        frames in prop::collection::vec(prop::option::weighted(0.9, 0_u8..3), 0..8),
        sized: bool,
        read in 0_usize..10,
    ) {
        let frames = frames.into_iter().map(|frame| match frame {
            None => Err(io::Error::other("broken")),
            Some(0) => Ok(Frame::trailers(trailers("t"))),
            Some(_) => data("d"),
        });
        let log = Log::default();
        let mut body = observed(Script { sized, ..Script::new(frames) }, &log);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..read {
            let _: Poll<Option<Result<_, BoxError>>> = Pin::new(&mut body).poll_frame(&mut cx);
        }
        drop(body);
        let told = log.told.lock();
        let ends = told.iter().filter(|line| *line != "d").count();
        prop_assert_eq!(ends, 1, "{:?}", told);
        prop_assert!(told.last().is_some_and(|line| line != "d"));
    }
}

/// Observed bodies are bodies, and errors of any kind fit.
#[test]
fn infallible_bodies_fit_too() {
    struct Never;
    impl HttpBody for Never {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }
    let log = Log::default();
    drop(Body::wrap(observed(Never, &log)));
    assert_eq!(*log.told.lock(), ["dropped"]);
}
