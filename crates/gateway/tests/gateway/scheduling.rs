//! The gateway and a scheduler: what is asked, what is told, and what becomes of a request when nobody answers.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::support::{
    CHAT, Client, Engine, Gateway, LAST, STREAM, Scheduler, USAGE, first_token, instance, nobody, put_tokenizer, soon,
    token,
};

const PLAIN: &str = r#"{"model":"tiny","messages":[{"role":"user","content":"hi"}]}"#;

async fn gateway(engines: &[&Engine], schedulers: &[SocketAddr], more: &[(&str, &str)]) -> Gateway {
    let engines: Vec<_> = engines.iter().map(|engine| engine.addr.to_string()).collect();
    let schedulers: Vec<_> = schedulers.iter().map(ToString::to_string).collect();
    Gateway::with(|args| {
        let args = args.with("neutral-endpoints", engines.join(",")).with("scheduler-endpoints", schedulers.join(","));
        more.iter().fold(args, |args, (name, value)| args.with(name, *value))
    })
    .await
}

const LITE: (&str, &str) = ("enable-full-mode-scheduling", "false");

async fn asking(gateway: &Gateway, lines: &str, body: &str) -> Client {
    let mut client = gateway.client().await;
    client.send("POST", CHAT, lines, body).await;
    client
}

/// Answers a stream of two tokens.
async fn stream(engine: &mut Engine) {
    let mut call = soon(engine.call()).await;
    call.open().await;
    call.end_after(&[&token("a"), LAST, USAGE, "[DONE]"]).await;
}

/// Who placed requests, by the metric.
async fn placed(gateway: &Gateway, by: &str) -> f64 {
    gateway.scrape().await.sum("gateway_placement_total", &[("by", by)]).unwrap_or(0.0)
}

#[tokio::test]
async fn the_scheduler_is_asked_as_upstream_asks_it_and_says_where_to() {
    let (first, mut second) = (Engine::start().await, Engine::start().await);
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&first, &second], &[scheduler.addr], &[("service-token", "s3cret")]).await;
    let known = scheduler.gateway().await;
    let mut client = asking(&gateway, "x-request-id: r-1\r\n", PLAIN).await;
    let call = scheduler.call_to("/schedule").await;
    assert_eq!(call.head.get("authorization"), Some("s3cret"));
    let asked = call.place(&[instance("neutral", second.addr)]).await;
    let want = json!({
        "id": "r-1", "model": "tiny", "gateway_id": known, "scheduling_mode": "neutral", "scheduling_stage": "",
        "prompt_num_tokens": 8, "prompt_token_ids": null,
    });
    assert_eq!(asked, want);
    soon(second.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    gateway.settled(1).await;
    assert!(first.is_idle() && scheduler.is_idle(), "in full mode a request that went well is not given back");
    assert_eq!(placed(&gateway, "scheduler").await, 1.0);
    let spans = gateway.spans().await;
    let span = spans.iter().find(|span| span.name == "gateway.schedule").unwrap();
    assert_eq!(span.get("candor.gateway.placed_by"), Some(&"scheduler".into()));
}

#[tokio::test]
async fn the_scheduler_is_told_the_tokens_that_were_cut_here_unless_it_is_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    put_tokenizer(dir.path());
    for (forward, ids) in [("true", json!([1, 0, 1])), ("false", Value::Null)] {
        let mut engine = Engine::start().await;
        let mut scheduler = Scheduler::start().await;
        let more = [("tokenizer-path", dir.path().to_str().unwrap()), ("forward-tokens", forward)];
        let gateway = gateway(&[&engine], &[scheduler.addr], &more).await;
        let mut client = gateway.client().await;
        client.post("/v1/completions", r#"{"model":"tiny","prompt":"hi you hi"}"#).await;
        let asked = scheduler.call_to("/schedule").await.place(&[instance("neutral", engine.addr)]).await;
        assert_eq!((&asked["prompt_num_tokens"], &asked["prompt_token_ids"]), (&json!(3), &ids));
        soon(engine.call()).await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
    }
}

