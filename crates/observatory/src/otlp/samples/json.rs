//! OTLP's JSON mapping of metrics.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
};
use serde_json::Value;

use crate::otlp::json::{
    Object, Read, attributes, double, enumeration, list, member, object, optional, resource, scope, signed, small,
    text, values, whole,
};

/// A request with metrics.
pub(crate) fn metrics(body: &Value) -> Read<ExportMetricsServiceRequest> {
    let resource_metrics = list(object(body, "request")?, "resourceMetrics", |group| {
        let scope_metrics = list(group, "scopeMetrics", |scoped| {
            let (scope, metrics) = (scope(scoped)?, list(scoped, "metrics", metric)?);
            Ok(ScopeMetrics { scope, metrics, schema_url: text(scoped, "schemaUrl")? })
        })?;
        Ok(ResourceMetrics { resource: resource(group)?, scope_metrics, schema_url: text(group, "schemaUrl")? })
    })?;
    Ok(ExportMetricsServiceRequest { resource_metrics })
}

fn metric(metric: &Object) -> Read<Metric> {
    Ok(Metric {
        name: text(metric, "name")?,
        description: text(metric, "description")?,
        unit: text(metric, "unit")?,
        metadata: Vec::new(),
        data: data(metric)?,
    })
}

fn data(metric: &Object) -> Read<Option<Data>> {
    let of = |name: &'static str| member(metric, name).map(|data| object(data, name)).transpose();
    Ok(if let Some(gauge) = of("gauge")? {
        Some(Data::Gauge(Gauge { data_points: list(gauge, "dataPoints", number)? }))
    } else if let Some(sum) = of("sum")? {
        Some(Data::Sum(Sum {
            data_points: list(sum, "dataPoints", number)?,
            aggregation_temporality: temporality(sum)?,
            is_monotonic: member(sum, "isMonotonic").and_then(Value::as_bool).unwrap_or(false),
        }))
    } else if let Some(histogram) = of("histogram")? {
        let data_points = list(histogram, "dataPoints", histogram_point)?;
        Some(Data::Histogram(Histogram { data_points, aggregation_temporality: temporality(histogram)? }))
    } else if let Some(histogram) = of("exponentialHistogram")? {
        // Only how many there are is asked of them.
        let data_points = list(histogram, "dataPoints", |_| Ok(ExponentialHistogramDataPoint::default()))?;
        let aggregation_temporality = temporality(histogram)?;
        Some(Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }))
    } else if let Some(summary) = of("summary")? {
        Some(Data::Summary(Summary { data_points: list(summary, "dataPoints", summary_point)? }))
    } else {
        None
    })
}

fn temporality(data: &Object) -> Read<i32> {
    const NAMES: &[&str] = &["UNSPECIFIED", "DELTA", "CUMULATIVE"];
    enumeration(data, "aggregationTemporality", "AGGREGATION_TEMPORALITY_", NAMES)
}

fn number(point: &Object) -> Read<NumberDataPoint> {
    let whole_number = optional(point, "asInt", signed)?.map(Number::AsInt);
    Ok(NumberDataPoint {
        attributes: attributes(point)?,
        start_time_unix_nano: whole(point, "startTimeUnixNano")?,
        time_unix_nano: whole(point, "timeUnixNano")?,
        flags: small(point, "flags")?,
        value: whole_number.or(optional(point, "asDouble", double)?.map(Number::AsDouble)),
        ..NumberDataPoint::default()
    })
}

fn histogram_point(point: &Object) -> Read<HistogramDataPoint> {
    Ok(HistogramDataPoint {
        attributes: attributes(point)?,
        start_time_unix_nano: whole(point, "startTimeUnixNano")?,
        time_unix_nano: whole(point, "timeUnixNano")?,
        count: whole(point, "count")?,
        sum: optional(point, "sum", double)?,
        bucket_counts: values(point, "bucketCounts", crate::otlp::json::unsigned)?,
        explicit_bounds: values(point, "explicitBounds", double)?,
        flags: small(point, "flags")?,
        ..HistogramDataPoint::default()
    })
}

fn summary_point(point: &Object) -> Read<SummaryDataPoint> {
    Ok(SummaryDataPoint {
        attributes: attributes(point)?,
        time_unix_nano: whole(point, "timeUnixNano")?,
        count: whole(point, "count")?,
        sum: optional(point, "sum", double)?.unwrap_or(0.0),
        quantile_values: list(point, "quantileValues", |quantile| {
            let of = |name| Ok(optional(quantile, name, double)?.unwrap_or(0.0));
            Ok(ValueAtQuantile { quantile: of("quantile")?, value: of("value")? })
        })?,
        flags: small(point, "flags")?,
        ..SummaryDataPoint::default()
    })
}
