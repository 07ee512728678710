//! The scheduling pass: which requests take part in the next step, with how many tokens.

use super::latency::Work;
use super::sequence::{External, FinishReason, Sequence, Stage};
use super::{Core, Fetch, RequestId, Totals};
use std::time::Duration;

/// A planned step.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Requests and how many tokens of each are computed.
    pub(super) parts: Vec<(RequestId, u32)>,
    /// What that costs.
    pub(super) work: Work,
    /// Tokens of all parts …
    pub(super) tokens: u32,
    /// … and of those the prompts'. A fetched prompt's last token, computed again, is not counted: nor does vLLM.
    pub(super) prompt_tokens: u32,
}

/// What became of a request at the head of a queue.
enum Admission {
    /// It takes part.
    Admitted,
    /// It left the queue without taking part (KV is on its way, or it ended).
    Parked,
    /// There is no room for it, nor for anybody behind it.
    Blocked,
}

impl Core {
    pub(super) fn plan(&mut self, now: Duration) -> Plan {
        let mut plan = Plan::default();
        let preempted = self.continue_running(&mut plan);
        // Memory is short: admitting more would only preempt again.
        if !preempted {
            self.admit_waiting(&mut plan, now);
        }
        plan
    }

    /// Serves running requests, oldest first, and says whether one had to give up its blocks.
    fn continue_running(&mut self, plan: &mut Plan) -> bool {
        let mut preempted = false;
        let mut index = 0;
        while index < self.running.len() && plan.tokens < self.config.max_num_batched_tokens {
            let id = self.running[index];
            let tokens = self.chunk(id, plan);
            while !self.grow(id, tokens) {
                preempted = true;
                if self.preempt_last() == Some(id) {
                    return true;
                }
            }
            self.take_part(id, tokens, plan);
            index += 1;
        }
        preempted
    }

    fn admit_waiting(&mut self, plan: &mut Plan, now: Duration) {
        while plan.tokens < self.config.max_num_batched_tokens && self.running.len() < self.config.max_num_seqs as usize
        {
            let Some(&id) = self.queues.head().front() else {
                break;
            };
            if let Admission::Blocked = self.admit(id, plan, now) {
                break;
            }
            self.queues.head().pop_front();
        }
    }

