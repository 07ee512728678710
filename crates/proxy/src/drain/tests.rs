use super::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn waits_for_tasks_and_is_complete() {
    let drain = Drain::new();
    let task = drain.spawn(async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        7
    });
    let report = drain.finish(LONG).await;
    assert_eq!(report, DrainReport { complete: true, cut: 0, took: Duration::from_secs(3) });
    assert_eq!(task.await.unwrap(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn cuts_off_what_does_not_end() {
    let drain = Drain::new();
    let task = drain.spawn(std::future::pending::<()>());
    let report = drain.finish(LONG).await;
    assert_eq!(report, DrainReport { complete: false, cut: 1, took: LONG });
    assert_eq!(task.await.unwrap(), None);
    assert_eq!(drain.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn gives_up_on_a_task_that_ignores_being_cut() {
    let drain = Drain::new();
    drain.track(std::future::pending());
    let report = drain.finish(LONG).await;
    assert_eq!((report.complete, report.cut, report.took), (false, 1, LONG + UNWIND));
}

#[tokio::test(start_paused = true)]
async fn readiness_turns_when_it_begins() {
    let drain = Drain::new();
    let waiting = drain.spawn({
        let drain = drain.clone();
        async move { drain.begun().await }
    });
    assert!(!drain.has_begun());
    drain.begin();
    drain.begin();
    assert!(drain.has_begun());
    assert_eq!(waiting.await.unwrap(), Some(()));
}
