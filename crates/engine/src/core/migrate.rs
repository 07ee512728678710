//! Requests that go to another instance in mid-life, and requests that come from one.
//!
//! A request leaves between two steps. It keeps its blocks until the other instance has read them ([`Core::release`]) and takes
//! part in no step; what the other one generates is reported to [`Core::relay`], so that whoever waits for the request notices
//! nothing. Should the other one fail, the request [comes back](Core::come_back): with its blocks, if it still has them, or to be
//! computed again, with the tokens that it has got already.

use super::hash::BlockChain;
use super::sequence::{External, FinishReason, Sequence, Spec, Stage};
use super::{Core, Output, RequestId, generated};
use std::cmp::Reverse;
use std::time::Duration;

/// Which requests go first; the names are those of a llumlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `LCR`: of those that run, the one that came last.
    LastCome,
    /// `FCR`: of those that run, the one that came first.
    FirstCome,
    /// `LR`: of those that run, the longest.
    Longest,
    /// `SR`: of those that run, the shortest.
    Shortest,
    /// `FCW`: of those that wait, the one that came first.
    FirstWaiting,
    /// `FCWSR`: those that wait, as they came, and then those that run, the shortest first.
    FirstWaitingThenShortest,
}

/// How much goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many requests.
    Requests(u64),
    /// Everything.
    All,
    /// Requests until they have so many tokens together.
    Tokens(u64),
    /// Requests until they fill so much of the KV cache together.
    Share(f64),
}

/// A request on its way: all that another instance needs to go on with it, but for the KV.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Prompt and generated tokens.
    pub chain: BlockChain,
    /// How many of them were generated.
    pub generated: u32,
    /// How many of them have KV.
    pub computed: u32,
    /// What further tokens follow from.
    pub text_seed: u64,
    /// As in [`Spec`].
    pub max_tokens: u32,
    /// As in [`Spec`].
    pub stop_after: Option<u32>,
}

impl Order {
    /// The order of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "LCR" => Self::LastCome,
            "FCR" => Self::FirstCome,
            "LR" => Self::Longest,
            "SR" => Self::Shortest,
            "FCW" => Self::FirstWaiting,
            "FCWSR" => Self::FirstWaitingThenShortest,
            _ => return None,
        })
    }
}

impl Departure {
    fn of(sequence: &Sequence) -> Self {
        let stops = sequence.limit_reason == FinishReason::Stop;
        Self {
            chain: sequence.chain.clone(),
            generated: sequence.summary.output_tokens,
            computed: sequence.computed,
            text_seed: sequence.text_seed,
            max_tokens: sequence.max_tokens,
            stop_after: stops.then_some(sequence.limit),
        }
    }

    /// The request as the other instance adds it; its KV is fetched from here, where there is any.
    #[must_use]
    pub fn into_spec(self) -> Spec {
        let external = if self.computed > 0 { External::Peer(self.computed) } else { External::None };
        Spec {
            generated: self.generated,
            stop_after: self.stop_after,
            external,
            ..Spec::new(self.chain, self.text_seed, self.max_tokens)
        }
    }
}

