use super::*;

/// Feeds `bytes` in pieces of `size` and returns the message with the count of bytes it took.
fn read(role: Role, bytes: &[u8], size: usize) -> (Message, usize) {
    let mut message = Message::new(role);
    let mut taken = 0;
    for piece in bytes.chunks(size) {
        taken += message.feed(piece).unwrap();
        if message.is_done() {
            break;
        }
    }
    (message, taken)
}

#[test]
fn a_length_frames_a_body_however_it_is_cut() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1";
    for size in 1..bytes.len() {
        let (message, taken) = read(Role::Response, bytes, size);
        assert!(message.is_done());
        assert_eq!(message.status(), Some(200));
        assert_eq!(message.body(), b"hello");
        assert_eq!(taken, bytes.len() - b"HTTP/1.1".len(), "pieces of {size}");
    }
}

#[test]
fn chunks_extensions_and_trailers_however_they_are_cut() {
    let bytes =
        b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, 12345678\r\n0\r\nt: 1\r\nu: 2\r\n\r\nX";
    for size in 1..bytes.len() {
        let (message, taken) = read(Role::Request, bytes, size);
        assert!(message.is_done());
        assert_eq!(message.target(), b"/x");
        assert_eq!(message.body(), b"hello, 12345678");
        assert_eq!(taken, bytes.len() - 1, "pieces of {size}");
    }
}

#[test]
fn what_a_missing_length_means_depends_on_the_role() {
    let (message, _) = read(Role::Request, b"GET / HTTP/1.1\r\n\r\n", 64);
    assert!(message.is_done());
    assert_eq!(Message::new(Role::Response).feed(b"HTTP/1.1 200 OK\r\n\r\n"), Err(WireError::Unframed));
}

#[test]
fn malformed_and_endless_messages_are_refused() {
    let chunked: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let with = |tail: &[u8]| Message::new(Role::Response).feed(&[chunked, tail].concat());
    assert_eq!(with(b"xyz\r\n"), Err(WireError::Malformed));
    assert_eq!(with(&vec![b'1'; HEAD_LIMIT + 1]), Err(WireError::TooLong));
    let length = b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n";
    assert_eq!(Message::new(Role::Response).feed(length), Err(WireError::Malformed));
    assert_eq!(Message::new(Role::Request).feed(&vec![b'a'; HEAD_LIMIT + 1]), Err(WireError::TooLong));
}

#[test]
fn a_reset_message_reads_the_next_one() {
    let mut message = Message::new(Role::Response);
    message.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").unwrap();
    message.reset();
    message.feed(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nbb").unwrap();
    assert_eq!((message.status(), message.body()), (Some(503), &b"bb"[..]));
}

#[test]
fn headers_are_found_by_name_in_any_case() {
    let head = b"GET / HTTP/1.1\r\nX-Ab: 1\r\nx-a:  2 \r\n\r\n";
    assert_eq!(header(head, b"x-a"), Some(&b"2"[..]));
    assert_eq!(header(head, b"x-ab"), Some(&b"1"[..]));
    assert_eq!(header(head, b"x"), None);
}