#[tokio::test]
async fn without_a_tokenizer_the_scheduler_is_told_hashes_of_the_text_unless_it_is_not_to_be() {
    let body = format!(r#"{{"model":"tiny","prompt":"{}"}}"#, "x".repeat(300));
    for (forward, blocks) in [("true", Some(1)), ("false", None)] {
        let mut engine = Engine::start().await;
        let mut scheduler = Scheduler::start().await;
        let gateway = gateway(&[&engine], &[scheduler.addr], &[LITE, ("forward-tokens", forward)]).await;
        let mut client = gateway.client().await;
        client.post("/v1/completions", &body).await;
        let asked = scheduler.call_to("/schedule").await.place(&[instance("neutral", engine.addr)]).await;
        assert_eq!(asked["prompt_text"]["hashes"].as_array().map(Vec::len), blocks);
        assert_eq!(
            asked["prompt_text"]["bytes"].as_u64(),
            blocks.map(|_| 302),
            "the text as the body has it, with its quotes"
        );
        soon(engine.call()).await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
        let release = scheduler.call_to("/release").await;
        assert!(release.json().get("prompt_text").is_none(), "what was for placing it is not sent again");
        release.answer(200, "").await;
    }
}

#[tokio::test]
async fn without_full_mode_the_scheduler_hears_of_tokens_and_of_the_end() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[LITE, ("requests-report-duration", "50ms")]).await;
    let known = scheduler.gateway().await;
    let mut client = asking(&gateway, "x-request-id: r-1\r\n", STREAM).await;
    let there = instance("neutral", engine.addr);
    scheduler.call_to("/schedule").await.place(std::slice::from_ref(&there)).await;
    let mut call = soon(engine.call()).await;
    call.open().await;
    call.event(&token("a")).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let report = scheduler.call_to("/report").await;
        seen.extend(report.json().as_array().unwrap().clone());
        report.answer(200, "").await;
    }
    let event = |kind: &str| {
        json!({
            "kind": kind, "id": "r-1", "model": "tiny", "infer_type": "neutral", "instance_id": there["id"],
            "gateway_id": known, "num_tokens": 1,
        })
    };
    assert!(seen.contains(&event("prefill_done")) && seen.contains(&event("state_update")), "{seen:?}");
    call.end_after(&[LAST, USAGE, "[DONE]"]).await;
    client.answer().await;
    let released = loop {
        let call = scheduler.call().await;
        if call.head.start.contains("/release") {
            break call;
        }
        call.answer(200, "").await;
    };
    assert_eq!(released.json()["scheduling_result"], json!([there]));
    assert_eq!((&released.json()["id"], &released.json()["gateway_id"]), (&json!("r-1"), &json!(known)));
    released.answer(200, "").await;
}

/// Who is given back in lite mode, in order, for as long as `requests` are not all given back.
async fn released(scheduler: &mut Scheduler, instances: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < instances {
        let call = scheduler.call().await;
        if call.head.start.contains("/release") {
            let json = call.json();
            let result = json["scheduling_result"].as_array().unwrap();
            ids.extend(result.iter().map(|instance| instance["id"].as_str().unwrap().to_owned()));
        }
        call.answer(200, "").await;
    }
    ids
}

#[tokio::test]
async fn without_full_mode_everything_is_given_back_however_the_request_ends() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[LITE]).await;
    scheduler.gateway().await;
    let there = instance("neutral", engine.addr);
    let id = there["id"].as_str().unwrap().to_owned();

    // The client leaves while the scheduler is thinking: it will have put the request on its account.
    let client = asking(&gateway, "", PLAIN).await;
    let call = scheduler.call_to("/schedule").await;
    drop(client);
    gateway.settled(1).await;
    call.place(std::slice::from_ref(&there)).await;
    assert_eq!(released(&mut scheduler, 1).await, std::slice::from_ref(&id));

    // The client leaves before the engine answers.
    let client = asking(&gateway, "", PLAIN).await;
    scheduler.call_to("/schedule").await.place(std::slice::from_ref(&there)).await;
    let call = soon(engine.call()).await;
    drop(client);
    soon(call.closed()).await;
    assert_eq!(released(&mut scheduler, 1).await, std::slice::from_ref(&id));

    // The client leaves within the stream.
    let mut client = asking(&gateway, "", STREAM).await;
    scheduler.call_to("/schedule").await.place(std::slice::from_ref(&there)).await;
    let mut call = soon(engine.call()).await;
    first_token(&mut client, &mut call).await;
    drop(client);
    soon(call.closed()).await;
    assert_eq!(released(&mut scheduler, 1).await, std::slice::from_ref(&id));

    // The engine refuses.
    let mut client = asking(&gateway, "", PLAIN).await;
    scheduler.call_to("/schedule").await.place(std::slice::from_ref(&there)).await;
    soon(engine.call()).await.answer(400, "{}").await;
    assert_eq!(client.answer().await.status(), 400);
    assert_eq!(released(&mut scheduler, 1).await, [id]);
}

