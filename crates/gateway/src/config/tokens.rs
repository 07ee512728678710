//! The settings of counting prompts.

use std::path::PathBuf;
use std::sync::Arc;

use super::read::Reader;
use crate::tokens::{Model, Tokens, TokensConfig};

/// The tokenizer, loaded, and what it is held to.
#[derive(Debug, Clone)]
pub(crate) struct TokenSettings {
    model: Option<Arc<Model>>,
    max_model_len: Option<u64>,
    forward: bool,
}

impl TokenSettings {
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        let template: Option<PathBuf> = read.loaded("chat-template", |path| Ok(path.into()));
        let model = read.loaded("tokenizer-path", |path| TokensConfig { path: path.into(), template }.load());
        if !read.is_set("tokenizer-path") {
            for flag in ["tokenizer-name", "chat-template"] {
                if read.is_set(flag) {
                    read.fault(flag, "needs --tokenizer-path beside it: no tokenizer is downloaded");
                }
            }
        }
        let max_model_len = Some(read.number("max-model-len", 0..=u64::MAX)).filter(|length| *length > 0);
        Self { model: model.map(Arc::new), max_model_len, forward: read.boolean("forward-tokens") }
    }

    /// The counter that they describe.
    pub(crate) fn counter(&self) -> Tokens {
        Tokens::new(self.model.clone(), self.max_model_len, self.forward)
    }
}
