//! Mooncake: the bootstrap service is asked, then both legs run at once and name one transfer. Over real sockets.

mod support;

use serde_json::json;
use support::{COMPLETIONS, Engine, World, post, token_event};

const ENGINES: &str = r#"{"2":{"engine_id":"e-2"}}"#;

/// A world whose prefill server's bootstrap service is an engine of its own.
async fn world() -> (World, Engine) {
    let bootstrap = Engine::start().await;
    let flag = format!("--mooncake-bootstrap-port={}", bootstrap.addr.port());
    (World::start("mooncake", &[&flag]).await, bootstrap)
}

#[tokio::test]
async fn both_legs_name_the_transfer_that_the_bootstrap_service_can_find() {
    let (mut world, mut bootstrap) = world().await;
    let body = r#"{"prompt":"p","stream":true,"max_tokens":5,"kv_transfer_params":{"remote_host":"evil"}}"#;
    let sent = world.sending(world.disaggregated(body));
    let query = bootstrap.next().await;
    assert_eq!((query.method.as_str(), query.path.as_str()), ("GET", "/query"));
    query.json_answer(200, ENGINES).await;

    let (mut decode, prefill) = (world.decode.next().await, world.prefill.next().await);
    let (one, other) = (prefill.json(), decode.json());
    let id = &one["kv_transfer_params"]["transfer_id"];
    let expected = json!({"do_remote_decode":true,"do_remote_prefill":false,"transfer_id":id});
    assert_eq!((&one["kv_transfer_params"], &one["max_tokens"], &one["stream"]), (&expected, &json!(1), &json!(false)));
    assert_eq!(prefill.header("x-data-parallel-rank"), ["2"]);
    assert_eq!(
        other["kv_transfer_params"],
        json!({"do_remote_decode":false,"do_remote_prefill":true,"transfer_id":id,"remote_engine_id":"e-2",
            "remote_bootstrap_addr":format!("http://{}", bootstrap.addr)})
    );
    assert_eq!((&other["max_tokens"], &other["stream"]), (&json!(5), &json!(true)), "as the client wished");
    assert!(decode.header("x-data-parallel-rank").is_empty());
    assert_eq!(prefill.header("x-request-id"), decode.header("x-request-id"));

    prefill.json_answer(200, "{}").await;
    decode.begin_stream().await;
    decode.token("a").await;
    decode.finish_stream().await;
    assert!(sent.await.unwrap().text().await.starts_with(&token_event("a")));
    assert_eq!(world.outcome().await, ("completed".into(), "none".into()));

    // The next request need not ask again.
    let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
    world.prefill.next().await.json_answer(200, "{}").await;
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(sent.await.unwrap().status, 200);
}

#[tokio::test]
async fn an_engine_that_was_started_anew_is_asked_for_again_after_a_failure() {
    let (mut world, mut bootstrap) = world().await;
    for (id, status) in [("old", 500), ("new", 200)] {
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
        bootstrap.next().await.json_answer(200, &format!(r#"{{"0":{{"engine_id":"{id}"}}}}"#)).await;
        let (decode, prefill) = (world.decode.next().await, world.prefill.next().await);
        assert_eq!(decode.json()["kv_transfer_params"]["remote_engine_id"], *id);
        prefill.json_answer(status, "{}").await;
        if status == 200 {
            decode.json_answer(200, "{}").await;
        }
        assert_eq!(sent.await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_bootstrap_service_that_is_of_no_use_is_a_502_and_nothing_is_sent() {
    let (mut world, mut bootstrap) = world().await;
    for (status, answer) in [(503, "starting"), (200, "{}"), (200, "<html>")] {
        let sent = world.sending(world.disaggregated(r#"{"prompt":"p"}"#));
        bootstrap.next().await.json_answer(status, answer).await;
        let reply = sent.await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.header("x-candor-error")), (502, "prefill"), "{answer}");
    }
    drop(bootstrap);
    let reply = world.send(world.disaggregated(r#"{"prompt":"p"}"#)).await;
    assert_eq!(reply.status, 502);
    world.prefill.expect_none().await;
    world.decode.expect_none().await;
    let decode_only = world.sending(post(COMPLETIONS, r#"{"prompt":"p"}"#));
    world.decode.next().await.json_answer(200, "{}").await;
    assert_eq!(decode_only.await.unwrap().status, 200, "requests without a prefill host do without it");
}