#[tokio::test]
async fn a_scheduler_that_takes_batches_is_asked_and_told_in_them() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::taking_batches().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[LITE]).await;
    scheduler.gateway().await;
    let there = [instance("neutral", engine.addr)];

    // An exchange that hangs holds up nobody but those in it.
    let first = asking(&gateway, "x-request-id: r-1\r\n", PLAIN).await;
    let hanging = scheduler.call_to("/batch").await;
    let mut second = asking(&gateway, "x-request-id: r-2\r\n", PLAIN).await;
    let batch = scheduler.call_to("/batch").await.place_batch(&there).await;
    assert_eq!((&batch["release"], &batch["schedule"][0]["id"]), (&json!([]), &json!("r-2")));
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(second.answer().await.status(), 200);
    let told = scheduler.call_to("/batch").await.place_batch(&[]).await;
    assert_eq!(told["release"][0]["id"], "r-2");
    assert_eq!(told["release"][0]["scheduling_result"], json!(there));

    // What was placed for a client that has left is given back.
    drop(first);
    gateway.settled(2).await;
    hanging.place_batch(&there).await;
    let told = scheduler.call_to("/batch").await.place_batch(&[]).await;
    assert_eq!((&told["release"][0]["id"], &told["schedule"]), (&json!("r-1"), &json!([])));

    // One that fails costs no request.
    let mut third = asking(&gateway, "", PLAIN).await;
    scheduler.call_to("/batch").await.answer(500, "down").await;
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(third.answer().await.status(), 200);
    assert_eq!((placed(&gateway, "scheduler").await, placed(&gateway, "scheduler_not_ready").await), (1.0, 1.0));
}

/// A prefill instance that sidecars are told of; nobody is there.
const PREFILL: &str = "127.0.0.1:9";

/// A gateway with `PREFILL` and the sidecar of `decode`, and one more setting.
async fn disaggregating(decode: &Engine, scheduler: &Scheduler, (setting, value): (&str, &str)) -> Gateway {
    Gateway::with(|args| {
        args.with("prefill-endpoints", PREFILL)
            .with("decode-endpoints", decode.addr.to_string())
            .with("scheduler-endpoints", scheduler.addr.to_string())
            .with(setting, value)
    })
    .await
}

