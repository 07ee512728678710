//! An answer being made: its choices, how far each is, and what happens when they end.

use super::Refusal;
use crate::api::{Ending, Frame, Usage};
use crate::config::Connector;
use crate::core::hash::BlockChain;
use crate::core::{FinishReason, RequestId, Summary};
use crate::engine::Engine;
use crate::fault::Fault;
use crate::instance::{Progress, Ticket};
use crate::text::{self, Stop};
use bytes::Bytes;
use serde_json::json;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One request's answer.
pub(super) struct Answer {
    pub(super) engine: Arc<Engine>,
    pub(super) frame: Frame,
    pub(super) choices: Vec<Choice>,
    pub(super) fault: Fault,
    /// `cmpl-…`, `chatcmpl-…`, `msg_…` or `resp_…`.
    pub(super) id: String,
    pub(super) include_usage: bool,
    /// The prompt's blocks, where there is a shared store to put them into.
    pub(super) stored: Option<BlockChain>,
}

/// What an answer waits for before it ends.
pub(super) type StoreJob = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One choice of an answer.
pub(super) struct Choice {
    ticket: Ticket,
    text_seed: u64,
    stop: Option<Stop>,
    /// Tokens and bytes of text rendered so far.
    rendered: u32,
    text_len: usize,
    ended: bool,
}

impl Choice {
    pub(super) const fn new(ticket: Ticket, text_seed: u64, stop: Option<Stop>) -> Self {
        Self { ticket, text_seed, stop, rendered: 0, text_len: 0, ended: false }
    }

    pub(super) const fn id(&self) -> RequestId {
        self.ticket.id()
    }

    /// Whether its end has been rendered.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Renders what has been generated since the last call, if anything.
    pub(super) fn poll_render(
        &mut self,
        index: u32,
        frame: &mut Frame,
        out: &mut Vec<u8>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        if self.ended {
            return Poll::Pending;
        }
        let Poll::Ready(progress) = self.ticket.poll(cx) else {
            return Poll::Pending;
        };
        self.render(index, frame, &progress, out);
        Poll::Ready(())
    }

    fn render(&mut self, index: u32, frame: &mut Frame, progress: &Progress, out: &mut Vec<u8>) {
        if self.rendered == 0 {
            frame.first(index, out);
        }
        let ended = progress.finished;
        // vLLM sends the last token together with the reason of the end; an abort or error has no such token.
        let plain = progress.tokens
            - u32::from(ended.is_some_and(|end| natural(end.reason)) && progress.tokens > self.rendered);
        while self.rendered < plain {
            let text = self.next_text(false);
            frame.token(index, text, self.rendered, out);
        }
        if let Some(end) = ended {
            let text = if self.rendered < progress.tokens { self.next_text(true) } else { ("", "") };
            self.ended = true;
            if end.reason != FinishReason::Error {
                frame.last(index, text, self.ending(&end), self.rendered, out);
            }
        }
    }

    /// The next token's text, cut where the stop string begins.
    fn next_text(&mut self, last: bool) -> (&'static str, &'static str) {
        let (carried, own) = text::token(self.text_seed, self.rendered, last);
        self.rendered += 1;
        let Some(stop) = &self.stop else {
            return (carried, own);
        };
        let mut fit = |text: &'static str| {
            let room = stop.text_len.saturating_sub(self.text_len);
            self.text_len += text.len();
            text.get(..room.min(text.len())).unwrap_or_default()
        };
        (fit(carried), fit(own))
    }

    fn ending(&self, summary: &Summary) -> Ending<'_> {
        let stop = self.stop.as_ref().filter(|stop| stop.tokens == summary.output_tokens);
        Ending { reason: summary.reason.as_str(), stop: stop.map(|stop| stop.string.as_str()) }
    }

    fn text(&self, summary: &Summary) -> String {
        let mut text = text::text(self.text_seed, summary.output_tokens);
        if let Some(stop) = self.stop.as_ref().filter(|stop| stop.tokens == summary.output_tokens) {
            text.truncate(stop.text_len);
        }
        text
    }
}

/// Whether the end came with a token.
const fn natural(reason: FinishReason) -> bool {
    matches!(reason, FinishReason::Length | FinishReason::Stop)
}