    fn admit(&mut self, id: RequestId, plan: &mut Plan, now: Duration) -> Admission {
        let Some(sequence) = self.sequences.get(&id) else {
            return Admission::Parked;
        };
        let looking_up = sequence.blocks.is_empty();
        if looking_up && let Some(admission) = self.start(id, now) {
            return admission;
        }
        let tokens = self.chunk(id, plan);
        if !self.grow(id, tokens) {
            // Fetched blocks hold KV that nobody else has; a local lookup can simply be repeated.
            if looking_up {
                self.vacate(id);
            }
            return Admission::Blocked;
        }
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return Admission::Parked;
        };
        sequence.stage = Stage::Running;
        sequence.summary.scheduled.get_or_insert(now);
        self.totals.count_lookup(sequence);
        self.running.push(id);
        self.take_part(id, tokens, plan);
        Admission::Admitted
    }

    /// Looks the prompt up in the caches. None when the request can go on to take part with what was found.
    fn start(&mut self, id: RequestId, now: Duration) -> Option<Admission> {
        let sequence = self.sequences.get_mut(&id)?;
        let block_size = self.config.block_size;
        // At least one token is computed, or there would be nothing to sample from.
        let eligible = ((sequence.total() - 1) / block_size) as usize;
        let hashes = &sequence.chain.hashes()[..eligible.min(sequence.chain.hashes().len())];
        let hashes = &hashes[..self.pool.hits(hashes)];
        let hits = hashes.len() as u32 * block_size;
        let external = sequence.external.tokens();
        let cached = f64::from(hits.max(external)) / f64::from(sequence.prompt_len);
        if cached < sequence.cache_hit_threshold {
            self.finish(id, FinishReason::CacheThreshold, now);
            return Some(Admission::Parked);
        }
        let found = hashes.len() as u32;
        let fetched = external.max(hits).div_ceil(block_size) - found;
        let fetch = match sequence.external {
            External::None => false,
            External::Store(_) => fetched > 0,
            External::Peer(_) => true,
        };
        // A request that has been fetched for must be able to run: its whole prompt gets room now. Otherwise two of
        // them, each waiting for the other's blocks, would wait for ever.
        let wanted = if fetch { sequence.total().div_ceil(block_size) - found } else { 0 };
        if wanted > self.pool.free_after_reuse(hashes) {
            return Some(Admission::Blocked);
        }
        self.pool.reuse(hashes, &mut sequence.blocks);
        sequence.remembered = hashes.len();
        sequence.computed = hits;
        if !fetch || !self.pool.allocate(wanted, &mut sequence.blocks) {
            return None;
        }
        self.totals.count_lookup(sequence);
        sequence.stage = Stage::Fetching;
        self.fetching += 1;
        self.fetches.push(Fetch { id, blocks: fetched });
        Some(Admission::Parked)
    }

    /// How many of the request's tokens fit into what is left of the step's budget.
    fn chunk(&self, id: RequestId, plan: &Plan) -> u32 {
        let missing = self.sequences.get(&id).map_or(0, Sequence::missing);
        missing.min(self.config.max_num_batched_tokens - plan.tokens)
    }

    /// Gives the request blocks for `tokens` more tokens; false when there are not enough.
    pub(super) fn grow(&mut self, id: RequestId, tokens: u32) -> bool {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return false;
        };
        let needed = (sequence.computed + tokens).div_ceil(self.config.block_size);
        let more = needed.saturating_sub(sequence.blocks.len() as u32);
        self.pool.allocate(more, &mut sequence.blocks)
    }

    /// Takes the request's blocks away.
    pub(super) fn vacate(&mut self, id: RequestId) {
        if let Some(sequence) = self.sequences.get_mut(&id) {
            self.pool.release(&sequence.blocks);
            sequence.blocks.clear();
            sequence.remembered = 0;
            sequence.computed = 0;
        }
    }

    fn take_part(&mut self, id: RequestId, tokens: u32, plan: &mut Plan) {
        let Some(sequence) = self.sequences.get(&id) else {
            return;
        };
        // See the latency module: a short pass after a cached prefix costs what decoding costs.
        if sequence.computed > 0 && tokens <= self.config.block_size {
            plan.work.decode_sequences += 1;
            plan.work.decode_context += u64::from(sequence.computed);
        } else {
            plan.work.prefill_tokens += u64::from(tokens);
        }
        if sequence.computed + 1 < sequence.prompt_len {
            plan.prompt_tokens += tokens;
        }
        plan.tokens += tokens;
        plan.parts.push((id, tokens));
    }

    /// Takes all blocks from the running request that was admitted last; it will start again, before anybody new.
    fn preempt_last(&mut self) -> Option<RequestId> {
        let id = self.running.pop()?;
        self.vacate(id);
        let sequence = self.sequences.get_mut(&id)?;
        sequence.stage = Stage::Waiting;
        // What is lost is computed again, not fetched again.
        sequence.external = External::None;
        sequence.summary.preemptions += 1;
        self.preemptions += 1;
        self.totals.preemptions += 1;
        self.queues.preempted.push_front(id);
        Some(id)
    }
}

impl Totals {
    /// Accounts, once per request, for what the caches knew of its prompt (`computed` is still just that).
    fn count_lookup(&mut self, sequence: &mut Sequence) {
        if std::mem::replace(&mut sequence.looked_up, true) {
            return;
        }
        let found = sequence.computed.min(sequence.prompt_len);
        sequence.summary.local_hits = found;
        self.prefix_queries += u64::from(sequence.prompt_len);
        self.prefix_hits += u64::from(found);
        if sequence.external != External::None {
            self.external_queries += u64::from(sequence.prompt_len - found);
        }
    }
}
