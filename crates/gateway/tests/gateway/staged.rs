//! Stages that are placed apart: what the scheduler is asked when, and what becomes of blocks and places when it goes wrong
//! between them.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use telemetry::exposition::Scrape;
use telemetry::span::SpanRecord;

use super::support::{
    CHAT, Call, Client, Engine, Gateway, LAST, STREAM, Scheduler, USAGE, count, instance, nobody, soon, token,
};

const PLAIN: &str = r#"{"model":"tiny","messages":[],"max_tokens":9}"#;

/// What a prefill answers, with the blocks that it holds.
const PREFILLED: &str = r#"{"usage":{"prompt_tokens":5},"kv_transfer_params":{"remote_block_ids":[[1, 2]],"remote_engine_id":"e","remote_host":"10.0.0.1","remote_port":5600}}"#;

const LITE: (&str, &str) = ("enable-full-mode-scheduling", "false");

struct World {
    prefill: Engine,
    decode: Engine,
    /// Known to discovery, and chosen by nobody unless the test says so.
    other: Engine,
    scheduler: Scheduler,
    gateway: Gateway,
}

impl World {
    async fn start(protocol: &str, more: &[(&str, &str)]) -> Self {
        let (prefill, decode, other) = (Engine::start().await, Engine::start().await, Engine::start().await);
        let mut scheduler = Scheduler::start().await;
        let decodes = format!("{},{}", decode.addr, other.addr);
        let gateway = Gateway::with(|args| {
            let args = args.with("pd-disagg-protocol", protocol).with("separate-pd-scheduling", "true");
            let args = args.with("prefill-endpoints", prefill.addr.to_string()).with("decode-endpoints", decodes);
            let args = args.with("scheduler-endpoints", scheduler.addr.to_string());
            more.iter().fold(args, |args, (name, value)| args.with(name, *value))
        })
        .await;
        scheduler.gateway().await;
        Self { prefill, decode, other, scheduler, gateway }
    }

    async fn ask(&self, body: &str) -> Client {
        let mut client = self.gateway.client().await;
        client.send("POST", CHAT, "x-request-id: r-1\r\nte: trailers\r\n", body).await;
        client
    }

    /// The scheduler is asked for a stage, and places it.
    async fn place(&mut self, stage: &str, on: SocketAddr) -> Value {
        let call = self.asked_for(stage).await;
        call.place(&[instance(stage, on)]).await
    }

    async fn asked_for(&mut self, stage: &str) -> Call {
        let call = self.scheduler.call_to("/schedule").await;
        let asked = call.json();
        assert_eq!((&asked["scheduling_mode"], &asked["scheduling_stage"]), (&json!("pd_staged"), &json!(stage)));
        assert_eq!(asked["id"], "r-1");
        call
    }

    /// The prefill stage, placed and done.
    async fn prefilled(&mut self) {
        let on = self.prefill.addr;
        self.place("prefill", on).await;
        soon(self.prefill.call()).await.answer(200, PREFILLED).await;
    }

    /// The scheduler is given an instance back and asked for another one, in either order: who is given back, and the call.
    async fn given_back_and_asked(&mut self) -> (Value, Call) {
        let (mut released, mut asked) = (None, None);
        while released.is_none() || asked.is_none() {
            let call = self.scheduler.call().await;
            if call.head.start.contains("/release") {
                released = Some(call.json()["scheduling_result"].clone());
                call.answer(200, "").await;
            } else {
                asked = Some(call);
            }
        }
        (released.unwrap(), asked.unwrap())
    }

    /// The scheduler is given an instance back.
    async fn given_back(&mut self, stage: &str, by: SocketAddr) {
        let call = self.scheduler.call_to("/release").await;
        assert_eq!(call.json()["scheduling_result"], json!([instance(stage, by)]));
        call.answer(200, "").await;
    }

    /// The leg that frees the prefill's blocks, at whichever decode instance.
    async fn freed(&mut self) {
        let leg = soon(async {
            tokio::select! {
                call = self.decode.call() => call,
                call = self.other.call() => call,
            }
        })
        .await;
        let body = leg.json();
        assert_eq!((&body["max_tokens"], &body["stream"]), (&json!(1), &json!(false)));
        assert_eq!(body["kv_transfer_params"]["remote_block_ids"], json!([[1, 2]]));
        leg.answer(200, "{}").await;
    }
}