#[tokio::test]
async fn the_prefill_instance_is_given_back_with_the_first_token() {
    let (mut decode, mut scheduler) = (Engine::start().await, Scheduler::start().await);
    let gateway = disaggregating(&decode, &scheduler, ("enable-full-mode-scheduling", "false")).await;
    scheduler.gateway().await;
    let mut client = asking(&gateway, "", STREAM).await;
    let (p, d) = (instance("prefill", PREFILL.parse().unwrap()), instance("decode", decode.addr));
    let asked = scheduler.call_to("/schedule").await.place(&[p.clone(), d.clone()]).await;
    assert_eq!(asked["scheduling_mode"], "pd_batch");
    let mut call = soon(decode.call()).await;
    assert_eq!(call.head.get("x-prefiller-host-port"), Some("127.0.0.1:9"));
    call.open().await;
    call.event(&token("a")).await;
    assert_eq!(released(&mut scheduler, 1).await, [p["id"].as_str().unwrap()], "and the decode instance is not yet");
    call.end_after(&[LAST, "[DONE]"]).await;
    client.answer().await;
    assert_eq!(released(&mut scheduler, 1).await, [d["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn stages_can_be_asked_for_one_after_the_other() {
    let (mut decode, mut scheduler) = (Engine::start().await, Scheduler::start().await);
    let gateway = disaggregating(&decode, &scheduler, ("separate-pd-scheduling", "true")).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    for (stage, addr) in [("prefill", PREFILL.parse().unwrap()), ("decode", decode.addr)] {
        let asked = scheduler.call_to("/schedule").await.place(&[instance(stage, addr)]).await;
        assert_eq!((&asked["scheduling_mode"], &asked["scheduling_stage"]), (&json!("pd_staged"), &json!(stage)));
    }
    let call = soon(decode.call()).await;
    assert_eq!(call.head.get("x-prefiller-host-port"), Some("127.0.0.1:9"));
    call.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_failed_instance_is_given_back_and_excluded_from_the_next_placement() {
    let (mut first, mut second) = (Engine::start().await, Engine::start().await);
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&first, &second], &[scheduler.addr], &[("retry-max-count", "1")]).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    let failing = instance("neutral", first.addr);
    scheduler.call_to("/schedule").await.place(std::slice::from_ref(&failing)).await;
    soon(first.call()).await.answer(500, "{}").await;
    let mut asked_again = None;
    let mut given_back = None;
    while asked_again.is_none() || given_back.is_none() {
        let call = scheduler.call().await;
        if call.head.start.contains("/release") {
            given_back = Some(call.json()["scheduling_result"].clone());
            call.answer(200, "").await;
        } else {
            asked_again = Some(call.place(&[instance("neutral", second.addr)]).await["excluded_instances"].clone());
        }
    }
    assert_eq!(given_back, Some(json!([failing])));
    assert_eq!(asked_again, Some(json!([failing["id"]])));
    soon(second.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

#[tokio::test]
async fn a_scheduler_that_insists_on_an_instance_that_is_not_there_is_not_asked_for_ever() {
    let engine = Engine::start().await;
    let dead = nobody().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[("retry-max-count", "1")]).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    let insisting = async {
        loop {
            let call = scheduler.call().await;
            match call.head.start.contains("/schedule") {
                true => drop(call.place(&[instance("neutral", dead)]).await),
                false => call.answer(200, "").await,
            }
        }
    };
    let answer = tokio::select! {
        answer = soon(client.answer()) => answer,
        () = insisting => unreachable!("it goes on for ever"),
    };
    assert_eq!(answer.status(), 503);
    let retries = gateway.settled(1).await.sum("request_retry_total", &[]);
    assert_eq!(retries, Some(2.0), "once since there is another engine, once as --retry-max-count lets it");
}

#[tokio::test]
async fn a_full_cluster_is_waited_for() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[("wait-scheduling-retry-interval", "5ms")]).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    for _ in 0..3 {
        scheduler.call_to("/schedule").await.answer(429, "no available endpoint").await;
    }
    scheduler.call_to("/schedule").await.place(&[instance("neutral", engine.addr)]).await;
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
    let scrape = gateway.settled(1).await;
    let calls = |outcome| scrape.value("gateway_scheduler_calls_total", &[("call", "schedule"), ("outcome", outcome)]);
    assert_eq!((calls("busy"), calls("ok")), (Some(3.0), Some(1.0)));
}

#[tokio::test]
async fn a_cluster_that_stays_full_is_503() {
    let engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let more = [("wait-scheduling-timeout", "20ms"), ("wait-scheduling-retry-interval", "5ms")];
    let gateway = gateway(&[&engine], &[scheduler.addr], &more).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    let answer = tokio::select! {
        answer = client.answer() => answer,
        () = async { loop { scheduler.call().await.answer(429, "").await } } => unreachable!(),
    };
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json()["error"]["code"], "no_available_worker");
    assert!(engine.is_idle());
}

#[tokio::test]
async fn a_scheduler_that_is_gone_costs_no_request_and_is_found_again() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[]).await;
    scheduler.stop().await;
    for _ in 0..5 {
        let mut client = asking(&gateway, "", STREAM).await;
        stream(&mut engine).await;
        assert_eq!(client.answer().await.status(), 200);
    }
    gateway.settled(5).await;
    assert_eq!(placed(&gateway, "scheduler_not_ready").await, 5.0);
    let mut scheduler = Scheduler::start_at(scheduler.addr).await;
    // Asked again after its rest, by one request or another.
    let mut served = 5;
    loop {
        let mut client = asking(&gateway, "", PLAIN).await;
        let there = instance("neutral", engine.addr);
        let place = async {
            scheduler.call_to("/schedule").await.place(&[there]).await;
            true
        };
        let found = tokio::select! {
            biased;
            call = engine.call() => {
                call.answer(200, "{}").await;
                false
            }
            placed = place => {
                engine.call().await.answer(200, "{}").await;
                placed
            }
        };
        assert_eq!(client.answer().await.status(), 200);
        served += 1;
        gateway.settled(served).await;
        if found {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(placed(&gateway, "scheduler").await >= 1.0);
}

#[tokio::test]
async fn whatever_else_a_scheduler_says_is_no_error_to_the_client() {
    for (status, body) in [(400, "cms not available"), (404, "endpoint not found"), (500, ""), (200, "{"), (200, "{}")]
    {
        let mut engine = Engine::start().await;
        let mut scheduler = Scheduler::start().await;
        let gateway = gateway(&[&engine], &[scheduler.addr], &[]).await;
        let mut client = asking(&gateway, "", PLAIN).await;
        scheduler.call_to("/schedule").await.answer(status, body).await;
        soon(engine.call()).await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200, "{status} {body}");
        assert_eq!(placed(&gateway, "scheduler_not_ready").await, 1.0);
    }
}

