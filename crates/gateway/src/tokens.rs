//! Prompts as the engines' tokenizer cuts them, where the gateway has it (`--tokenizer-path`).
//!
//! The work is done off the threads that serve connections, by few threads; a request that would have to wait behind many
//! others, or whose prompt cannot be cut here, keeps the estimate that it came with, and the label says so. What was cut once
//! is remembered (`segments`), so that a conversation costs its last turn only.
//!
//! The count serves scheduling and limits, the ids `/tokenize`. Engines get the client's own text, and cut it themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openai::{Api, Body};

use crate::prompt::{CountedBy, PromptTokens};

mod chat;
mod desk;
mod model;
mod segments;
mod template;
#[cfg(test)]
mod tests;

use desk::Desk;
pub(crate) use model::{CutError, Model};

/// The longest body whose prompt is cut: a longer one would keep a thread for seconds.
const LONGEST: usize = 8 << 20;

/// Where a tokenizer lies.
#[derive(Debug, Clone)]
pub(crate) struct TokensConfig {
    /// A directory with `tokenizer.json`, and `tokenizer_config.json` for chats.
    pub(crate) path: PathBuf,
    /// A chat template of its own.
    pub(crate) template: Option<PathBuf>,
}

/// Counts prompts.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    desk: Option<Desk>,
    /// The longest context of the model; `None` where nobody said.
    max_model_len: Option<u64>,
    /// Whether schedulers are told the ids, or where there are none the hashes of the text.
    forward: bool,
}

impl Tokens {
    /// Cuts with `model`, if there is one; `forward` says whether schedulers are told the ids.
    pub(crate) fn new(model: Option<Arc<Model>>, max_model_len: Option<u64>, forward: bool) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let desk = model.map(|model| Desk::new(model, threads));
        Self { desk, max_model_len, forward }
    }

    /// The longest context, where it is known.
    pub(crate) fn max_model_len(&self) -> Option<u64> {
        self.max_model_len
    }

    /// Whether schedulers are told what prompts are made of.
    pub(crate) fn forwards(&self) -> bool {
        self.forward
    }

    /// Whether prompts are cut here.
    pub(crate) fn cuts(&self) -> bool {
        self.desk.is_some()
    }

    /// How long the prompt of a request is, and its ids, where they are known and schedulers are to have them.
    pub(crate) async fn count(&self, api: Api, body: &Body) -> (PromptTokens, Option<Arc<[u32]>>) {
        let estimate = (PromptTokens::of(body), None);
        let Some(desk) = self.desk.as_ref().filter(|_| body.bytes().len() <= LONGEST) else {
            return estimate;
        };
        match desk.cut(api, body.bytes().clone()).await {
            Some(Ok(ids)) => {
                let counted = PromptTokens { count: ids.len() as u64, source: CountedBy::Tokenizer };
                (counted, self.forward.then(|| ids.into()))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "prompt not cut into tokens, only estimated");
                estimate
            }
            None => estimate,
        }
    }

    /// The tokens of a request's prompt, for a client that asks for them; `None` where nobody is there to cut it now.
    pub(crate) async fn cut(&self, api: Api, body: &Body) -> Option<Result<Vec<u32>, CutError>> {
        self.desk.as_ref()?.cut(api, body.bytes().clone()).await
    }

    /// Whether a prompt is known to leave no room for a single token.
    pub(crate) fn exceeds(&self, api: Api, prompt: PromptTokens) -> Option<u64> {
        let limit = self.max_model_len?;
        let answer = u64::from(api != Api::Embeddings);
        (prompt.source != CountedBy::Estimate && prompt.count + answer > limit).then_some(limit)
    }
}

impl TokensConfig {
    /// Loads what the configuration names.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub(crate) fn load(&self) -> Result<Model, String> {
        Model::load(&self.path, self.template.as_deref().map(Path::new))
    }
}
