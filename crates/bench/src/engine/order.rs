//! What a request asks of the null engine, read by scanning its body: no JSON tree, no copy.
//!
//! The pace travels in the OpenAI member `user`, which every proxy forwards untouched:
//! `"user":"ttft_us=20000;itl_us=10000"`. There too: `prefill_us=` for how long a prefill leg takes, `head=late` for a head
//! that comes with the first token only, `watch=` for a number under which it is noted when the client leaves.

use crate::stopwatch::now;

/// One request, as far as the engine cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// When its last byte had been read, ns of the shared clock.
    pub(crate) received: u64,
    /// Answer as server-sent events.
    pub(crate) stream: bool,
    /// The prefill leg of nixlv2: answer with `kv_transfer_params`.
    pub(crate) prefill: bool,
    /// Send a usage chunk at the end of the stream.
    pub(crate) include_usage: bool,
    /// Tokens to generate, at least one.
    pub(crate) tokens: u32,
    /// From `received` to the first token, or to a prefill's answer, ns.
    pub(crate) ttft: u64,
    /// From token to token, ns.
    pub(crate) interval: u64,
    /// Send no head before the first token.
    pub(crate) late_head: bool,
    /// The number under which a client that leaves is noted; 0: it is not.
    pub(crate) watch: u64,
}

impl Order {
    /// Reads the order out of a request body.
    pub(crate) fn read(body: &[u8]) -> Self {
        let prefill = is_true(body, b"\"do_remote_decode\"");
        let number = |name: &[u8]| find(body, name).map_or(0, leading_number);
        Self {
            received: now(),
            stream: is_true(body, b"\"stream\""),
            prefill,
            include_usage: is_true(body, b"\"include_usage\""),
            tokens: u32::try_from(member(body, b"\"max_tokens\"").map_or(1, leading_number)).unwrap_or(u32::MAX).max(1),
            ttft: 1_000 * number(if prefill { &b"prefill_us="[..] } else { b"ttft_us=" }),
            interval: number(b"itl_us=") * 1_000,
            late_head: find(body, b"head=late").is_some(),
            watch: number(b"watch="),
        }
    }
}

impl Order {
    /// Whether the answer comes bit by bit, or later: a stream, and a prefill that takes time.
    pub(crate) fn takes_time(&self) -> bool {
        if self.prefill { self.ttft > 0 } else { self.stream }
    }
}

/// What follows `needle` in `body`.
fn find<'a>(body: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memchr::memmem::find(body, needle).map(|at| &body[at + needle.len()..])
}

/// What follows the colon of a member; `name` has its quotes.
fn member<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    find(body, name)?.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start)
}

fn is_true(body: &[u8], name: &[u8]) -> bool {
    member(body, name).is_some_and(|value| value.starts_with(b"true"))
}

fn leading_number(text: &[u8]) -> u64 {
    text.iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paced_stream_is_read_with_and_without_spaces() {
        for body in [
            &br#"{"max_tokens":128,"stream":true,"stream_options":{"include_usage":true},"user":"ttft_us=20000;itl_us=10000"}"#[..],
            br#"{"max_tokens" : 128, "stream" : true, "stream_options": {"include_usage": true}, "user": "ttft_us=20000;itl_us=10000"}"#,
        ] {
            let order = Order::read(body);
            assert!(order.stream && order.include_usage && !order.prefill);
            assert_eq!((order.tokens, order.ttft, order.interval), (128, 20_000_000, 10_000_000));
        }
    }

    #[test]
    fn the_prefill_leg_answers_at_once() {
        let order = Order::read(
            br#"{"max_tokens":1,"stream":false,"user":"ttft_us=9","kv_transfer_params":{"do_remote_decode":true,"do_remote_prefill":false}}"#,
        );
        assert!(order.prefill && !order.stream);
        assert_eq!((order.tokens, order.ttft), (1, 0));
    }

    #[test]
    fn a_prefill_may_take_time_and_a_client_may_be_watched() {
        let order = Order::read(
            br#"{"user":"ttft_us=9;prefill_us=70;head=late;watch=12","kv_transfer_params":{"do_remote_decode":true}}"#,
        );
        assert_eq!((order.ttft, order.watch, order.late_head), (70_000, 12, true));
        assert_eq!(Order::read(br#"{"user":"ttft_us=9;prefill_us=70"}"#).ttft, 9_000);
    }

    #[test]
    fn the_decode_leg_is_an_ordinary_stream() {
        let order =
            Order::read(br#"{"stream":true,"kv_transfer_params":{"do_remote_decode":false,"do_remote_prefill":true}}"#);
        assert!(order.stream && !order.prefill);
        assert_eq!(order.tokens, 1, "no limit: one token");
    }
}