impl Answer {
    /// Waits for every choice's end.
    pub(super) async fn finish_all(&mut self) {
        for choice in &mut self.choices {
            choice.ticket.finished().await;
        }
    }

    /// Makes what a prefill holds known to the side channel; `kv_transfer_params` that name it, as JSON.
    pub(super) fn grant_lease(&self) -> Option<String> {
        let choice = self.choices.first()?;
        let summary = choice.ticket.summary()?;
        let blocks = self.engine.instance.held(choice.id())?;
        let connectors = &self.engine.config.connectors;
        let name = match connectors.contains(&Connector::Kvt) && !connectors.contains(&Connector::Nixl) {
            // A decode instance of kvt's is told no name; it knows the request's own.
            true => self.id.replace(char::is_whitespace, "_"),
            false => format!("{}-{:08x}", self.lease_name(), choice.text_seed as u32 ^ choice.id() as u32),
        };
        self.engine.keeper.leases.lock().grant(&name, choice.id());
        let address = self.engine.side_channel;
        Some(
            json!({
                "do_remote_prefill": true,
                "do_remote_decode": false,
                "remote_block_ids": [blocks],
                "remote_engine_id": self.engine.config.engine_id,
                "remote_request_id": name,
                "remote_host": address.ip().to_string(),
                "remote_port": address.port(),
                "tp_size": 1,
                "dcp_size": 1,
                "pp_size": 1,
                "remote_num_tokens": summary.prompt_tokens,
                "remote_blocks_expiry_time": null,
                "transfer_mode": "pull",
                "remote_prefill_cached_tokens": summary.cached_tokens(),
            })
            .to_string(),
        )
    }

    /// vLLM numbers the prompts of a completion, and names may not contain white space here.
    fn lease_name(&self) -> String {
        let id = self.id.replace(char::is_whitespace, "_");
        if id.starts_with("cmpl-") { format!("{id}-0") } else { id }
    }

    /// The requests of the core that may hold KV for another instance.
    pub(super) fn holds(&self) -> Vec<RequestId> {
        self.choices.iter().map(Choice::id).collect()
    }

    /// Frees what was kept for another instance.
    pub(super) fn release_holds(&self) {
        for choice in &self.choices {
            self.engine.instance.release(choice.id());
        }
    }

    /// Putting the prompt's blocks into the shared store, where that is to be done.
    pub(super) fn store_job(&mut self) -> Option<StoreJob> {
        let (store, prompt) = self.engine.store.clone().zip(self.stored.take())?;
        let computed = |choice: &Choice| choice.ticket.summary().is_some_and(|end| end.output_tokens > 0);
        if !self.choices.iter().any(computed) {
            return None;
        }
        Some(Box::pin(async move {
            if let Err(error) = store.put(prompt.hashes()).await {
                tracing::warn!(%error, "blocks not put into the shared store");
            }
        }))
    }

    /// Token counts so far.
    pub(super) fn usage(&self) -> Usage {
        let ends = || self.choices.iter().filter_map(|choice| choice.ticket.summary());
        Usage {
            prompt: ends().map(|end| end.prompt_tokens).next().unwrap_or_default(),
            completion: ends().map(|end| end.output_tokens).sum(),
            cached: self
                .engine
                .config
                .prompt_tokens_details
                .then(|| ends().map(|end| end.cached_tokens()).next())
                .flatten(),
        }
    }

    /// The answer as one document.
    ///
    /// # Errors
    /// When a choice ended with an error.
    pub(super) fn document(&self, kv: Option<&str>) -> Result<Bytes, Refusal> {
        let mut choices = Vec::with_capacity(self.choices.len());
        for choice in &self.choices {
            match choice.ticket.summary() {
                Some(summary) if summary.reason != FinishReason::Error => {
                    choices.push((choice.text(summary), choice.ending(summary)));
                }
                _ => return Err(Refusal::internal()),
            }
        }
        Ok(self.frame.document(&choices, self.usage(), kv).into())
    }

    /// Whether any choice ended with an error.
    pub(super) fn failed(&self) -> bool {
        let mut ends = self.choices.iter().filter_map(|choice| choice.ticket.summary());
        ends.any(|end| end.reason == FinishReason::Error)
    }
}
