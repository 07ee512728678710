//! What the scheduler's predictor expects, against what the engine's core then does, in virtual time: the same every time.

#![expect(clippy::expect_used, reason = "a test helper fails its test by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::api::InferType;
use cluster::records::{InstanceMetadata, InstanceStatus};
use engine::core::hash::{BlockChain, Random};
use engine::core::latency::{Formula, Model, Source};
use engine::core::{Config, Core, RequestId, Spec};
use scheduler::predict::{Predictor, PredictorConfig};
use scheduler::view::Roster;
use telemetry::clock::Moment;

const BLOCK: u32 = 16;
/// Tokens in one step at most.
const BATCH: u32 = 2048;
/// How often the engine writes its status, and how often the scheduler reads it.
const PUSH: Duration = Duration::from_millis(40);
const PULL: Duration = Duration::from_millis(50);
/// How long an engine lists a request that has come: a status may be written over before it is read.
const RECENT: Duration = Duration::from_secs(1);
/// Predictions are compared from then on, and requests come until then.
const WARM: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(65);

/// An engine whose steps are off by a twentieth at most.
fn core() -> Core {
    let formula = Formula {
        prefill_base: Duration::from_millis(12),
        prefill_per_token: Duration::from_micros(60),
        decode_step: Duration::from_millis(9),
        decode_per_sequence: Duration::from_micros(400),
    };
    Core::new(Config {
        block_size: BLOCK,
        blocks: 60_000,
        max_num_seqs: 256,
        max_num_batched_tokens: BATCH,
        prefix_caching: false,
        hold_timeout: Duration::from_secs(60),
        latency: Model { source: Source::Formula(formula), jitter: 0.05, ..Model::zero() },
        seed: 1,
    })
}

fn at(now: Duration) -> Moment {
    Moment::from_nanos(1 << 51) + now
}

/// A request's predictions and its tokens, in milliseconds.
#[derive(Default)]
struct Seen {
    predicted: Option<(f64, Option<f64>)>,
    arrived: Duration,
    first: Option<Duration>,
    last: Duration,
    tokens: u32,
}

struct World {
    core: Core,
    roster: Roster,
    infer_type: InferType,
    status: InstanceStatus,
    /// Who came lately, and when.
    recent: Vec<(Duration, String)>,
    requests: BTreeMap<RequestId, Seen>,
}

impl World {
    fn new(infer_type: InferType) -> Self {
        let config = PredictorConfig { warmup: 20, prefills: None, decodes: None };
        let mut roster = Roster::new(Some(Predictor::new(&config)), u64::from(BATCH));
        let metadata = InstanceMetadata {
            instance_id: "e".to_owned(),
            instance_type: infer_type.to_string(),
            utc_create: 1.0,
            ..InstanceMetadata::default()
        };
        roster.metadata([metadata], at(Duration::ZERO));
        let (status, recent, requests) = (InstanceStatus::default(), Vec::new(), BTreeMap::new());
        Self { core: core(), roster, infer_type, status, recent, requests }
    }

    /// What the engine would write of itself now.
    fn publish(&mut self, now: Duration) {
        let load = self.core.load();
        self.recent.retain(|(came, _)| now - *came < RECENT);
        let int = |count: u64| i32::try_from(count).expect("a small number");
        let (step, prefill_tokens) = load.last_step.unwrap_or_default();
        self.status = InstanceStatus {
            instance_id: "e".to_owned(),
            schedulable: true,
            timestamp_ms: i64::try_from(at(now).unix_nanos() / 1_000_000).expect("a time"),
            update_id: self.status.update_id + 1,
            recent_waiting_requests: self.recent.iter().map(|(_, id)| id.clone()).collect(),
            waiting_requests: load.waiting_ids.iter().map(RequestId::to_string).collect(),
            scheduler_waiting_to_decode_requests_num: int(load.waiting_to_decode.requests.into()),
            scheduler_waiting_to_decode_tokens_num: int(load.waiting_to_decode.tokens),
            scheduler_running_to_decode_requests_num: int(load.running_to_decode.requests.into()),
            scheduler_running_to_decode_tokens_num: int(load.running_to_decode.tokens),
            num_uncomputed_tokens_all_waiting_prefills: int(load.uncomputed_waiting),
            num_uncomputed_tokens_scheduler_running_prefills: int(load.uncomputed_running),
            profiling_id: int(load.steps),
            step_duration: step.as_secs_f64() * 1e3,
            num_scheduled_prefill_tokens: int(prefill_tokens.into()),
            ..InstanceStatus::default()
        };
    }

