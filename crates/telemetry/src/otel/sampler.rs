//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

use std::time::Duration;

use http::Uri;

use super::values::Reader;
use crate::span::{JaegerRemote, Roots, Sampler};

const NAME: &str = "OTEL_TRACES_SAMPLER";
const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// The sampler by the environment; `default` where it does not say, or says what cannot be done.
pub(super) fn read(default: Sampler, reader: &mut Reader<'_>) -> Sampler {
    let Some(name) = reader.text(NAME) else { return default };
    let (parent_based, kind) = match name.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, name.as_str()),
    };
    let roots = match kind {
        "always_on" => Roots::Ratio(1.0),
        "always_off" => Roots::Ratio(0.0),
        "traceidratio" => Roots::Ratio(reader.ratio(ARG).unwrap_or(1.0)),
        "jaeger_remote" => Roots::JaegerRemote(jaeger_remote(reader)),
        "xray" if !parent_based => {
            let what = "xray is not supported (its rules are kept by AWS); parentbased_always_on is used";
            reader.fault(NAME, what);
            return Sampler::default();
        }
        _ => {
            reader.fault(NAME, format!("no sampler is called {name}; parentbased_always_on is used"));
            return Sampler::default();
        }
    };
    Sampler { parent_based, roots }
}

/// `endpoint=…,pollingIntervalMs=…,initialSamplingRate=…`; all of them may be left out.
fn jaeger_remote(reader: &mut Reader<'_>) -> JaegerRemote {
    let mut remote = JaegerRemote {
        endpoint: Uri::from_static("http://localhost:5778"),
        polling_interval: Duration::from_secs(60),
        initial_rate: 0.001,
    };
    for (key, value) in reader.pairs(ARG) {
        match key.as_str() {
            "endpoint" => remote.endpoint = endpoint(reader, &value).unwrap_or(remote.endpoint),
            "pollingIntervalMs" => {
                let millis = value.parse().ok().filter(|&millis| millis > 0);
                remote.polling_interval = millis.map_or(remote.polling_interval, Duration::from_millis);
                if millis.is_none() {
                    reader.fault(
                        ARG,
                        format!("pollingIntervalMs={value} is not a number of milliseconds; 60000 is used"),
                    );
                }
            }
            "initialSamplingRate" => {
                let rate = value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
                remote.initial_rate = rate.unwrap_or(remote.initial_rate);
                if rate.is_none() {
                    reader
                        .fault(ARG, format!("initialSamplingRate={value} is not a number from 0 to 1; 0.001 is used"));
                }
            }
            _ => reader.fault(ARG, format!("jaeger_remote has no argument {key}; it is left out")),
        }
    }
    remote
}

fn endpoint(reader: &mut Reader<'_>, value: &str) -> Option<Uri> {
    let uri = value.parse::<Uri>().ok().filter(|uri| {
        uri.host().is_some_and(|host| !host.is_empty()) && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    if uri.is_none() {
        reader.fault(ARG, format!("endpoint={value} is not an http or https URL; http://localhost:5778 is used"));
    }
    uri
}