fn by_name<'a>(spans: &'a [SpanRecord], name: &str) -> Vec<&'a SpanRecord> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test]
async fn the_decode_stage_is_placed_when_the_prefill_is_done_and_both_choices_are_told() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.ask(STREAM).await;
    let on = world.prefill.addr;
    world.place("prefill", on).await;
    let prefill = soon(world.prefill.call()).await;
    assert_eq!(prefill.json()["kv_transfer_params"]["do_remote_decode"], true);
    assert!(world.scheduler.is_idle(), "the decode stage is not asked for yet");
    prefill.answer(200, PREFILLED).await;
    let call = world.asked_for("decode").await;
    assert!(world.decode.is_idle() && world.other.is_idle());
    // Long enough to be told from everything else.
    tokio::time::sleep(Duration::from_millis(50)).await;
    call.place(&[instance("decode", world.decode.addr)]).await;
    let mut decode = soon(world.decode.call()).await;
    assert_eq!(decode.json()["kv_transfer_params"]["remote_block_ids"], json!([[1, 2]]));
    decode.open().await;
    for text in ["a", "b", "c"] {
        decode.event(&token(text)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    decode.end_after(&[LAST, USAGE, "[DONE]"]).await;
    let answer = client.answer().await;
    assert_eq!(answer.status(), 200);
    let scrape = world.gateway.settled(1).await;
    assert!(world.scheduler.is_idle(), "in full mode what went well is not given back");
    parts_add_up(&scrape);
    assert_eq!(scrape.sum("gateway_placement_total", &[("by", "scheduler")]), Some(2.0));

    let spans = world.gateway.spans().await;
    let (request, schedule) = (by_name(&spans, "gateway.request")[0], by_name(&spans, "gateway.schedule"));
    assert_eq!(schedule.len(), 2);
    let stage = |span: &SpanRecord| span.get("candor.gateway.schedule_stage").cloned();
    assert_eq!([stage(schedule[0]), stage(schedule[1])], [Some("prefill".into()), Some("decode".into())]);
    let (dispatch, prefill) = (by_name(&spans, "gateway.dispatch")[0], by_name(&spans, "llm_d.pd_proxy.prefill")[0]);
    let decode = by_name(&spans, "llm_d.pd_proxy.decode")[0];
    assert!(schedule[0].end <= dispatch.end && dispatch.end <= prefill.end);
    assert!(prefill.end <= schedule[1].start && schedule[1].end <= decode.end);
    assert!(schedule[1].end - schedule[1].start >= Duration::from_millis(50));
    for span in [schedule[0], schedule[1], dispatch] {
        assert_eq!(span.parent, Some(request.context.span_id));
    }
    let target = world.decode.addr.to_string();
    assert_eq!(request.get("candor.gateway.decode_target"), Some(&target.into()));
}

/// The parts of the TTFT make the TTFT, and choosing the decode instance is in the one of choosing.
fn parts_add_up(scrape: &Scrape) {
    let of = |part: &str| {
        let labels = [("model", "tiny"), ("component", part)];
        let count = scrape.value("request_ttft_component_milliseconds_count", &labels);
        let sum = scrape.value("request_ttft_component_milliseconds_sum", &labels).unwrap();
        (count.unwrap(), sum)
    };
    let parts = ["preprocess", "queue", "schedule", "dispatch", "prefill", "kv_transfer", "first_decode", "relay"];
    assert!(parts.iter().all(|part| of(part).0 == 1.0), "all of it is split");
    let sum: f64 = parts.iter().map(|part| of(part).1).sum();
    let ttft = scrape.value("request_ttft_milliseconds_sum", &[("model", "tiny")]).unwrap();
    assert!((sum - ttft).abs() < 1e-6, "{sum} {ttft}");
    assert!(of("schedule").1 >= 50.0, "{:?}", of("schedule"));
    let schedule = scrape.value("request_schedule_duration_milliseconds_sum", &[("model", "tiny")]).unwrap();
    assert!((schedule - of("schedule").1).abs() < 1e-6);
}

#[tokio::test]
async fn every_serial_protocol_has_its_legs_with_a_choice_between_them() {
    let handed_over = json!({"remote_host": "127.0.0.1", "remote_port": 1, "do_remote_prefill": true});
    for (protocol, prefill_says, decode_says) in [
        ("vllm-mooncake", json!(true), json!([[1, 2]])),
        ("vllm-kvt", json!(true), Value::Null),
        ("lmcache", Value::Null, Value::Null),
    ] {
        let mut world = World::start(protocol, &[]).await;
        let mut client = world.ask(PLAIN).await;
        let on = world.prefill.addr;
        world.place("prefill", on).await;
        let prefill = soon(world.prefill.call()).await;
        let body = prefill.json();
        assert_eq!(
            (&body["max_tokens"], &body["kv_transfer_params"]["do_remote_decode"]),
            (&json!(1), &prefill_says),
            "{protocol}"
        );
        assert!(world.scheduler.is_idle());
        prefill.answer(200, PREFILLED).await;
        let on = world.decode.addr;
        world.place("decode", on).await;
        let decode = soon(world.decode.call()).await;
        let body = decode.json();
        assert_eq!(
            (&body["max_tokens"], &body["kv_transfer_params"]["remote_block_ids"]),
            (&json!(9), &decode_says),
            "{protocol}"
        );
        if protocol == "vllm-kvt" {
            assert_eq!(body["kv_transfer_params"], handed_over);
        }
        decode.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200, "{protocol}");
    }
}

