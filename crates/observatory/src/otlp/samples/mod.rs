//! OTLP's metrics as Prometheus' samples, by OpenTelemetry's rules for that translation.
//!
//! Names become words of letters, digits and `_`, with the unit and, for counters, `_total` at the end; a histogram becomes
//! `_bucket`, `_sum` and `_count`. `service.name` and `service.instance.id` become `job` and `instance`, and all attributes
//! of the sender stand on `target_info`.
//!
//! Two kinds are left out, and their sender is told: what is counted from one export to the next (delta temporality), since
//! a lost export would falsify the sum for ever; and histograms with exponential buckets, which nothing here draws.

pub(crate) mod json;
mod names;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Otlp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, SummaryDataPoint,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use telemetry::clock;

use super::wire::Partial;
use crate::metrics::METRIC_NAME;
use crate::metrics::store::{Appender, Metadata, STALE, Sample, Store};
use names::{Kind, family, label};

/// Stores what a request holds, and says what was left out.
pub(super) fn store(store: &Store, request: &ExportMetricsServiceRequest) -> Partial {
    let now = i64::try_from(clock::now().unix_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let mut storing = Storing { appender: store.appender(now), now, partial: Partial::default() };
    for group in &request.resource_metrics {
        storing.group(group);
    }
    storing.partial
}

/// What a series is told apart by, in the making.
type Labels = Vec<(String, String)>;

struct Storing<'a> {
    appender: Appender<'a>,
    now: i64,
    partial: Partial,
}

impl Storing<'_> {
    fn group(&mut self, group: &ResourceMetrics) {
        let target = target(group.resource.as_ref());
        self.target_info(group.resource.as_ref(), &target);
        for metric in group.scope_metrics.iter().flat_map(|scoped| &scoped.metrics) {
            self.metric(metric, &target);
        }
    }

    /// What is known of the sender, as a series of its own.
    fn target_info(&mut self, resource: Option<&Resource>, target: &Labels) {
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        let known = ["service.name", "service.namespace", "service.instance.id"];
        let further: Vec<&KeyValue> =
            attributes.iter().filter(|attribute| !known.contains(&attribute.key.as_str())).collect();
        if !further.is_empty() {
            let labels = labels(target, further.into_iter(), None);
            self.append("target_info", labels, self.now, 1.0);
        }
    }

    fn metric(&mut self, metric: &Metric, target: &Labels) {
        let cumulative = AggregationTemporality::Cumulative as i32;
        let delta = "delta temporality is not kept: set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative";
        match &metric.data {
            Some(Data::Gauge(gauge)) => self.numbers(metric, Kind::Gauge, &gauge.data_points, target),
            Some(Data::Sum(sum)) if sum.aggregation_temporality != cumulative => {
                self.leave_out(sum.data_points.len(), delta);
            }
            Some(Data::Sum(sum)) => {
                let kind = if sum.is_monotonic { Kind::Counter } else { Kind::Gauge };
                self.numbers(metric, kind, &sum.data_points, target);
            }
            Some(Data::Histogram(histogram)) if histogram.aggregation_temporality != cumulative => {
                self.leave_out(histogram.data_points.len(), delta);
            }
            Some(Data::Histogram(histogram)) => {
                let name = self.describe(metric, Kind::Histogram);
                histogram.data_points.iter().for_each(|point| self.histogram(&name, point, target));
            }
            Some(Data::Summary(summary)) => {
                let name = self.describe(metric, Kind::Summary);
                summary.data_points.iter().for_each(|point| self.summary(&name, point, target));
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let why = "histograms with exponential buckets are not kept: use explicit bucket bounds";
                self.leave_out(histogram.data_points.len(), why);
            }
            None => {}
        }
    }

    fn describe(&mut self, metric: &Metric, kind: Kind) -> String {
        let name = family(&metric.name, &metric.unit, kind);
        let metadata =
            Metadata { kind: kind.as_str().to_owned(), help: metric.description.clone(), unit: metric.unit.clone() };
        self.appender.describe(&name, metadata);
        name
    }

    fn numbers(&mut self, metric: &Metric, kind: Kind, points: &[NumberDataPoint], target: &Labels) {
        let name = self.describe(metric, kind);
        for point in points {
            let value = match point.value {
                _ if is_absent(point.flags) => STALE,
                Some(Number::AsDouble(value)) => value,
                Some(Number::AsInt(value)) => value as f64,
                None => continue,
            };
            let labels = labels(target, point.attributes.iter(), None);
            self.append(&name, labels, millis(point.time_unix_nano), value);
        }
    }

    fn histogram(&mut self, name: &str, point: &HistogramDataPoint, target: &Labels) {
        let at = millis(point.time_unix_nano);
        let absent = is_absent(point.flags);
        let value = |value: f64| if absent { STALE } else { value };
        let mut counted = 0;
        let bounds = point.explicit_bounds.iter().map(ToString::to_string);
        for (bound, count) in bounds.zip(&point.bucket_counts) {
            counted += count;
            let labels = labels(target, point.attributes.iter(), Some(("le", bound)));
            self.append(&format!("{name}_bucket"), labels, at, value(counted as f64));
        }
        let all = labels(target, point.attributes.iter(), Some(("le", "+Inf".to_owned())));
        self.append(&format!("{name}_bucket"), all, at, value(point.count as f64));
        let plain = labels(target, point.attributes.iter(), None);
        if let Some(sum) = point.sum {
            self.append(&format!("{name}_sum"), plain.clone(), at, value(sum));
        }
        self.append(&format!("{name}_count"), plain, at, value(point.count as f64));
    }

    fn summary(&mut self, name: &str, point: &SummaryDataPoint, target: &Labels) {
        let at = millis(point.time_unix_nano);
        let absent = is_absent(point.flags);
        let value = |value: f64| if absent { STALE } else { value };
        for quantile in &point.quantile_values {
            let labels = labels(target, point.attributes.iter(), Some(("quantile", quantile.quantile.to_string())));
            self.append(name, labels, at, value(quantile.value));
        }
        let plain = labels(target, point.attributes.iter(), None);
        self.append(&format!("{name}_sum"), plain.clone(), at, value(point.sum));
        self.append(&format!("{name}_count"), plain, at, value(point.count as f64));
    }

    fn append(&mut self, name: &str, mut labels: Labels, at: i64, value: f64) {
        labels.push((METRIC_NAME.to_owned(), name.to_owned()));
        labels.sort();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if let Err(refused) = self.appender.append(&labels, Sample { at, value }) {
            self.leave_out(1, &refused.to_string());
        }
    }

    fn leave_out(&mut self, samples: usize, why: &str) {
        self.partial.rejected = self.partial.rejected.saturating_add_unsigned(samples as u64);
        if self.partial.message.is_empty() {
            why.clone_into(&mut self.partial.message);
        }
    }
}

