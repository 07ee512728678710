use std::time::Duration;

use http::HeaderMap;

use super::{Choice, Cms, ErrorType, Facts, Imbalance, Lrs, Predicted, Prefix, Reading, Refreshed, Scheduler};
use crate::clock::{Moment, now};
use crate::exposition::{Scrape, parse};
use crate::{SpanExport, Telemetry, TelemetryConfig};

fn recorder(full: bool) -> Scheduler {
    let config = TelemetryConfig::new("candor-scheduler").with_export(SpanExport::None);
    Scheduler::new(&Telemetry::new(config).unwrap(), full)
}

fn scrape(recorder: &Scheduler, readings: &[Reading<'_>], imbalances: &[Imbalance]) -> Scrape {
    let (_, body) = recorder.scrape(None, || (readings.to_vec(), imbalances.to_vec()));
    parse(std::str::from_utf8(&body).unwrap()).unwrap()
}

fn reading(instance: &str) -> Reading<'_> {
    Reading { instance, infer_type: "decode", model: "m", cms: Some(Cms::default()), lrs: None }
}

fn decided(at: Moment) -> Facts<'static> {
    Facts { began: at, decided: at + Duration::from_micros(7), ..Facts::default() }
}

#[tokio::test(start_paused = true)]
async fn known_series_are_there_from_the_start() {
    let full = scrape(&recorder(true), &[], &[]);
    assert_eq!(full.value("scheduler_scheduling_total", &[]), Some(0.0));
    assert_eq!(full.value("scheduler_scheduling_failed_total", &[("error_type", "all_endpoints_busy")]), Some(0.0));
    assert_eq!(full.value("scheduler_cms_refresh_failed_total", &[("record", "status")]), Some(0.0));
    let lite = scrape(&recorder(false), &[], &[]);
    assert!(!lite.contains("scheduler_cms_available"), "there is no CMS in lite mode");
    assert!(!lite.contains("request_full_mode_schedule_duration_milliseconds"));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_counted_and_failed_where_nobody_settles_it() {
    let recorder = recorder(true);
    let begin = || recorder.begin(&HeaderMap::new(), now());
    drop(begin());
    begin().refused(&decided(now()), ErrorType::NoAvailableEndpoint, "none", true);
    begin().refused(&decided(now()), ErrorType::SchedulerNotReady, "another leads", false);
    let choice = Choice {
        infer_type: "decode",
        instance: "a",
        model: "m",
        candidates: 3,
        fallback: false,
        requests: 2,
        tokens: None,
        prefix_tokens: None,
        predicted_ttft_ms: Some(12.5),
        predicted_tpot_ms: None,
        inputs: Some(Cms { decode_batch_size: 4, kv_cache_usage_ratio_projected: Some(0.35), ..Cms::default() }),
    };
    begin().placed(&decided(now()), &[choice]);
    let scrape = scrape(&recorder, &[reading("a")], &[]);
    assert_eq!(scrape.value("scheduler_scheduling_total", &[]), Some(4.0));
    for (error, count) in [("unknown", 1.0), ("no_available_endpoint", 1.0), ("scheduler_not_ready", 1.0)] {
        assert_eq!(scrape.value("scheduler_scheduling_failed_total", &[("error_type", error)]), Some(count), "{error}");
    }
    let took = scrape.histogram("request_full_mode_schedule_duration_milliseconds", &[]).unwrap();
    assert_eq!((took.count, took.sum), (2.0, 0.014), "two decisions of seven microseconds");
    let of = [("infer_type", "decode"), ("model", "m")];
    assert_eq!(scrape.histogram("selected_instance_decode_batch_size", &of).unwrap().sum, 4.0);
    let usage = scrape.histogram("selected_instance_kv_cache_usage_ratio_projected", &of).unwrap();
    assert_eq!((usage.count, usage.sum), (1.0, 0.35), "fractions of a ratio are kept");
    let predicted = |what: &str| scrape.histogram(&format!("selected_instance_predicted_{what}"), &of).unwrap();
    assert_eq!((predicted("ttft").sum, predicted("tpot").count), (12.5, 0.0), "what was not predicted is not there");
}

#[tokio::test(start_paused = true)]
async fn an_instances_placements_are_counted_on_when_its_model_becomes_known() {
    let recorder = recorder(true);
    let choice = Choice {
        infer_type: "decode",
        instance: "a",
        model: "",
        candidates: 1,
        fallback: false,
        requests: 1,
        ..Choice::default()
    };
    let placed = || recorder.begin(&HeaderMap::new(), now()).placed(&decided(now()), &[choice]);
    let count =
        |readings: &[Reading<'_>]| scrape(&recorder, readings, &[]).value("scheduler_instance_dispatch_total", &[]);
    placed();
    assert_eq!(count(&[Reading { model: "", ..reading("a") }]), Some(1.0));
    placed();
    assert_eq!(count(&[reading("a")]), Some(2.0));
    assert_eq!(count(&[]), None, "gone");
}

#[tokio::test(start_paused = true)]
async fn an_instances_series_come_and_go_with_it() {
    let recorder = recorder(true);
    let mut known = reading("a");
    known.cms = Some(Cms { kv_cache_usage_ratio_projected: Some(0.5), waiting_requests: 3, ..Cms::default() });
    let imbalance = Imbalance { infer_type: "decode", metric: "num_requests", ratio: 1.5 };
    let first = scrape(&recorder, &[known, reading("b")], &[imbalance]);
    let of_a = [("instance_id", "a"), ("infer_type", "decode"), ("model", "m")];
    assert_eq!(first.value("instance_cms_waiting_requests", &of_a), Some(3.0));
    assert_eq!(first.value("instance_cms_kv_cache_usage_ratio_projected", &[]), Some(0.5), "b's is not known");
    assert_eq!(first.value("scheduler_instance_imbalance_ratio", &[]), Some(1.5));
    let second = scrape(&recorder, &[reading("a")], &[]);
    assert_eq!(second.value("instance_cms_waiting_requests", &[]), Some(0.0));
    assert!(!second.contains("instance_cms_kv_cache_usage_ratio_projected"), "what is not known any more is absent");
    assert!(!second.contains("scheduler_instance_imbalance_ratio"));
    let third = scrape(&recorder, &[], &[]);
    assert!(third.samples.iter().all(|sample| sample.label("instance_id").is_none()));
}

#[tokio::test(start_paused = true)]
async fn lrs_totals_are_made_of_their_parts() {
    let recorder = recorder(false);
    let lrs = Lrs { running_requests: 2, waiting_requests: 3, running_tokens: 50, waiting_tokens: 7 };
    let scrape = scrape(&recorder, &[Reading { cms: None, lrs: Some(lrs), ..reading("a:1") }], &[]);
    let value = |name: &str| scrape.value(&format!("instance_lrs_{name}"), &[("model", "m"), ("instance_id", "a:1")]);
    assert_eq!(
        (value("running_requests"), value("waiting_requests"), value("total_requests")),
        (Some(2.0), Some(3.0), Some(5.0))
    );
    assert_eq!(
        (value("running_tokens"), value("waiting_tokens"), value("total_tokens")),
        (Some(50.0), Some(7.0), Some(57.0))
    );
}

#[tokio::test(start_paused = true)]
async fn refreshes_tell_whether_the_cms_answers() {
    let recorder = recorder(true);
    recorder.refreshed(Refreshed::Status, Duration::from_micros(1500), 2);
    let well = scrape(&recorder, &[], &[]);
    assert_eq!(well.histogram("scheduler_cms_refresh_status_duration_milliseconds", &[]).unwrap().sum, 1.5);
    assert_eq!(well.value("scheduler_cms_bad_records", &[("record", "status")]), Some(2.0));
    assert_eq!(well.value("scheduler_cms_available", &[]), Some(1.0));
    recorder.refresh_failed(Refreshed::Metadata);
    let unwell = scrape(&recorder, &[], &[]);
    assert_eq!(unwell.value("scheduler_cms_available", &[]), Some(0.0));
    assert_eq!(unwell.value("scheduler_cms_refresh_failed_total", &[("record", "metadata")]), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_prefix_is_measured_where_it_was_looked_up_and_only_there() {
    let recorder = recorder(true);
    let choice = |prefix_tokens| Choice {
        infer_type: "prefill",
        instance: "a",
        model: "m",
        candidates: 2,
        fallback: false,
        requests: 0,
        prefix_tokens,
        ..Choice::default()
    };
    let begin = || recorder.begin(&HeaderMap::new(), now());
    begin().placed(&decided(now()), &[choice(None)]);
    assert!(!scrape(&recorder, &[], &[]).contains("request_prefix_cache_hit_percent"), "nothing was looked up");
    recorder.looks_up_prefixes();
    assert_eq!(
        scrape(&recorder, &[], &[])
            .histogram("request_query_prefix_cache_hit_duration_milliseconds", &[])
            .unwrap()
            .count,
        0.0
    );
    let prefix = Prefix { query: Duration::from_micros(3), calc: Duration::from_micros(40), most_tokens: 600 };
    let found = Facts { model: "m", prompt_tokens: 800, prefix: Some(prefix), ..decided(now()) };
    begin().placed(&found, &[choice(Some(100)), Choice { infer_type: "decode", ..choice(None) }]);
    begin().refused(&found, ErrorType::AllEndpointsBusy, "busy", true);
    let scrape = scrape(&recorder, &[], &[]);
    let sum = |name: &str, labels: &[(&str, &str)]| {
        let histogram = scrape.histogram(name, labels).unwrap();
        (histogram.count, histogram.sum)
    };
    let of = [("model", "m")];
    assert_eq!(sum("request_prefix_cache_hit_percent", &of), (1.0, 12.5), "of the placement");
    assert_eq!(sum("request_max_prefix_cache_hit_percent", &of), (2.0, 150.0), "of both decisions");
    assert_eq!(sum("request_query_prefix_cache_hit_duration_milliseconds", &[]), (2.0, 0.006));
    assert_eq!(sum("request_calc_prefix_cache_hit_duration_milliseconds", &[]), (2.0, 0.08));
}

#[tokio::test(start_paused = true)]
async fn errors_of_predictions_are_told_by_what_was_predicted() {
    let recorder = recorder(true);
    recorder.predicted(Predicted::Ttft, 0.25);
    recorder.predicted(Predicted::PrefillProgress, 0.0);
    recorder.predicted(Predicted::PrefillProgress, f64::NAN);
    let scrape = scrape(&recorder, &[], &[]);
    for (what, count, sum) in [("ttft", 1.0, 0.25), ("tpot", 0.0, 0.0), ("prefill_progress", 1.0, 0.0)] {
        let errors = scrape.histogram("scheduler_prediction_error_ratio", &[("what", what)]).unwrap();
        assert_eq!((errors.count, errors.sum), (count, sum), "{what}");
    }
}
