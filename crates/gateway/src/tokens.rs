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
use tokio::sync::Semaphore;

use crate::prompt::{CountedBy, PromptTokens};

mod chat;
mod model;
mod segments;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use model::{CutError, Model};

/// Requests that may wait for each thread. More are not worth the delay.
const WAITING: usize = 16;

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
    cutter: Option<Cutter>,
    /// The longest context of the model; `None` where nobody said.
    max_model_len: Option<u64>,
    /// Whether schedulers are told the ids, or where there are none the hashes of the text.
    forward: bool,
}

#[derive(Debug)]
struct Cutter {
    model: Arc<Model>,
    /// One for each request that is cut or waits for it.
    places: Arc<Semaphore>,
    /// One for each request that is cut.
    threads: Arc<Semaphore>,
}

impl Tokens {
    /// Cuts with `model`, if there is one; `forward` says whether schedulers are told the ids.
    pub(crate) fn new(model: Option<Arc<Model>>, max_model_len: Option<u64>, forward: bool) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        let cutter = model.map(|model| Cutter {
            model,
            places: Arc::new(Semaphore::new(threads * WAITING)),
            threads: Arc::new(Semaphore::new(threads)),
        });
        Self { cutter, max_model_len, forward }
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
        self.cutter.is_some()
    }

    /// How long the prompt of a request is, and its ids, where they are known and schedulers are to have them.
    pub(crate) async fn count(&self, api: Api, body: &Body) -> (PromptTokens, Option<Arc<[u32]>>) {
        let estimate = (PromptTokens::of(body), None);
        let Some(cutter) = self.cutter.as_ref().filter(|_| body.bytes().len() <= LONGEST) else {
            return estimate;
        };
        match cutter.cut(api, body).await {
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
        self.cutter.as_ref()?.cut(api, body).await
    }

    /// Whether a prompt is known to leave no room for a single token.
    pub(crate) fn exceeds(&self, api: Api, prompt: PromptTokens) -> Option<u64> {
        let limit = self.max_model_len?;
        let answer = u64::from(api != Api::Embeddings);
        (prompt.source != CountedBy::Estimate && prompt.count + answer > limit).then_some(limit)
    }
}

impl Cutter {
    /// Cuts on a thread of its own; `None` where too many wait already. A client that leaves gives its place up, unless its
    /// prompt is being cut.
    async fn cut(&self, api: Api, body: &Body) -> Option<Result<Vec<u32>, CutError>> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.ok()?;
        let (model, bytes) = (Arc::clone(&self.model), body.bytes().clone());
        let cutting = tokio::task::spawn_blocking(move || {
            let _held = (place, thread);
            model.cut(api, &bytes)
        });
        cutting.await.ok()
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
