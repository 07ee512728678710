//! The OpenAI wire, read and edited without decoding it.
//!
//! Everything that passes through Candor is somebody else's JSON: a client's request on its way to one or two engines, an
//! engine's stream on its way back. A control plane that decodes a body into a map and encodes it again changes number
//! text, loses duplicate members and key order, and pays for a 300 KB prompt three times. So nothing here decodes:
//!
//! * [`Body`] scans the client's bytes once, proves that they are JSON, and keeps the offsets of the top-level members;
//!   [`Head`] reads the few members that a proxy needs, [`Edit`] splices others in place and leaves the rest byte for byte.
//! * [`sse`] cuts an event stream into events over the original bytes, however the network cut it.
//! * [`TokenMeter`] says of every event whether it carries generated tokens, and how many. It is the only place where that
//!   is decided, so gateway, coordinator and auditor cannot disagree about what a first token is.
//! * [`Usage`] reads token accounting, and [`usage`] rewrites or hides it.
//! * [`ApiError`] is the error that a client sees, in each shape in which clients expect one.
//!
//! The crate opens no socket, reads no clock and holds no task: every item is a value or a state machine.

#![forbid(unsafe_code)]

mod api;
mod body;
mod edit;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod head;
mod json;
mod meter;
pub mod sse;
pub mod usage;

pub use api::{Api, MemberPath};
pub use body::{Body, BodyError};
pub use edit::Edit;
pub use error::{ApiError, ErrorKind};
pub use head::Head;
pub use meter::{Chunk, FinishReason, TokenMeter};
pub use usage::Usage;
