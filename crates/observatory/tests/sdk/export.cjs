// Exports one trace and a few samples with OpenTelemetry's own SDK, then exits 0 if all of it was taken.
//
// Usage: export.cjs grpc|http|json ENDPOINT SERVICE
"use strict";

const { trace, context, SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { NodeTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-node");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-proto");

const [protocol, endpoint, service] = process.argv.slice(2);
const packages = { grpc: "grpc", http: "proto", json: "http" };
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${packages[protocol]}`);

const outcomes = [];

// The exporter, with what its exports came to noted.
function watched(exporter) {
  const send = exporter.export.bind(exporter);
  exporter.export = (batch, done) =>
    send(batch, (outcome) => {
      outcomes.push(outcome.code === 0);
      done(outcome);
    });
  return exporter;
}

async function main() {
  const resource = resourceFromAttributes({ "service.name": service, "service.instance.id": "one" });
  const url = protocol === "grpc" ? endpoint : `${endpoint}/v1/traces`;
  const exporter = watched(new OTLPTraceExporter({ url, compression: "gzip" }));
  const tracing = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter)] });
  const tracer = tracing.getTracer("sdk-test", "1.2.3");
  const outer = tracer.startSpan("outer", { kind: SpanKind.SERVER });
  outer.setAttributes({ text: "größe", whole: 7, real: 0.5, truth: true, list: ["a", "b"] });
  const inner = tracer.startSpan("inner", {}, trace.setSpan(context.active(), outer));
  inner.addEvent("token", { number: 1 });
  inner.setStatus({ code: SpanStatusCode.ERROR, message: "on purpose" });
  inner.end();
  outer.end();
  await tracing.shutdown();

  const samples = process.env.SAMPLES_ENDPOINT;
  const reader = new PeriodicExportingMetricReader({
    exporter: watched(new OTLPMetricExporter({ url: `${samples}/v1/metrics` })),
    exportIntervalMillis: 3_600_000,
  });
  const metering = new MeterProvider({ resource, readers: [reader] });
  const meter = metering.getMeter("sdk-test");
  meter.createCounter("sdk.jobs", { unit: "1" }).add(3, { kind: "a" });
  meter.createHistogram("sdk.wait", { unit: "s" }).record(0.25);
  await metering.shutdown();
  process.exitCode = outcomes.length >= 2 && outcomes.every(Boolean) ? 0 : 1;
}

main();
