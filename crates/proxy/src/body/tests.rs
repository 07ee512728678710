use std::collections::VecDeque;

use super::*;

/// A body of these pieces, which declares `declared` bytes.
struct Pieces {
    pieces: VecDeque<Result<Bytes, std::io::Error>>,
    declared: Option<u64>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn pieces(texts: &[&'static str]) -> Pieces {
    let pieces = texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
    Pieces { pieces, declared: None }
}

#[tokio::test]
async fn collects_what_fits_exactly() {
    for texts in [&[][..], &["one"], &["one", "two"], &["one", "", "two", "three"]] {
        let whole = texts.concat();
        let collected = collect(pieces(texts), whole.len()).await.unwrap();
        assert_eq!(collected, whole);
    }
}

#[tokio::test]
async fn one_frame_is_not_copied() {
    let bytes = Bytes::from_static(b"prompt");
    let collected = collect(Body::from(bytes.clone()), 6).await.unwrap();
    assert_eq!(collected.as_ptr(), bytes.as_ptr());
}

#[tokio::test]
async fn one_byte_too_many_is_refused() {
    let error = collect(pieces(&["one", "two"]), 5).await.unwrap_err();
    assert!(matches!(error, CollectError::TooLarge { limit: 5 }), "{error}");
}

#[tokio::test]
async fn a_declared_length_past_the_limit_is_refused_unread() {
    let body = Pieces { pieces: VecDeque::new(), declared: Some(u64::MAX) };
    assert!(matches!(collect(body, 100).await, Err(CollectError::TooLarge { .. })));
}

#[tokio::test]
async fn a_huge_claim_reserves_no_memory() {
    let body = Pieces { declared: Some(1 << 40), ..pieces(&["a", "b"]) };
    assert_eq!(collect(body, usize::MAX).await.unwrap(), "ab");
}

#[tokio::test]
async fn a_failing_body_is_incomplete() {
    let mut body = pieces(&["one"]);
    body.pieces.push_back(Err(std::io::ErrorKind::ConnectionReset.into()));
    assert!(matches!(collect(body, 100).await, Err(CollectError::Incomplete(_))));
}

#[tokio::test]
async fn a_full_body_is_sent_once() {
    let mut body = Body::from("x");
    assert!(!body.is_end_stream());
    assert_eq!(next_frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "x");
    assert!(body.is_end_stream());
    assert!(next_frame(&mut body).await.is_none());
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[test]
fn only_bytes_in_hand_can_be_sent_again() {
    assert!(matches!(Body::from("x").replay(), Some(Body::Full(_))));
    assert!(matches!(Body::from("").replay(), Some(Body::Empty)));
    assert!(Body::wrap(Body::from("x")).replay().is_none());
}

#[test]
fn bodies_stay_small() {
    // Bodies are moved between futures for every request; a large variant belongs in a box.
    assert!(size_of::<Body>() <= 96, "{}", size_of::<Body>());
}
