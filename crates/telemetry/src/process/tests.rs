use crate::exposition::parse;
use crate::{Telemetry, TelemetryConfig};

#[tokio::test(start_paused = true)]
async fn every_process_tells_about_itself() {
    let mut config = TelemetryConfig::new("svc");
    config.allocated_bytes = Some(|| Some(42));
    let telemetry = Telemetry::new(config).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let text = telemetry.metrics_response(None).1;
    let scrape = parse(std::str::from_utf8(&text).unwrap()).unwrap();
    assert_eq!(scrape.value("uptime_seconds", &[]), Some(3.0));
    assert_eq!(scrape.value("build_info", &[("service", "svc")]), Some(1.0));
    assert_eq!(scrape.value("go_memstats_alloc_bytes", &[]), Some(42.0));
    assert_eq!(scrape.value("go_goroutines", &[]), scrape.value("tokio_alive_tasks", &[]));
    assert_eq!(scrape.value("tokio_loop_lag_seconds", &[]), Some(0.0));
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(scrape.value(name, &[]).unwrap() > 0.0, "{name}");
    }
    assert!(scrape.value("process_cpu_seconds_total", &[]).is_some());
    assert!(scrape.value("process_start_time_seconds", &[]).unwrap() > 1.6e9);
    assert_eq!(scrape.value("telemetry_spans_total", &[("outcome", "dropped")]), Some(0.0));
    telemetry.shutdown().await;
}