#[tokio::test]
async fn what_is_tried_on_the_decoder_first_is_placed_as_a_whole() {
    let mut world = World::start("lmcache", &[]).await;
    let mut client = world.ask(r#"{"model":"tiny","messages":[],"cache_hit_threshold":0.5}"#).await;
    let both = [instance("prefill", world.prefill.addr), instance("decode", world.decode.addr)];
    let asked = world.scheduler.call_to("/schedule").await.place(&both).await;
    assert_eq!(asked["scheduling_mode"], "pd_batch");
    soon(world.decode.call()).await.answer(200, r#"{"choices":[{"finish_reason":"stop"}]}"#).await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(world.prefill.is_idle());
}

#[tokio::test]
async fn a_decode_instance_that_dies_between_the_stages_costs_another_choice_and_no_other_prefill() {
    let mut world = World::start("nixlv2", &[LITE]).await;
    let dead = nobody().await;
    let mut client = world.ask(PLAIN).await;
    world.prefilled().await;
    let (released, call) = world.given_back_and_asked().await;
    assert_eq!(released, json!([instance("prefill", world.prefill.addr)]), "it has done its part");
    call.place(&[instance("decode", dead)]).await;
    let (released, call) = world.given_back_and_asked().await;
    let dead = instance("decode", dead);
    assert_eq!(released, json!([dead]));
    let asked = call.place(&[instance("decode", world.decode.addr)]).await;
    assert_eq!((&asked["scheduling_stage"], &asked["excluded_instances"]), (&json!("decode"), &json!([dead["id"]])));
    let decode = soon(world.decode.call()).await;
    assert_eq!(decode.json()["kv_transfer_params"]["remote_block_ids"], json!([[1, 2]]));
    decode.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    let on = world.decode.addr;
    world.given_back("decode", on).await;
    assert!(world.prefill.is_idle() && world.other.is_idle());
    let scrape = world.gateway.settled(1).await;
    assert_eq!(scrape.sum("request_retry_total", &[("status_code", "network_error")]), Some(1.0));
    let spans = world.gateway.spans().await;
    assert_eq!(by_name(&spans, "gateway.schedule").len(), 2, "all choices of a stage are one");
    let events = by_name(&spans, "gateway.request")[0].events.iter().filter(|event| event.name == "retry").count();
    assert_eq!(events, 1);
}

#[tokio::test]
async fn a_client_that_leaves_while_the_decode_stage_is_chosen_has_the_blocks_freed_and_the_place_given_back() {
    for mode in [&[][..], &[LITE]] {
        let mut world = World::start("nixlv2", mode).await;
        let client = world.ask(STREAM).await;
        world.prefilled().await;
        let call = match mode.is_empty() {
            true => world.asked_for("decode").await,
            false => world.given_back_and_asked().await.1,
        };
        drop(client);
        world.freed().await;
        let scrape = world.gateway.settled(1).await;
        assert_eq!(count(&scrape, "tiny", 499), 1);
        assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "cancelled"), ("stage", "schedule")]), Some(1.0));
        assert_eq!(world.prefill.connections(), 1, "the prefill had answered: its connection is kept");
        // The scheduler will have put it on its account.
        let on = world.decode.addr;
        call.place(&[instance("decode", on)]).await;
        world.given_back("decode", on).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_the_decode_leg_waits_has_the_blocks_freed_where_it_was_sent() {
    let mut world = World::start("nixlv2", &[]).await;
    let client = world.ask(STREAM).await;
    world.prefilled().await;
    let on = world.decode.addr;
    world.place("decode", on).await;
    let decode = soon(world.decode.call()).await;
    drop(client);
    soon(decode.closed()).await;
    let release = soon(world.decode.call()).await;
    assert_eq!(release.json()["max_tokens"], 1);
    release.answer(200, "{}").await;
    world.given_back("decode", on).await;
    assert!(world.other.is_idle());
}

