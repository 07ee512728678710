//! The engine core: a scheduler with continuous batching over a paged KV cache, without IO and without a clock.
//!
//! It follows vLLM's V1 scheduler. Each step has a token budget; running requests are served first, in the order in
//! which they were admitted, each with as many of its missing tokens as the budget allows (so a long prompt is computed
//! in chunks while others decode); then waiting requests are admitted first come, first served, while there are budget,
//! batch slots and blocks. When a running request needs a block and none is free, the one admitted last loses all of
//! its blocks and starts again (preemption by recompute). Finished requests leave their full blocks behind as prefix
//! cache.
//!
//! The owner drives it: [`Core::schedule`] starts a step and says how long the simulated hardware takes,
//! [`Core::complete`] ends it. Between the two, requests may be added, aborted and released; what a running step
//! computes is not taken away from it, so an abort frees blocks when the step ends. What came of any call is collected
//! in [`Core::take_outputs`] and [`Core::take_fetches`].
//!
//! All times are durations since a start the owner chose. Given the same calls, two cores with the same seed answer the
//! same, to the nanosecond.

pub mod blocks;
pub mod hash;
pub mod latency;
mod load;
mod migrate;
mod schedule;
mod sequence;

pub use load::{Load, Weight};
pub use migrate::{Amount, Departure, Order};
pub use sequence::{External, FinishReason, RequestId, Spec, Summary};

use blocks::{BlockId, BlockPool};
use hash::{Random, TokenId};
use sequence::{Sequence, Stage};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// Sizes and rules of a core.
#[derive(Clone, Debug)]
pub struct Config {
    /// Tokens per KV block; at least 1.
    pub block_size: u32,
    /// KV blocks, the null block included.
    pub blocks: u32,
    /// Requests in one step at most.
    pub max_num_seqs: u32,
    /// Tokens in one step at most.
    pub max_num_batched_tokens: u32,
    /// Whether full blocks are remembered for later requests with the same prefix.
    pub prefix_caching: bool,
    /// How long held blocks wait to be fetched.
    pub hold_timeout: Duration,
    /// What time things take.
    pub latency: latency::Model,
    /// Same seed, same behaviour.
    pub seed: u64,
}

/// A step under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How long it takes.
    pub duration: Duration,
    /// Tokens computed in it.
    pub tokens: u32,
    /// Those of them that belong to prompts.
    pub prompt_tokens: u32,
    /// Requests taking part.
    pub sequences: u32,
    /// Requests that lost their blocks since the step before.
    pub preemptions: u32,
}

/// Something a request's owner should learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// Which request.
    pub id: RequestId,
    /// Tokens generated so far.
    pub tokens: u32,
    /// Time since the token before, or since arrival for the first; absent when this output brings no token.
    pub gap: Option<Duration>,
    /// The account, when the request has ended.
    pub finished: Option<Summary>,
}

/// KV to be brought in from elsewhere; answered with [`Core::fetched`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// For which request.
    pub id: RequestId,
    /// Blocks to move: those the local cache does not have. May be 0 for [`External::Peer`].
    pub blocks: u32,
}

/// Running totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Steps completed.
    pub steps: u64,
    /// Requests that lost their blocks.
    pub preemptions: u64,
    /// Tokens looked up in the local prefix cache …
    pub prefix_queries: u64,
    /// … and found.
    pub prefix_hits: u64,
    /// Tokens looked up elsewhere (those not found locally, where there is an elsewhere) …
    pub external_queries: u64,
    /// … and fetched.
    pub external_hits: u64,
    /// Holds that nobody fetched in time.
    pub expired_holds: u64,
}

/// What a core holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Requests in the batch.
    pub running: usize,
    /// Requests queued for capacity.
    pub waiting: usize,
    /// Requests whose KV is being fetched.
    pub fetching: usize,
    /// Finished requests whose blocks wait for another instance.
    pub holds: usize,
    /// Usable KV blocks.
    pub capacity: u32,
    /// Blocks referenced by anyone.
    pub used: u32,
    /// Those of them that are only held for another instance.
    pub held: u32,
}

/// What a hold keeps.
#[derive(Debug)]
struct Hold {
    blocks: Vec<BlockId>,
    deadline: Duration,
}