impl Core {
    /// The requests that go where `amount` of them is to go, in this order. Those that somebody else waits to fetch from, or that
    /// are being fetched themselves, stay.
    #[must_use]
    pub fn choose(&self, order: Order, amount: Amount) -> Vec<RequestId> {
        let most = match amount {
            Amount::Requests(requests) => usize::try_from(requests).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let capacity = f64::from(self.pool.capacity()) * f64::from(self.config.block_size);
        let enough = match amount {
            Amount::Tokens(tokens) => tokens,
            Amount::Share(share) => (share.max(0.0) * capacity) as u64,
            Amount::Requests(_) | Amount::All => u64::MAX,
        };
        let mut tokens = 0;
        let more = |&(_, length): &(RequestId, u32)| {
            let more = tokens < enough;
            tokens += u64::from(length);
            more
        };
        let candidates = self.candidates(order).into_iter();
        candidates.take(most).take_while(more).map(|(id, _)| id).collect()
    }

    /// Everybody who may go, in order, with their lengths.
    fn candidates(&self, order: Order) -> Vec<(RequestId, u32)> {
        let of = |id: &RequestId| {
            let sequence = self.sequences.get(id)?;
            let stays = sequence.hold || sequence.aborted || sequence.external != External::None;
            (!stays && !self.leaving.contains(id)).then(|| (*id, sequence.total()))
        };
        let mut running: Vec<_> = self.running.iter().filter_map(of).collect();
        match order {
            Order::FirstCome | Order::FirstWaiting => {}
            Order::LastCome => running.reverse(),
            Order::Longest => running.sort_by_key(|&(id, length)| (Reverse(length), id)),
            Order::Shortest | Order::FirstWaitingThenShortest => running.sort_by_key(|&(id, length)| (length, id)),
        }
        let waiting = self.queues.preempted.iter().chain(&self.queues.waiting).filter_map(of);
        match order {
            Order::FirstWaiting => waiting.collect(),
            Order::FirstWaitingThenShortest => waiting.chain(running).collect(),
            _ => running,
        }
    }

    /// Lets a request go once the step under way has ended, unless it ends with it; [`Core::take_departures`] tells.
    pub fn leave(&mut self, id: RequestId) {
        self.leaving.push(id);
    }

    /// Requests that have left since the last call.
    pub fn take_departures(&mut self) -> Vec<(RequestId, Departure)> {
        std::mem::take(&mut self.departures)
    }

    /// Between two steps: whoever is to leave does.
    pub(super) fn depart(&mut self) {
        for id in std::mem::take(&mut self.leaving) {
            let Some(sequence) = self.sequences.get_mut(&id) else {
                continue;
            };
            match sequence.stage {
                Stage::Waiting => self.queues.remove(id),
                Stage::Running => self.running.retain(|other| *other != id),
                Stage::Fetching | Stage::Away => continue,
            }
            sequence.stage = Stage::Away;
            self.departures.push((id, Departure::of(sequence)));
        }
    }

    /// A request that is away has got so many tokens altogether by now. False when there is no such request (any more).
    pub fn relay(&mut self, id: RequestId, tokens: u32, now: Duration) -> bool {
        let Some(sequence) = self.sequences.get_mut(&id).filter(|sequence| sequence.stage == Stage::Away) else {
            return false;
        };
        let summary = &mut sequence.summary;
        let known = summary.output_tokens;
        while summary.output_tokens < tokens.min(sequence.limit) {
            sequence.chain.push(generated(sequence.text_seed, summary.output_tokens));
            summary.output_tokens += 1;
        }
        if summary.output_tokens > known {
            summary.first_token.get_or_insert(now);
            summary.last_token = Some(now);
            // Generated elsewhere, and counted there.
            self.outputs.push(Output { id, tokens: summary.output_tokens, gap: None, finished: None });
        }
        true
    }

    /// A request that is away has ended there, with as many tokens as have been relayed.
    pub fn relay_end(&mut self, id: RequestId, reason: FinishReason, now: Duration) {
        if self.sequences.get(&id).is_some_and(|sequence| sequence.stage == Stage::Away) {
            self.finish(id, reason, now);
        }
    }

    /// A request that is away goes on here: the other instance has not taken it, or has failed. Does nothing for any other.
    pub fn come_back(&mut self, id: RequestId) {
        let Some(sequence) = self.sequences.get_mut(&id).filter(|sequence| sequence.stage == Stage::Away) else {
            return;
        };
        sequence.stage = Stage::Waiting;
        let (has_blocks, missing) = (!sequence.blocks.is_empty(), sequence.missing());
        // Those that own blocks are served first: anybody before them could wait for these for ever. So they must be able to run;
        // two of them, each waiting for the other's blocks, would wait for ever as well.
        if has_blocks && self.grow(id, missing) {
            self.queues.arrived.push_back(id);
        } else {
            self.vacate(id);
            self.queues.preempted.push_back(id);
        }
    }

    /// Frees the blocks of a request that is away: the other instance has them. False when it has none here.
    pub(super) fn release_away(&mut self, id: RequestId) -> bool {
        let holds = |sequence: &Sequence| sequence.stage == Stage::Away && !sequence.blocks.is_empty();
        let away = self.sequences.get(&id).is_some_and(holds);
        if away {
            self.vacate(id);
        }
        away
    }
}

#[cfg(test)]
mod tests;
