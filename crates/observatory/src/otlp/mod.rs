//! OTLP in: spans, samples and log records, over HTTP (protobuf or JSON) and over gRPC, compressed or not.
//!
//! Whatever comes is bounded: a body by its length, also once it is unpacked, and only a few requests are taken apart at a
//! time; others wait, which is what slows a sender down. What is wrong with a request is said to its sender,
//! counted, and logged; it costs nobody else anything. Of a request that is partly wrong the rest is kept.
//!
//! gRPC is spoken by hand (`grpc`): one unary call is a POST with five bytes before the message and a trailer after the
//! answer, and our server speaks HTTP/2 on every port already. So every port takes everything.

mod grpc;
mod http;
pub(crate) mod json;
mod receiver;
mod samples;
mod wire;

pub use http::{handle, serves};
pub use receiver::Receiver;
