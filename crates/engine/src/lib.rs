//! A simulated vLLM or SGLang instance.

pub mod core;