    /// A request is placed, and is at the engine at once.
    fn place(&mut self, id: RequestId, prompt: u32, max_tokens: u32, now: Duration) {
        let view = self.roster.view();
        let mut seen = Seen { arrived: now, ..Seen::default() };
        if let Some(instance) = view.find("e") {
            let ttft = instance.predicted_ttft_ms(prompt.into(), at(now));
            let tpot = instance.predicted_tpot_ms(prompt.into(), at(now));
            seen.predicted = ttft.filter(|_| now >= WARM).map(|ttft| (ttft, tpot));
            instance.seat.account.enter(&id.to_string(), self.infer_type, prompt.into(), at(now));
            if let Some(ttft) = ttft {
                instance.seat.promise(at(now) + Duration::from_secs_f64(ttft / 1e3));
            }
        }
        let mut tokens = BlockChain::new(BLOCK, id);
        tokens.extend(0..prompt);
        self.core.add(id, Spec::new(tokens, id, max_tokens), now);
        self.recent.push((now, id.to_string()));
        self.requests.insert(id, seen);
    }

    fn step_ends(&mut self, now: Duration) {
        self.core.complete(now);
        for output in self.core.take_outputs() {
            if let Some(seen) = self.requests.get_mut(&output.id).filter(|_| output.gap.is_some()) {
                seen.first.get_or_insert(now);
                (seen.last, seen.tokens) = (now, output.tokens);
            }
        }
    }

    /// Runs requests that come at random, so many a second, and says how far predictions of TTFT and TPOT were off, as
    /// shares of what was, in order.
    fn run(mut self, per_second: f64, prompts: u32, max_tokens: u32) -> [Vec<f64>; 2] {
        let mut random = Random::new(11, 5);
        let (mut arrival, mut push, mut pull) = (Duration::ZERO, Duration::ZERO, Duration::from_millis(7));
        let mut step_end: Option<Duration> = None;
        let mut next: RequestId = 1;
        loop {
            let now = step_end.into_iter().chain([arrival, push, pull]).min().expect("an event");
            if now >= END {
                break;
            }
            if step_end == Some(now) {
                self.step_ends(now);
                step_end = None;
            } else if now == arrival {
                let prompt = 1 + (random.unit() * f64::from(prompts)) as u32;
                self.place(next, prompt, max_tokens, now);
                next += 1;
                arrival += Duration::from_secs_f64(-(1.0 - random.unit()).ln() / per_second);
            } else if now == push {
                self.publish(now);
                push += PUSH;
            } else {
                self.roster.statuses([&self.status], at(now));
                pull += PULL;
            }
            if step_end.is_none() {
                step_end = self.core.schedule(now).map(|step| now + step.duration);
            }
        }
        self.errors()
    }

    fn errors(&self) -> [Vec<f64>; 2] {
        let (mut ttft, mut tpot) = (Vec::new(), Vec::new());
        for seen in self.requests.values() {
            let (Some((expected, per_token)), Some(first)) = (seen.predicted, seen.first) else { continue };
            let took = (first - seen.arrived).as_secs_f64() * 1e3;
            ttft.push((expected - took).abs() / took);
            if let (Some(expected), 2..) = (per_token, seen.tokens) {
                let took = (seen.last - first).as_secs_f64() * 1e3 / f64::from(seen.tokens - 1);
                tpot.push((expected - took).abs() / took);
            }
        }
        for errors in [&mut ttft, &mut tpot] {
            errors.sort_by(f64::total_cmp);
        }
        [ttft, tpot]
    }
}

fn quantile(errors: &[f64], of: f64) -> f64 {
    errors[(errors.len() as f64 * of) as usize]
}

#[test]
fn first_tokens_of_a_prefill_instance_come_when_they_were_expected() {
    // A prompt takes 72 ms in the middle: the instance is busy two thirds of the time.
    let [ttft, _] = World::new(InferType::Prefill).run(9.0, 2000, 1);
    assert!(ttft.len() > 400, "{}", ttft.len());
    let (median, most) = (quantile(&ttft, 0.5), quantile(&ttft, 0.9));
    eprintln!("prefill {median:.3} {most:.3}");
    assert!(median < 0.12 && most < 0.75, "{median} {most}");
}

#[test]
fn and_so_do_the_tokens_of_a_neutral_one() {
    let [ttft, tpot] = World::new(InferType::Neutral).run(4.0, 1000, 40);
    assert!(ttft.len() > 180 && tpot.len() > 180, "{} {}", ttft.len(), tpot.len());
    for (what, errors, median_most, ninth_most) in [("TTFT", &ttft, 0.2, 0.6), ("TPOT", &tpot, 0.25, 0.6)] {
        let (median, most) = (quantile(errors, 0.5), quantile(errors, 0.9));
        eprintln!("{what} {median:.3} {most:.3}");
        assert!(median < median_most && most < ninth_most, "{what}: {median} {most}");
    }
}
