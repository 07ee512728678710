//! From what is known of an engine to its status.
//!
//! Between two scrapes the sidecar's requests say what changed: those sent since the last scrape began are not in its numbers
//! and are added, those that were in its numbers and have ended since are taken off. A request is listed as recent as soon as
//! the numbers contain it, so a scheduler that counts it by itself stops doing so then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cluster::api::InferType;
use cluster::records::InstanceStatus;
use telemetry::clock::Moment;

use crate::config::{Known, Pace};
use crate::mean::Mean;
use crate::observation::Observation;

/// How long a request is listed as recent: several times the interval at which readers look.
const RECENT: Duration = Duration::from_secs(2);

/// A request that the sidecar has sent to the engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flight {
    pub(crate) id: Arc<str>,
    pub(crate) sent: Moment,
    /// It is known whether its first token is there.
    pub(crate) streaming: bool,
    pub(crate) first_token: bool,
}

impl Flight {
    /// It waits, or its prompt is being computed.
    fn is_before_first_token(&self) -> bool {
        self.streaming && !self.first_token
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Estimate {
    infer_type: InferType,
    known: Known,
    pace: Pace,
    /// The last scrape, and when it was begun.
    scraped: Option<(Moment, Observation)>,
    prompt_tokens: Mean,
    computed_tokens: Mean,
    flights: HashMap<Arc<str>, Flight>,
    /// Requests that have ended, and when.
    gone: Vec<(Moment, Flight)>,
    /// The engine last said anything then.
    heard: Moment,
    /// It last made progress, or had nothing to do, then.
    progressed: Moment,
    /// When the engine was started, in seconds since 1970; where it does not say, when it was first seen.
    started: f64,
}

/// Why requests should not be sent to an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It has not said anything yet.
    #[error("the engine has not answered yet")]
    Unknown,
    /// It does not answer.
    #[error("the engine has not answered for {0:?}")]
    Silent(Duration),
    /// It was put to sleep.
    #[error("the engine sleeps")]
    Asleep,
    /// It has requests and does nothing.
    #[error("the engine hangs: it has requests and has made no progress for {0:?}")]
    Hangs(Duration),
}

impl Estimate {
    pub(crate) fn new(infer_type: InferType, known: Known, pace: Pace, now: Moment) -> Self {
        Self {
            infer_type,
            known,
            pace,
            scraped: None,
            prompt_tokens: Mean::default(),
            computed_tokens: Mean::default(),
            flights: HashMap::new(),
            gone: Vec::new(),
            heard: now,
            progressed: now,
            started: 0.0,
        }
    }

    /// A scrape that was begun at `begun` says this.
    pub(crate) fn scraped(&mut self, begun: Moment, now: Moment, observation: Observation) {
        let idle = observation.running + observation.waiting + observation.loading == 0;
        let before = self.scraped.as_ref().map(|(_, before)| before);
        let is_anew = before.is_none_or(|before| observation.progress < before.progress);
        match observation.started {
            Some(started) => self.started = started,
            None if is_anew => self.started = now.unix_nanos() as f64 / 1e9,
            None => {}
        }
        if idle || before.is_none_or(|before| before.progress != observation.progress) {
            self.progressed = now;
        }
        self.heard = now;
        self.prompt_tokens.add(now, observation.requests, observation.prompt_tokens);
        self.computed_tokens.add(now, observation.requests, observation.computed_tokens);
        self.gone.retain(|(ended, _)| *ended >= begun || now - *ended <= RECENT);
        self.scraped = Some((begun, observation));
    }

    /// The sidecar has these requests now. Says whether anything is different.
    pub(crate) fn followed(&mut self, now: Moment, flights: Vec<Flight>) -> bool {
        let mut before = std::mem::take(&mut self.flights);
        let mut is_different = false;
        for mut flight in flights {
            match before.remove(&flight.id) {
                // Reckoned back from an age each time; the first reckoning stays.
                Some(known) => {
                    flight.sent = known.sent;
                    is_different |= flight != known;
                }
                None => is_different = true,
            }
            self.flights.insert(Arc::clone(&flight.id), flight);
        }
        is_different |= !before.is_empty();
        self.gone.extend(before.into_values().map(|flight| (now, flight)));
        let begun = self.scraped.as_ref().map_or(now, |(begun, _)| *begun);
        self.gone.retain(|(ended, _)| *ended >= begun || now - *ended <= RECENT);
        is_different
    }

    /// The sidecar does not answer: nothing is known of requests until it does.
    pub(crate) fn lost_sight(&mut self) {
        self.flights.clear();
        self.gone.clear();
    }

    /// When the engine was started, in seconds since 1970.
    pub(crate) fn started(&self) -> f64 {
        self.started
    }

    /// The last scrape.
    pub(crate) fn observation(&self) -> Option<&Observation> {
        self.scraped.as_ref().map(|(_, observation)| observation)
    }

    /// Whether requests can be sent to the engine.
    pub(crate) fn fitness(&self, now: Moment) -> Result<(), Unfit> {
        let Some(observation) = self.observation() else { return Err(Unfit::Unknown) };
        if now - self.heard > self.pace.silent_after {
            return Err(Unfit::Silent(now - self.heard));
        }
        if !observation.awake {
            return Err(Unfit::Asleep);
        }
        if now - self.progressed > self.pace.hang_after {
            return Err(Unfit::Hangs(now - self.progressed));
        }
        Ok(())
    }