/// Requests outside the batch, in the order in which the queues are served.
#[derive(Debug, Default)]
struct Queues {
    /// Their KV has arrived. They own blocks, so anybody blocked before them could wait for them for ever.
    arrived: VecDeque<RequestId>,
    /// They lost their blocks.
    preempted: VecDeque<RequestId>,
    /// They are new.
    waiting: VecDeque<RequestId>,
}

impl Queues {
    fn len(&self) -> usize {
        self.arrived.len() + self.preempted.len() + self.waiting.len()
    }

    /// The queue that is served now.
    fn head(&mut self) -> &mut VecDeque<RequestId> {
        if !self.arrived.is_empty() {
            &mut self.arrived
        } else if !self.preempted.is_empty() {
            &mut self.preempted
        } else {
            &mut self.waiting
        }
    }

    fn remove(&mut self, id: RequestId) {
        for queue in [&mut self.arrived, &mut self.preempted, &mut self.waiting] {
            queue.retain(|other| *other != id);
        }
    }
}

/// See the [module's documentation](self).
#[derive(Debug)]
pub struct Core {
    config: Config,
    random: Random,
    pool: BlockPool,
    sequences: HashMap<RequestId, Sequence>,
    queues: Queues,
    running: Vec<RequestId>,
    fetching: usize,
    /// Requests and tokens of the step under way.
    step: Option<Vec<(RequestId, u32)>>,
    /// What that step is.
    underway: Option<Step>,
    /// The last step that ended.
    last_step: Option<Step>,
    holds: HashMap<RequestId, Hold>,
    hold_deadlines: BTreeSet<(Duration, RequestId)>,
    outputs: Vec<Output>,
    fetches: Vec<Fetch>,
    /// Requests that leave when the step under way has ended …
    leaving: Vec<RequestId>,
    /// … and those that have left.
    departures: Vec<(RequestId, Departure)>,
    /// Since the last step.
    preemptions: u32,
    totals: Totals,
}

