//! Spans outlive the process where there is a folder for them.

use http::StatusCode;

use crate::support::{export, post, search, start};

#[tokio::test]
async fn spans_are_there_again_after_a_restart_and_a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let flag = format!("--data-dir={}", folder.path().display());
    let running = start(&[&flag]).await;
    for trace in 1..=3 {
        let body = export("kept", trace, &["a", "b"]).to_string();
        let answer = post(running.addr, "/v1/traces", &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    running.shutdown().await;

    let spans = folder.path().join("spans");
    let segments: Vec<_> = std::fs::read_dir(&spans).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(segments.len(), 1);
    let mut damaged = std::fs::read(&segments[0]).unwrap();
    let sound = damaged.len();
    damaged.extend([0, 0, 1, 0, 7, 7, 7, 7, 7, 7]);
    std::fs::write(&segments[0], damaged).unwrap();

    for round in 0..2 {
        let running = start(&[&flag]).await;
        assert_eq!(running.state.spans.stats().spans, 6, "round {round}");
        assert_eq!(search(running.addr, "{resource.service.name=\"kept\" && name=\"b\"}").await.len(), 3);
        running.shutdown().await;
        assert_eq!(std::fs::metadata(&segments[0]).unwrap().len() as usize, sound);
    }
}
