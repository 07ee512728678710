use serde_json::Value;

use super::*;

fn accepts(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.skip_space();
    cursor.skip().and_then(|()| cursor.end()).is_ok()
}

#[test]
fn nesting_is_bounded_where_serde_json_bounds_it() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!("{}0{}", open.repeat(depth), close.repeat(depth));
        for depth in [1, 126, 127, 128, 129, 100_000] {
            let text = nested(depth);
            let plain = serde_json::from_str::<Value>(&text).is_ok();
            assert_eq!(accepts(text.as_bytes()), plain, "{depth}");
        }
    }
}

#[test]
fn a_special_byte_is_found_wherever_it_stands() {
    for special in [b'"', b'\\', b'\n', 0x1f, 0] {
        for length in 0..40 {
            let mut text = vec![b'x'; length];
            text.extend([special, 0xFF, 0x7F, b'!', 0x21, 0x80]);
            assert_eq!(plain_prefix(&text), length, "{special} after {length}");
        }
    }
    assert_eq!(plain_prefix("häß\u{80}😀 #[]!\u{7f}".repeat(9).as_bytes()), "häß\u{80}😀 #[]!\u{7f}".len() * 9);
}

#[test]
fn half_a_surrogate_pair_is_refused_where_it_begins() {
    for (text, at) in [(r#""ab\ud83d""#, 3), (r#""\udc00x""#, 1), (r#""\ud83d\u0041""#, 1), (r#""\ud83dx""#, 1)] {
        assert_eq!(Cursor::new(text.as_bytes()).skip(), Err(Fault { at, what: "half of a surrogate pair" }), "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err());
    }
    assert!(accepts(br#""\ud83d\ude00""#));
}

#[test]
fn a_number_no_double_can_hold_is_still_a_number() {
    assert!(accepts(b"1e999"));
    assert!(accepts(b"-123456789012345678901234567890.5E+7"));
}