#[tokio::test]
async fn a_cluster_without_room_for_the_decode_stage_is_503_and_the_blocks_are_freed() {
    let mut world = World::start("nixlv2", &[("wait-scheduling-timeout", "0s")]).await;
    let mut client = world.ask(PLAIN).await;
    world.prefilled().await;
    world.asked_for("decode").await.answer(429, "no available endpoint").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.json()["error"]["code"].clone()), (503, json!("no_available_worker")));
    world.freed().await;
    let scrape = world.gateway.settled(1).await;
    assert_eq!(scrape.sum("pd_proxy_requests_total", &[("outcome", "failed"), ("stage", "schedule")]), Some(1.0));
}

#[tokio::test]
async fn a_scheduler_that_goes_between_the_stages_costs_no_request() {
    let mut world = World::start("nixlv2", &[]).await;
    let mut client = world.ask(PLAIN).await;
    let on = world.prefill.addr;
    world.place("prefill", on).await;
    let prefill = soon(world.prefill.call()).await;
    world.scheduler.stop().await;
    prefill.answer(200, PREFILLED).await;
    let decode = soon(async {
        tokio::select! {
            call = world.decode.call() => call,
            call = world.other.call() => call,
        }
    })
    .await;
    decode.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = world.gateway.settled(1).await;
    let by = |by| scrape.sum("gateway_placement_total", &[("by", by)]);
    assert_eq!((by("scheduler"), by("scheduler_not_ready")), (Some(1.0), Some(1.0)));
}

#[tokio::test]
async fn a_failed_prefill_may_be_made_up_for_by_a_decoder_that_is_chosen_then() {
    let mut world = World::start("nixlv2", &[("on-prefill-failure", "decode-only")]).await;
    let mut client = world.ask(PLAIN).await;
    let on = world.prefill.addr;
    world.place("prefill", on).await;
    soon(world.prefill.call()).await.answer(500, "{}").await;
    let place = world.asked_for("decode").await;
    place.place(&[instance("decode", world.decode.addr)]).await;
    let decode = soon(world.decode.call()).await;
    assert_eq!(decode.json(), serde_json::from_str::<Value>(PLAIN).unwrap());
    decode.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    let on = world.prefill.addr;
    world.given_back("prefill", on).await;
}

#[tokio::test]
async fn a_prefill_instance_that_failed_is_given_back_and_excluded_and_the_decode_instances_are_not() {
    let mut world = World::start("nixlv2", &[("retry-max-count", "1")]).await;
    let mut client = world.ask(PLAIN).await;
    let failing = instance("prefill", world.prefill.addr);
    world.asked_for("prefill").await.place(std::slice::from_ref(&failing)).await;
    soon(world.prefill.call()).await.answer(500, "{}").await;
    let (released, call) = world.given_back_and_asked().await;
    // Another one, which discovery does not know as such.
    let asked = call.place(&[instance("prefill", world.other.addr)]).await;
    assert_eq!((released, &asked["excluded_instances"]), (json!([failing]), &json!([failing["id"]])));
    soon(world.other.call()).await.answer(200, PREFILLED).await;
    let on = world.decode.addr;
    world.place("decode", on).await;
    soon(world.decode.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(world.prefill.is_idle());
}

#[tokio::test]
async fn without_a_scheduler_stages_take_turns_as_well() {
    let (mut prefill, mut decode) = (Engine::start().await, Engine::start().await);
    let gateway = Gateway::with(|args| {
        args.with("pd-disagg-protocol", "nixlv2")
            .with("separate-pd-scheduling", "true")
            .with("prefill-endpoints", prefill.addr.to_string())
            .with("decode-endpoints", decode.addr.to_string())
    })
    .await;
    let mut client = gateway.client().await;
    client.post(CHAT, PLAIN).await;
    soon(prefill.call()).await.answer(200, PREFILLED).await;
    soon(decode.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    assert_eq!(gateway.settled(1).await.sum("gateway_placement_total", &[("by", "round_robin")]), Some(2.0));
}
