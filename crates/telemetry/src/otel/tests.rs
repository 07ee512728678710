use std::collections::HashMap;
use std::time::Duration;

use super::Fault;
use crate::config::{SpanExport, TelemetryConfig};
use crate::otlp::{OtlpConfig, Protocol};
use crate::span::{JaegerRemote, Roots, Sampler};

fn apply(variables: &[(&str, &str)]) -> (TelemetryConfig, Vec<Fault>) {
    let map: HashMap<_, _> = variables.iter().copied().collect();
    let mut config = TelemetryConfig::new("llm-d-pd-proxy");
    let faults = config.apply_environment(|name| map.get(name).map(|value| (*value).to_owned()));
    (config, faults)
}

fn otlp(variables: &[(&str, &str)]) -> OtlpConfig {
    match apply(variables).0.export {
        SpanExport::Otlp(config) => *config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_set_changes_nothing() {
    let (config, faults) = apply(&[("OTEL_SERVICE_NAME", "")]);
    assert!(faults.is_empty());
    assert_eq!(config.service_name, "llm-d-pd-proxy");
    assert_eq!(config.sampler, Sampler::ratio(true, 1.0));
    assert!(matches!(config.export, SpanExport::None));
}

#[test]
fn samplers_by_name() {
    for (name, arg, parent_based, ratio) in [
        ("always_on", "", false, 1.0),
        ("always_off", "", false, 0.0),
        ("traceidratio", "0.25", false, 0.25),
        ("parentbased_always_on", "", true, 1.0),
        ("parentbased_always_off", "", true, 0.0),
        ("parentbased_traceidratio", "0.1", true, 0.1),
    ] {
        let (config, faults) = apply(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
        assert_eq!(config.sampler, Sampler::ratio(parent_based, ratio), "{name}");
        assert!(faults.is_empty(), "{name}");
    }
}

#[test]
fn the_remote_sampler_by_its_arguments() {
    let remote = |name, arg| {
        let (config, faults) = apply(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", arg)]);
        let Roots::JaegerRemote(remote) = config.sampler.roots else { panic!("{:?}", config.sampler) };
        (config.sampler.parent_based, remote, faults.len())
    };
    let default = JaegerRemote {
        endpoint: "http://localhost:5778".parse().unwrap(),
        polling_interval: Duration::from_secs(60),
        initial_rate: 0.001,
    };
    assert_eq!(remote("jaeger_remote", ""), (false, default.clone(), 0));
    let said = JaegerRemote {
        endpoint: "https://jaeger:5778/api/sampling".parse().unwrap(),
        polling_interval: Duration::from_secs(5),
        initial_rate: 0.25,
    };
    let arg = "endpoint=https://jaeger:5778/api/sampling, pollingIntervalMs=5000,initialSamplingRate=0.25";
    assert_eq!(remote("parentbased_jaeger_remote", arg), (true, said, 0));
    let arg = "endpoint=jaeger,pollingIntervalMs=0,initialSamplingRate=2,what=ever,broken";
    assert_eq!(remote("jaeger_remote", arg), (false, default, 5));
}

#[test]
fn a_sampler_that_is_not_ours_says_what_is_used_instead() {
    for name in ["xray", "parentbased_xray", "sometimes"] {
        let (config, faults) = apply(&[("OTEL_TRACES_SAMPLER", name)]);
        assert_eq!(config.sampler, Sampler::default(), "{name}");
        assert!(faults[0].problem.contains("parentbased_always_on is used"), "{name}: {}", faults[0]);
    }
    let (_, faults) = apply(&[("OTEL_TRACES_SAMPLER", "xray")]);
    assert!(faults[0].problem.contains("not supported"), "{}", faults[0]);
}

#[test]
fn propagators_by_name() {
    for (list, propagate, faults) in [
        ("", true, 0),
        ("tracecontext,baggage", true, 0),
        ("tracecontext", true, 0),
        ("baggage", false, 0),
        ("none", false, 0),
        ("none,tracecontext", true, 1),
        ("tracecontext,b3", true, 1),
        ("b3multi", true, 2),
        ("jaeger,xray,ottrace", true, 4),
        ("pigeon,baggage", false, 1),
    ] {
        let (config, found) = apply(&[("OTEL_PROPAGATORS", list)]);
        assert_eq!((config.propagate, found.len()), (propagate, faults), "{list}: {found:?}");
    }
}

#[test]
fn every_fault_is_listed_and_the_default_taken() {
    let (config, faults) = apply(&[
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_PROPAGATORS", "tracecontext,b3"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,broken"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k=%zz"),
        ("OTEL_SDK_DISABLED", "yes"),
    ]);
    assert_eq!(faults.len(), 11, "{faults:#?}");
    assert_eq!(config.sampler, Sampler::default());
    assert_eq!(config.batch, crate::Batch::default());
    assert!(matches!(config.export, SpanExport::Otlp(_)));
}

#[test]
fn the_service_name_goes_before_the_resource() {
    let (config, _) = apply(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment=te%20st"),
        ("OTEL_SERVICE_NAME", "b"),
    ]);
    assert_eq!(config.service_name, "b");
    assert_eq!(config.resource, [("deployment.environment".to_owned(), "te st".to_owned())]);
}

#[test]
fn endpoints() {
    let general = otlp(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/")]);
    assert_eq!(general.endpoint, "http://collector:4318/base/v1/traces");
    assert_eq!(general.protocol, Protocol::HttpProtobuf);
    let own = otlp(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://other:1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/custom"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ]);
    assert_eq!(own.endpoint, "http://collector:4318/custom");
    assert_eq!((own.timeout, own.gzip), (Duration::from_millis(1500), true));
    assert_eq!(own.headers[0].1, "Bearer x");
    assert_eq!(otlp(&[("OTEL_TRACES_EXPORTER", "otlp")]).endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(otlp(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")]).protocol, Protocol::Grpc);
}

#[test]
fn an_endpoint_without_scheme_is_secure_unless_said() {
    let plain = [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
    assert_eq!(otlp(&plain).endpoint.scheme_str(), Some("http"));
    assert_eq!(otlp(&plain[..1]).endpoint.scheme_str(), Some("https"));
}

#[test]
fn disabled_is_disabled() {
    let (config, _) = apply(&[("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]);
    assert!(matches!(config.export, SpanExport::None));
}

#[test]
fn the_spans_own_limit_goes_first() {
    let (config, _) = apply(&[("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7")]);
    assert_eq!((config.limits.attributes, config.limits.event_attributes), (7, 5));
}
