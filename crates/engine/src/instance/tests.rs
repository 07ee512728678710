//! The step loop in virtual time.

use super::*;
use crate::core::hash::BlockChain;
use crate::core::latency::{Formula, Model, Source as Latency};
use crate::core::{Output, Step};
use proxy::Drain;
use tokio::sync::mpsc;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Answers every fetch when it is done, and passes on what was declined.
struct Stub {
    instance: Arc<Instance>,
    drain: Drain,
    declined: mpsc::Sender<Source>,
}

impl Observer for Stub {
    fn outputs(&self, _: &[Output], _: Option<&Step>) {}
    fn ended(&self, _: &Summary, _: Meta) {}
    fn expired(&self, _: &[RequestId]) {}

    fn fetch(&self, transfer: Transfer) {
        let instance = Arc::clone(&self.instance);
        self.drain.spawn(async move {
            tokio::time::sleep(ms(3)).await;
            instance.fetched(transfer.id, true);
        });
    }

    fn decline(&self, source: Source) {
        self.declined.try_send(source).unwrap();
    }
}

fn config(max_num_seqs: u32, prefill: Duration, decode: Duration) -> Config {
    let formula = Formula {
        prefill_base: prefill,
        prefill_per_token: Duration::ZERO,
        decode_step: decode,
        decode_per_sequence: Duration::ZERO,
    };
    Config {
        block_size: 4,
        blocks: 100,
        max_num_seqs,
        max_num_batched_tokens: 64,
        prefix_caching: true,
        hold_timeout: ms(1_000),
        latency: Model { source: Latency::Formula(formula), ..Model::zero() },
        seed: 0,
    }
}

fn running(config: Config) -> (Arc<Instance>, mpsc::Receiver<Source>) {
    running_with(config, Duration::ZERO)
}

fn running_with(config: Config, output_cost: Duration) -> (Arc<Instance>, mpsc::Receiver<Source>) {
    let instance = Instance::new(config, Clockwork::Tokio, output_cost);
    let (declined, receiver) = mpsc::channel(4);
    let drain = Drain::new();
    let stub = Stub { instance: Arc::clone(&instance), drain: drain.clone(), declined };
    drain.spawn(run(Arc::clone(&instance), stub));
    (instance, receiver)
}

fn spec(max_tokens: u32) -> Spec {
    let mut prompt = BlockChain::new(4, 0);
    prompt.extend(0..10);
    Spec::new(prompt, 1, max_tokens)
}

fn meta() -> Meta {
    Meta { id: "x".into(), model: "m".into(), max_tokens: 1, n: 1, top_p: 1.0, parent: None, guest: false }
}

/// When each token of a request came, in milliseconds since `start`.
async fn token_times(mut ticket: Ticket, start: Moment) -> Vec<u128> {
    let mut times = Vec::new();
    loop {
        let progress = std::future::poll_fn(|cx| ticket.poll(cx)).await;
        times.push((clock::now() - start).as_millis());
        if progress.finished.is_some() {
            return times;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_keep_the_models_pace() {
    let (instance, _) = running(config(4, ms(50), ms(10)));
    let start = clock::now();
    let ticket = instance.submit(spec(4), None, meta());
    assert_eq!(token_times(ticket, start).await, [50, 60, 70, 80]);
}

#[tokio::test(start_paused = true)]
async fn outputs_of_a_step_leave_one_after_the_other() {
    let (instance, _) = running_with(config(4, ms(50), ms(10)), ms(1));
    let start = clock::now();
    let one = instance.submit(spec(4), None, meta());
    let other = instance.submit(spec(4), None, meta());
    let (one, other) = tokio::join!(token_times(one, start), token_times(other, start));
    assert_eq!(one, [51, 61, 71, 81]);
    assert_eq!(other, [52, 62, 72, 82]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_steps_outrun_sees_the_latest_and_the_end() {
    let (instance, _) = running_with(config(4, ms(50), ms(10)), ms(25));
    let start = clock::now();
    let ticket = instance.submit(spec(4), None, meta());
    // Tokens at 50, 60, 70 and 80: the first is shown at 75, all others at 105.
    assert_eq!(token_times(ticket, start).await, [75, 105]);
}

#[tokio::test(start_paused = true)]
async fn a_transfer_and_a_step_come_before_a_fetched_prompts_first_token() {
    let (instance, _) = running(config(4, ms(50), ms(10)));
    let start = clock::now();
    let spec = Spec { external: External::Peer(10), ..spec(3) };
    let ticket = instance.submit(spec, Some(Source::Store), meta());
    assert_eq!(token_times(ticket, start).await, [13, 23, 33]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_never_fetched_from_is_declined() {
    let (instance, mut declined) = running(config(1, ms(50), ms(10)));
    let busy = instance.submit(spec(1), None, meta());
    let spec = Spec { external: External::Peer(10), ..spec(3) };
    drop(instance.submit(spec, Some(Source::Store), meta()));
    assert_eq!(declined.recv().await, Some(Source::Store));
    drop(busy);
}

#[tokio::test(start_paused = true)]
async fn a_hold_nobody_knows_of_ends_with_its_ticket() {
    let (instance, _) = running(config(1, ms(50), ms(10)));
    let ticket = instance.submit(Spec { hold: true, ..spec(1) }, None, meta());
    tokio::time::sleep(ms(60)).await;
    assert_eq!(instance.state().holds, 1);
    drop(ticket);
    assert_eq!(instance.state().used, 0);
}

#[tokio::test(start_paused = true)]
async fn zero_latency_sleeps_not_at_all() {
    let (instance, _) = running(config(4, Duration::ZERO, Duration::ZERO));
    let start = clock::now();
    let mut ticket = instance.submit(spec(300), None, meta());
    assert_eq!(ticket.finished().await.output_tokens, 300);
    assert_eq!(clock::now(), start);
}