/// Bit 0 says that there is no value.
fn is_absent(flags: u32) -> bool {
    flags & 1 == 1
}

fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}

/// `job` and `instance`.
fn target(resource: Option<&Resource>) -> Labels {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let of = |key: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == key);
        found.map_or_else(String::new, |attribute| shown(attribute.value.as_ref()))
    };
    let (namespace, name) = (of("service.namespace"), of("service.name"));
    let job = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
    let labels = [("job", job), ("instance", of("service.instance.id"))];
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).filter(|(_, value)| !value.is_empty()).collect()
}

/// The sender's labels, those of the attributes, and one more. Attributes whose names become the same one are joined.
fn labels<'a>(
    target: &Labels,
    attributes: impl Iterator<Item = &'a KeyValue>,
    further: Option<(&str, String)>,
) -> Labels {
    let mut labels = target.clone();
    for attribute in attributes {
        let (name, value) = (label(&attribute.key), shown(attribute.value.as_ref()));
        if value.is_empty() || target.iter().any(|(known, _)| *known == name) {
            continue;
        }
        match labels.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = format!("{known};{value}"),
            None => labels.push((name, value)),
        }
    }
    if let Some((name, value)) = further {
        labels.retain(|(known, _)| known != name);
        labels.push((name.to_owned(), value));
    }
    labels
}

/// A value as a label shows it.
fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Otlp::StringValue(text)) => text.clone(),
        Some(Otlp::BoolValue(truth)) => truth.to_string(),
        Some(Otlp::IntValue(number)) => number.to_string(),
        Some(Otlp::DoubleValue(number)) => number.to_string(),
        Some(Otlp::ArrayValue(list)) => {
            let items: Vec<String> = list.values.iter().map(|item| shown(Some(item))).collect();
            format!("[{}]", items.join(","))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
