//! What a core's requests weigh, in the terms in which a scheduler places further ones.

use std::time::Duration;

use super::sequence::{Sequence, Stage};
use super::{Core, RequestId, Step};

/// Requests, and the tokens they have so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// How many.
    pub requests: u32,
    /// Prompt and generated tokens of all of them.
    pub tokens: u64,
}

impl Weight {
    fn add(&mut self, sequence: &Sequence) {
        self.requests += 1;
        self.tokens += u64::from(sequence.total());
    }
}

/// The weight of everything a core holds, at one moment. A step's work is under way until the step ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Queued requests.
    pub waiting: Weight,
    /// Those of them that need more than one token, or that lack only one.
    pub waiting_to_decode: Weight,
    /// Tokens of queued requests that have no KV yet.
    pub uncomputed_waiting: u64,
    /// Requests in the batch.
    pub running: Weight,
    /// Those of them that need more than one token.
    pub running_to_decode: Weight,
    /// Tokens that lack KV, of requests in the batch that have not got their first token yet or were set back.
    pub uncomputed_running: u64,
    /// Tokens of the same requests that have no block yet.
    pub unallocated_running: u64,
    /// Requests whose KV is being fetched.
    pub loading: Weight,
    /// Requests that are with another instance.
    pub away: Weight,
    /// Tokens that fit into all blocks.
    pub total_tokens: u64,
    /// Tokens that fit into the blocks in use, for live requests or for other instances to fetch.
    pub used_tokens: u64,
    /// Queued requests, in the order in which they came.
    pub waiting_ids: Vec<RequestId>,
    /// Steps done.
    pub steps: u64,
    /// How long the last one took, and how many prompt tokens it computed.
    pub last_step: Option<(Duration, u32)>,
}

impl Core {
    /// What everything weighs now.
    #[must_use]
    pub fn load(&self) -> Load {
        let block_size = u64::from(self.config.block_size);
        let mut load = Load {
            total_tokens: u64::from(self.pool.capacity()) * block_size,
            used_tokens: u64::from(self.pool.used()) * block_size,
            steps: self.totals.steps,
            last_step: self.last_step.map(|step: Step| (step.duration, step.prompt_tokens)),
            ..Load::default()
        };
        for (id, sequence) in &self.sequences {
            match sequence.stage {
                Stage::Waiting => {
                    load.waiting_ids.push(*id);
                    load.add_waiting(sequence);
                }
                Stage::Fetching => load.loading.add(sequence),
                Stage::Away => load.away.add(sequence),
                Stage::Running => load.add_running(sequence, block_size),
            }
        }
        load.waiting_ids.sort_unstable();
        load
    }
}

impl Load {
    fn add_waiting(&mut self, sequence: &Sequence) {
        self.waiting.add(sequence);
        self.uncomputed_waiting += u64::from(sequence.missing());
        if sequence.max_tokens > 1 || sequence.missing() == 1 {
            self.waiting_to_decode.add(sequence);
        }
    }

    fn add_running(&mut self, sequence: &Sequence, block_size: u64) {
        self.running.add(sequence);
        if sequence.max_tokens > 1 {
            self.running_to_decode.add(sequence);
        }
        let is_prefill = sequence.summary.first_token.is_none() || sequence.missing() > 1;
        if is_prefill {
            let room = sequence.blocks.len() as u64 * block_size;
            self.uncomputed_running += u64::from(sequence.missing());
            self.unallocated_running += u64::from(sequence.total()).saturating_sub(room);
        }
    }
}

#[cfg(test)]
mod tests;
