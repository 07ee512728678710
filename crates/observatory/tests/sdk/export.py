"""Exports one trace and a few samples with OpenTelemetry's own SDK, then exits 0 if all of it was taken.

Usage: export.py grpc|http ENDPOINT SERVICE
"""

import sys

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

protocol, endpoint, service = sys.argv[1:]
if protocol == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    spans = OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=Compression.Gzip)
    samples = OTLPMetricExporter(endpoint=endpoint, insecure=True)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    spans = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=Compression.Gzip)
    samples = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics")

outcomes = []


def watched(exporter, succeeded):
    """The exporter, with what its exports came to noted."""
    export = exporter.export

    def noting(*args, **kwargs):
        outcome = export(*args, **kwargs)
        outcomes.append(outcome == succeeded)
        return outcome

    exporter.export = noting
    return exporter


resource = Resource.create({"service.name": service, "service.instance.id": "one"})
tracing = TracerProvider(resource=resource)
tracing.add_span_processor(BatchSpanProcessor(watched(spans, SpanExportResult.SUCCESS)))
tracer = tracing.get_tracer("sdk-test", "1.2.3")
with tracer.start_as_current_span("outer", kind=trace.SpanKind.SERVER) as outer:
    outer.set_attributes({"text": "größe", "whole": 7, "real": 0.5, "truth": True, "list": ["a", "b"]})
    with tracer.start_as_current_span("inner") as inner:
        inner.add_event("token", {"number": 1})
        inner.set_status(trace.Status(trace.StatusCode.ERROR, "on purpose"))
tracing.shutdown()

reader = PeriodicExportingMetricReader(watched(samples, MetricExportResult.SUCCESS), export_interval_millis=3_600_000)
metering = MeterProvider(resource=resource, metric_readers=[reader])
meter = metering.get_meter("sdk-test")
meter.create_counter("sdk.jobs", unit="1").add(3, {"kind": "a"})
meter.create_histogram("sdk.wait", unit="s").record(0.25)
metering.shutdown()

sys.exit(0 if len(outcomes) >= 2 and all(outcomes) else 1)