impl Core {
    /// A core with nothing to do.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed, 0x57e9),
            pool: BlockPool::new(config.blocks, config.prefix_caching),
            sequences: HashMap::new(),
            queues: Queues::default(),
            running: Vec::new(),
            fetching: 0,
            step: None,
            underway: None,
            last_step: None,
            holds: HashMap::new(),
            hold_deadlines: BTreeSet::new(),
            outputs: Vec::new(),
            fetches: Vec::new(),
            leaving: Vec::new(),
            departures: Vec::new(),
            preemptions: 0,
            totals: Totals::default(),
            config,
        }
    }

    /// Whether a prompt of `prompt_tokens` with `max_tokens` more can ever be computed. Adding one that cannot would
    /// block the queue behind it.
    #[must_use]
    pub fn fits(&self, prompt_tokens: u32, max_tokens: u32) -> bool {
        let tokens = u64::from(prompt_tokens) + u64::from(max_tokens);
        prompt_tokens > 0 && tokens.div_ceil(u64::from(self.config.block_size)) <= u64::from(self.pool.capacity())
    }

    /// Queues a request that [fits](Self::fits). `id` must be new.
    pub fn add(&mut self, id: RequestId, spec: Spec, now: Duration) {
        debug_assert!(self.fits(spec.prompt.len() - spec.generated, spec.max_tokens));
        self.sequences.insert(id, Sequence::new(spec, now));
        self.queues.waiting.push_back(id);
    }

    /// Gives a request up. Its blocks are free at once, or when the step under way ends, or when the fetch into them
    /// does. Does nothing for a request that has ended (its hold stays).
    pub fn abort(&mut self, id: RequestId, now: Duration) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        let stage = sequence.stage;
        sequence.aborted = true;
        match stage {
            Stage::Waiting => {
                self.queues.remove(id);
                self.finish(id, FinishReason::Abort, now);
            }
            // Memory that somebody else is writing to cannot be handed out.
            Stage::Fetching => {}
            Stage::Away => self.finish(id, FinishReason::Abort, now),
            Stage::Running if self.in_step(id) => {}
            Stage::Running => self.finish(id, FinishReason::Abort, now),
        }
    }

    /// The answer to a [`Fetch`]: the blocks are filled, or will never be.
    pub fn fetched(&mut self, id: RequestId, success: bool, now: Duration) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        if sequence.stage != Stage::Fetching {
            return;
        }
        self.fetching -= 1;
        sequence.stage = Stage::Waiting;
        let external = std::mem::take(&mut sequence.external).tokens();
        if sequence.aborted {
            return self.finish(id, FinishReason::Abort, now);
        }
        if !success {
            return self.finish(id, FinishReason::Error, now);
        }
        let known = sequence.computed.min(sequence.prompt_len);
        sequence.computed = sequence.computed.max(external);
        // Of the prompt; what another instance had generated comes along.
        let gained = sequence.computed.min(sequence.prompt_len) - known;
        sequence.summary.external_hits = gained;
        self.totals.external_hits += u64::from(gained);
        self.remember(id);
        if let Some(sequence) = self.sequences.get_mut(&id) {
            // The last token is computed again: its output is what the first generated token is sampled from.
            sequence.computed = sequence.computed.min(sequence.total() - 1);
        }
        self.queues.arrived.push_back(id);
    }

    /// Frees what the request `id`, finished or away, holds for another instance. False when it holds nothing (any more).
    pub fn release(&mut self, id: RequestId) -> bool {
        let Some(hold) = self.holds.remove(&id) else {
            return self.release_away(id);
        };
        self.hold_deadlines.remove(&(hold.deadline, id));
        self.pool.release(&hold.blocks);
        true
    }

    /// Frees every hold whose time has come and returns whose they were.
    pub fn expire(&mut self, now: Duration) -> Vec<RequestId> {
        let mut expired = Vec::new();
        while let Some(&(deadline, id)) = self.hold_deadlines.first() {
            if deadline > now {
                break;
            }
            self.release(id);
            expired.push(id);
        }
        self.totals.expired_holds += expired.len() as u64;
        expired
    }

    /// When [`expire`](Self::expire) will next have something to do.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        self.hold_deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Starts a step at `now`. None when one is under way or nothing can run.
    pub fn schedule(&mut self, now: Duration) -> Option<Step> {
        if self.step.is_some() {
            return None;
        }
        self.depart();
        let plan = self.plan(now);
        if plan.parts.is_empty() {
            return None;
        }
        let step = Step {
            duration: self.config.latency.step(&plan.work, &mut self.random),
            tokens: plan.tokens,
            prompt_tokens: plan.prompt_tokens,
            sequences: plan.parts.len() as u32,
            preemptions: std::mem::take(&mut self.preemptions),
        };
        self.step = Some(plan.parts);
        self.underway = Some(step);
        Some(step)
    }

    /// Ends the step under way at `now`: tokens come out, requests end. Does nothing when none is.
    pub fn complete(&mut self, now: Duration) {
        let Some(parts) = self.step.take() else {
            return;
        };
        self.totals.steps += 1;
        self.last_step = self.underway.take();
        for (id, tokens) in parts {
            self.advance(id, tokens, now);
        }
    }

    /// What requests' owners should learn since the last call.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// Fetches to start, each answered with [`fetched`](Self::fetched).
    pub fn take_fetches(&mut self) -> Vec<Fetch> {
        std::mem::take(&mut self.fetches)
    }

    /// How long it takes to move `blocks` blocks here, with jitter.
    pub fn transfer_time(&mut self, blocks: u32) -> Duration {
        let model = &self.config.latency;
        model.jittered(model.transfer.duration(blocks), &mut self.random)
    }

    /// Blocks kept for another instance by the finished request `id`.
    #[must_use]
    pub fn held(&self, id: RequestId) -> Option<&[BlockId]> {
        self.holds.get(&id).map(|hold| hold.blocks.as_slice())
    }

    /// Forgets cached prefixes.
    pub fn reset_prefix_cache(&mut self) {
        self.pool.reset_cache();
    }

    /// Running totals.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What the core holds now.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            running: self.running.len(),
            waiting: self.queues.len(),
            fetching: self.fetching,
            holds: self.holds.len(),
            capacity: self.pool.capacity(),
            used: self.pool.used(),
            held: self.holds.values().map(|hold| hold.blocks.len() as u32).sum(),
        }
    }

    /// Verifies that every referenced block has an owner and the pool's own invariants.
    ///
    /// # Errors
    /// The first violation, in words.
    pub fn check(&self) -> Result<(), String> {
        self.pool.check()?;
        let live = self.sequences.values().flat_map(|sequence| &sequence.blocks);
        let held = self.holds.values().flat_map(|hold| &hold.blocks);
        let owned: BTreeSet<BlockId> = live.chain(held).copied().collect();
        if owned.len() as u32 != self.pool.used() {
            return Err(format!("{} blocks used, {} owned", self.pool.used(), owned.len()));
        }
        if self.running.len() > self.config.max_num_seqs as usize {
            return Err(format!("{} running", self.running.len()));
        }
        Ok(())
    }

    fn in_step(&self, id: RequestId) -> bool {
        let parts = self.step.as_deref().unwrap_or_default();
        parts.iter().any(|(other, _)| *other == id)
    }

    /// The request's part of a completed step.
    fn advance(&mut self, id: RequestId, tokens: u32, now: Duration) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        sequence.computed += tokens;
        let (aborted, sampled) = (sequence.aborted, sequence.missing() == 0);
        self.remember(id);
        if aborted {
            self.finish(id, FinishReason::Abort, now);
        } else if sampled {
            self.sample(id, now);
        }
    }

    /// A token comes out of the request.
    fn sample(&mut self, id: RequestId, now: Duration) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        let summary = &mut sequence.summary;
        let before = summary.last_token.unwrap_or(summary.arrival);
        sequence.chain.push(generated(sequence.text_seed, summary.output_tokens));
        summary.output_tokens += 1;
        summary.first_token.get_or_insert(now);
        summary.last_token = Some(now);
        let output =
            Output { id, tokens: summary.output_tokens, gap: Some(now.saturating_sub(before)), finished: None };
        let ended = (summary.output_tokens >= sequence.limit).then_some(sequence.limit_reason);
        self.outputs.push(output);
        if let Some(reason) = ended {
            self.finish(id, reason, now);
        }
    }

    /// Removes the request, frees or holds its blocks and reports its end.
    fn finish(&mut self, id: RequestId, reason: FinishReason, now: Duration) {
        let Some(mut sequence) = self.sequences.remove(&id) else {
            return;
        };
        self.running.retain(|other| *other != id);
        // As in vLLM's NIXL connector: only a prefill that ran to its one token is worth keeping.
        if sequence.hold && reason == FinishReason::Length {
            sequence.summary.held_blocks = sequence.blocks.len() as u32;
            let deadline = now + self.config.hold_timeout;
            self.hold_deadlines.insert((deadline, id));
            self.holds.insert(id, Hold { blocks: sequence.blocks, deadline });
        } else {
            self.pool.release(&sequence.blocks);
        }
        let mut summary = sequence.summary;
        summary.reason = reason;
        summary.finished = now;
        self.report_end(id, summary);
    }

    /// Joins the end to the request's last token where both came out of the same call.
    fn report_end(&mut self, id: RequestId, summary: Summary) {
        match self.outputs.last_mut() {
            Some(last) if last.id == id && last.finished.is_none() => last.finished = Some(summary),
            _ => self.outputs.push(Output { id, tokens: summary.output_tokens, gap: None, finished: Some(summary) }),
        }
    }

    /// Tells the pool which of the request's blocks are full.
    fn remember(&mut self, id: RequestId) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        let hashes = sequence.chain.hashes();
        let full = (sequence.computed / self.config.block_size) as usize;
        let full = full.min(hashes.len()).min(sequence.blocks.len());
        let known = sequence.remembered;
        for (id, hash) in sequence.blocks.iter().zip(hashes).take(full).skip(known) {
            self.pool.remember(*id, *hash);
        }
        sequence.remembered = sequence.remembered.max(full);
    }
}

/// The id of the `index`th token that follows a prompt with `text_seed`.
#[must_use]
pub const fn generated(text_seed: u64, index: u32) -> TokenId {
    hash::fold(text_seed, index as u64) as TokenId
}

#[cfg(test)]
mod tests;
