//! The OpenAI-compatible surface as vLLM and SGLang serve it: requests in, documents and stream chunks out.
//!
//! Shapes are those of the samples of a real vLLM 0.32, member by member. What is the same in every chunk of an answer
//! is rendered once ([`Frame`]); a token costs one copy.

mod embeddings;
mod frame;
mod refusal;
mod request;
mod wire;

pub(crate) use embeddings::Embeddings;
pub(crate) use frame::{Ending, Frame, Terms, Tools, Usage};
pub(crate) use refusal::Refusal;
pub use request::Dialect;
pub(crate) use request::{KvParams, Limits, Request};