    /// The status but for who it is about, and its numbers.
    pub(crate) fn status(&self, now: Moment) -> InstanceStatus {
        let Some((begun, observation)) = &self.scraped else {
            return InstanceStatus { schedulable: false, ..InstanceStatus::default() };
        };
        let counts = self.counts(*begun, observation);
        let tokens = self.tokens(observation, &counts);
        let decodes = self.infer_type != InferType::Prefill;
        let (mut recent, mut waiting) = (Vec::new(), Vec::new());
        for flight in self.flights.values() {
            if flight.is_before_first_token() {
                waiting.push(flight.id.to_string());
            }
            if flight.is_before_first_token() || now - flight.sent <= RECENT {
                recent.push(flight.id.to_string());
            }
        }
        let gone = self.gone.iter().filter(|(ended, _)| now - *ended <= RECENT);
        recent.extend(gone.map(|(_, flight)| flight.id.to_string()));
        recent.sort_unstable();
        waiting.sort_unstable();
        InstanceStatus {
            schedulable: self.fitness(now).is_ok(),
            step_id: observation.steps.map_or(0, whole),
            recent_waiting_requests: recent,
            waiting_requests: waiting,
            num_running_requests: int(counts.running),
            num_waiting_requests: int(counts.waiting),
            num_loading_requests: int(observation.loading),
            scheduler_running_to_decode_requests_num: if decodes { int(counts.running - counts.prefilling) } else { 0 },
            scheduler_waiting_to_decode_requests_num: if decodes { int(counts.waiting) } else { 0 },
            num_total_gpu_tokens: whole(tokens.total),
            num_used_gpu_tokens: whole(tokens.used),
            num_uncomputed_tokens_scheduler_waiting_prefills: whole(tokens.uncomputed_waiting),
            num_uncomputed_tokens_all_waiting_prefills: whole(tokens.uncomputed_waiting),
            num_uncomputed_tokens_scheduler_running_prefills: whole(tokens.uncomputed_running),
            scheduler_running_to_decode_tokens_num: if decodes { whole(tokens.decoding) } else { 0 },
            scheduler_waiting_to_decode_tokens_num: if decodes { whole(tokens.waiting) } else { 0 },
            num_tokens_loading_requests: whole(tokens.loading),
            ..InstanceStatus::default()
        }
    }

    /// Requests by state: the scrape's, set right by what the sidecar has seen since.
    fn counts(&self, begun: Moment, observation: &Observation) -> Counts {
        let later = self.flights.values().filter(|flight| flight.sent > begun);
        let (fresh, started) = later.fold((0, 0), |(fresh, started), flight| match flight.is_before_first_token() {
            true => (fresh + 1, started),
            false => (fresh, started + 1),
        });
        let was_in = |(ended, flight): &&(Moment, Flight)| *ended >= begun && flight.sent <= begun;
        let ended = u32::try_from(self.gone.iter().filter(was_in).count()).unwrap_or(u32::MAX);
        let from_running = ended.min(observation.running);
        let running = observation.running - from_running + started;
        let waiting = observation.waiting.saturating_sub(ended - from_running) + fresh;
        let unanswered = self.flights.values().filter(|flight| flight.sent <= begun && flight.is_before_first_token());
        let unanswered = u32::try_from(unanswered.count()).unwrap_or(u32::MAX);
        let elsewhere = observation.waiting + observation.loading;
        Counts {
            running,
            waiting,
            prefilling: unanswered.saturating_sub(elsewhere).min(running),
            ended: from_running,
            started,
        }
    }

    fn tokens(&self, observation: &Observation, counts: &Counts) -> Tokens {
        let total = f64::from(observation.kv_tokens.or(self.known.kv_tokens).unwrap_or(0));
        let prompt = self.prompt_tokens.get().unwrap_or(0.0);
        let computed = self.computed_tokens.get().unwrap_or(0.0);
        let used = observation.usage.clamp(0.0, 1.0) * total;
        let each = used / f64::from(observation.running.max(1));
        let used = (used - each * f64::from(counts.ended) + prompt * f64::from(counts.started)).clamp(0.0, total);
        let uncomputed_running = computed * f64::from(counts.prefilling);
        Tokens {
            total,
            used,
            uncomputed_waiting: computed * f64::from(counts.waiting),
            uncomputed_running,
            decoding: (used - prompt * f64::from(counts.prefilling + observation.loading)).max(0.0),
            waiting: prompt * f64::from(counts.waiting),
            loading: prompt * f64::from(observation.loading),
        }
    }
}

/// Requests by state.
struct Counts {
    running: u32,
    waiting: u32,
    /// Those of the running ones whose first token has not come.
    prefilling: u32,
    /// Running ones of the scrape that have ended since.
    ended: u32,
    /// Running ones that are not in the scrape.
    started: u32,
}

/// Tokens by what is to be done with them.
struct Tokens {
    total: f64,
    used: f64,
    uncomputed_waiting: f64,
    uncomputed_running: f64,
    decoding: f64,
    waiting: f64,
    loading: f64,
}

/// The record's numbers have 32 bits.
fn int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as counts should")]
fn whole(number: f64) -> i32 {
    number.round() as i32
}

#[cfg(test)]
mod tests;