#[tokio::test]
async fn of_several_schedulers_the_one_that_leads_is_followed() {
    let mut engine = Engine::start().await;
    let (mut first, mut second) = (Scheduler::start().await, Scheduler::start().await);
    let gateway = gateway(&[&engine], &[first.addr, second.addr], &[]).await;
    for asked_first in [true, false, false] {
        let mut client = asking(&gateway, "", PLAIN).await;
        if asked_first {
            first.call_to("/schedule").await.answer(503, "this scheduler does not lead").await;
        }
        second.call_to("/schedule").await.place(&[instance("neutral", engine.addr)]).await;
        soon(engine.call()).await.answer(200, "{}").await;
        assert_eq!(client.answer().await.status(), 200);
        assert!(first.is_idle(), "it is not asked again while the other answers");
    }
    assert_eq!(placed(&gateway, "scheduler").await, 3.0);
}

#[tokio::test]
async fn the_scheduler_may_know_instances_that_discovery_does_not() {
    let (known, mut unknown) = (Engine::start().await, Engine::start().await);
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&known], &[scheduler.addr], &[]).await;
    let mut client = asking(&gateway, "", PLAIN).await;
    scheduler.call_to("/schedule").await.place(&[instance("neutral", unknown.addr)]).await;
    soon(unknown.call()).await.answer(200, "{}").await;
    assert_eq!(client.answer().await.status(), 200);
}

/// The ids of the requests in the order in which the scheduler hears of them.
async fn in_order(scheduler: &mut Scheduler, engine: &mut Engine, count: usize) -> Vec<Value> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let asked = scheduler.call_to("/schedule").await.place(&[instance("neutral", engine.addr)]).await;
        ids.push(asked["id"].clone());
        soon(engine.call()).await.answer(200, "{}").await;
    }
    ids
}

#[tokio::test]
async fn the_urgent_pass_those_who_wait_and_who_leaves_the_queue_is_gone() {
    let mut engine = Engine::start().await;
    let mut scheduler = Scheduler::start().await;
    let gateway = gateway(&[&engine], &[scheduler.addr], &[("wait-queue-threads", "1")]).await;
    let mut first = asking(&gateway, "x-request-id: first\r\n", PLAIN).await;
    let call = scheduler.call_to("/schedule").await;
    // The only slot is taken as long as the scheduler thinks.
    let mut waiting = Vec::new();
    for (id, priority) in [("leaves", "normal"), ("normal", "normal"), ("urgent", "high")] {
        let lines = format!("x-request-id: {id}\r\nx-priority: {priority}\r\n");
        waiting.push(asking(&gateway, &lines, PLAIN).await);
        let queued = waiting.len() as f64 + 1.0;
        soon(async { while gateway.scrape().await.value("gateway_pending_requests", &[]) != Some(queued) {} }).await;
    }
    drop(waiting.remove(0));
    gateway.settled_of(1).await;
    call.place(&[instance("neutral", engine.addr)]).await;
    soon(engine.call()).await.answer(200, "{}").await;
    assert_eq!(first.answer().await.status(), 200);
    assert_eq!(in_order(&mut scheduler, &mut engine, 2).await, [json!("urgent"), json!("normal")]);
    let scrape = gateway.settled(4).await;
    assert_eq!(scrape.sum("request_outcome_total", &[("outcome", "cancelled"), ("stage", "queue")]), Some(1.0));
    let queue = scrape.histogram("request_queue_duration_milliseconds", &[]).unwrap();
    assert_eq!(queue.count, 3.0);
}
