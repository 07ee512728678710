//! The visual language: what Candor measured is a solid blue line, what an engine claims of itself a dashed red one, and
//! each stage of a request keeps its colour everywhere. The stages stay apart for colour-blind readers (the page's tests
//! simulate their sight), and a series is never told from another by colour alone: it has a legend, a dash, or a place in a
//! fixed order.

/// A colour as `#rrggbb`.
pub(crate) type Colour = &'static str;

/// What Candor measured; the gateway.
pub(crate) const BLUE: Colour = "#3B7DDD";
/// What an engine claims; a failure.
pub(crate) const RED: Colour = "#CF3224";
/// Waiting; also what is nobody's fault and nobody's success.
pub(crate) const GREY: Colour = "#8C929C";
/// Scheduling.
pub(crate) const TEAL: Colour = "#208374";
/// Prefill.
pub(crate) const ORANGE: Colour = "#DD7319";
/// KV transfer.
pub(crate) const VIOLET: Colour = "#9A59AF";
/// Decode.
pub(crate) const GREEN: Colour = "#13A85C";
/// Neither good nor bad yet: a threshold between the two.
pub(crate) const AMBER: Colour = "#C99700";
/// The gateway's dispatch, next to its preprocessing.
pub(crate) const BLUE_LIGHT: Colour = "#6AA3F0";
/// The way back to the client.
pub(crate) const BLUE_PALE: Colour = "#9CC3F7";

/// Quantiles in their order, the tail strongest: value, name, colour, width.
pub(crate) const QUANTILES: [(&str, &str, Colour, u8); 4] = [
    ("0.99", "P99", "#1F5CC4", 2),
    ("0.95", "P95", BLUE, 2),
    ("0.9", "P90", BLUE_LIGHT, 2),
    ("0.5", "P50", BLUE_PALE, 1),
];

/// The parts of a TTFT, in the order of a request's way.
pub(crate) const PARTS: [(&str, Colour); 9] = [
    ("preprocess", BLUE),
    ("queue", GREY),
    ("schedule", TEAL),
    ("dispatch", BLUE_LIGHT),
    ("prefill", ORANGE),
    ("kv_transfer", VIOLET),
    ("first_decode", GREEN),
    ("relay", BLUE_PALE),
    ("upstream", AMBER),
];
