// Tempo's HTTP API.

import type { Range } from "../model/time";
import { get } from "./http";

interface AnyValue {
  stringValue?: string;
  intValue?: string | number;
  doubleValue?: number;
  boolValue?: boolean;
  arrayValue?: { values?: AnyValue[] };
}

interface Attribute {
  key: string;
  value: AnyValue;
}

/** An attribute's value. */
export type Scalar = string | number | boolean;
export type Attributes = Record<string, Scalar>;

/** One span of a trace. */
export interface Span {
  id: string;
  parent: string;
  name: string;
  service: string;
  instance: string;
  kind: string;
  /** Nanoseconds of Unix time; too large for a number. */
  start: bigint;
  end: bigint;
  attributes: Attributes;
  events: { name: string; at: bigint; attributes: Attributes }[];
  failed: boolean;
  message: string;
}

/** A series of a metrics query. */
export interface MetricSeries {
  labels: Record<string, string>;
  points: [number, number][];
  value?: number;
  exemplars: { at: number; value: number; traceId: string }[];
}

/** A span that a search found, with its trace. */
export interface Found {
  traceId: string;
  spanId: string;
  name: string;
  root: string;
  service: string;
  start: number;
  durationMs: number;
  attributes: Attributes;
}

function scalar(value: AnyValue): Scalar {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.arrayValue) return (value.arrayValue.values ?? []).map((item) => String(scalar(item))).join(", ");
  return "";
}

function attributes(list: Attribute[] | undefined): Attributes {
  return Object.fromEntries((list ?? []).map(({ key, value }) => [key, scalar(value)]));
}

/** A metrics query over a range. */
export async function queryRange(query: string, range: Range, step: number, signal?: AbortSignal): Promise<MetricSeries[]> {
  const parameters = { q: query, start: Math.floor(range.from), end: Math.ceil(range.to), step: `${step}s` };
  return metricSeries(await get<{ series?: RawSeries[] }>("/api/metrics/query_range", parameters, signal));
}

/** A metrics query whose value is of the whole range. */
export async function query(query: string, range: Range, signal?: AbortSignal): Promise<MetricSeries[]> {
  const parameters = { q: query, start: Math.floor(range.from), end: Math.ceil(range.to) };
  return metricSeries(await get<{ series?: RawSeries[] }>("/api/metrics/query", parameters, signal));
}

interface RawSeries {
  labels?: Attribute[];
  samples?: { timestampMs: string | number; value?: number }[];
  value?: number;
  exemplars?: { timestampMs: string | number; value?: number; labels?: Attribute[] }[];
}

function metricSeries(answer: { series?: RawSeries[] }): MetricSeries[] {
  return (answer.series ?? []).map((series) => {
    const labels = Object.entries(attributes(series.labels)).map(([key, value]) => [key, String(value)]);
    return {
      labels: Object.fromEntries(labels) as Record<string, string>,
      // A value of zero is left out of the JSON.
      points: (series.samples ?? []).map(({ timestampMs, value }) => [Number(timestampMs) / 1000, value ?? 0]),
      value: series.value ?? 0,
      exemplars: (series.exemplars ?? []).map(({ timestampMs, value, labels }) => ({
        at: Number(timestampMs) / 1000,
        value: value ?? 0,
        traceId: String(attributes(labels)["trace:id"] ?? ""),
      })),
    };
  });
}

interface RawSpan {
  spanID: string;
  name?: string;
  startTimeUnixNano: string;
  durationNanos: string;
  attributes?: Attribute[];
}

interface RawTrace {
  traceID: string;
  rootServiceName?: string;
  rootTraceName?: string;
  startTimeUnixNano?: string;
  durationMs?: number;
  spanSets?: { spans?: RawSpan[] }[];
  spanSet?: { spans?: RawSpan[] };
}

/** Spans that a query finds, newest first. */
export async function search(query: string, range: Range, limit: number, signal?: AbortSignal): Promise<Found[]> {
  const parameters = { q: query, start: Math.floor(range.from), end: Math.ceil(range.to), limit, spss: 1 };
  const answer = await get<{ traces?: RawTrace[] }>("/api/search", parameters, signal);
  const found = (answer.traces ?? []).flatMap((trace) =>
    (trace.spanSets ?? (trace.spanSet ? [trace.spanSet] : [])).flatMap((set) => (set.spans ?? []).map((span) => row(trace, span))),
  );
  return found.sort((a, b) => b.start - a.start);
}

function row(trace: RawTrace, span: RawSpan): Found {
  const all = attributes(span.attributes);
  return {
    traceId: trace.traceID,
    spanId: span.spanID,
    name: span.name ?? String(all["name"] ?? ""),
    root: trace.rootTraceName ?? "",
    service: trace.rootServiceName ?? "",
    start: Number(span.startTimeUnixNano) / 1e9,
    durationMs: Number(span.durationNanos) / 1e6,
    attributes: all,
  };
}

/** Values that a span attribute has. */
export async function attributeValues(attribute: string, range: Range, signal?: AbortSignal): Promise<string[]> {
  const path = `/api/v2/search/tag/${encodeURIComponent(`span.${attribute}`)}/values`;
  const parameters = { start: Math.floor(range.from), end: Math.ceil(range.to) };
  const answer = await get<{ tagValues?: { value: string }[] }>(path, parameters, signal);
  return (answer.tagValues ?? []).map(({ value }) => value);
}

interface RawBatch {
  resource?: { attributes?: Attribute[] };
  scopeSpans?: { spans?: RawOtlp[] }[];
}

interface RawOtlp {
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind?: string | number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes?: Attribute[];
  events?: { name: string; timeUnixNano: string; attributes?: Attribute[] }[];
  status?: { code?: string | number; message?: string };
}

/** Every span of a trace, earliest first. */
export async function trace(id: string, signal?: AbortSignal): Promise<Span[]> {
  const answer = await get<{ trace?: { resourceSpans?: RawBatch[] } }>(`/api/v2/traces/${encodeURIComponent(id)}`, {}, signal);
  return parseTrace(answer.trace?.resourceSpans ?? []);
}

/** OTLP's batches as spans. */
export function parseTrace(batches: RawBatch[]): Span[] {
  const spans = batches.flatMap(({ resource, scopeSpans }) => {
    const of = attributes(resource?.attributes);
    return (scopeSpans ?? []).flatMap((scope) => (scope.spans ?? []).map((span) => otlp(of, span)));
  });
  return spans.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
}

const KINDS = ["", "internal", "server", "client", "producer", "consumer"];

function otlp(resource: Attributes, span: RawOtlp): Span {
  const kind = typeof span.kind === "number" ? (KINDS[span.kind] ?? "") : (span.kind ?? "").replace("SPAN_KIND_", "").toLowerCase();
  return {
    id: hex(span.spanId),
    parent: hex(span.parentSpanId ?? ""),
    name: span.name,
    service: String(resource["service.name"] ?? "unknown"),
    instance: String(resource["service.instance.id"] ?? ""),
    kind,
    start: BigInt(span.startTimeUnixNano),
    end: BigInt(span.endTimeUnixNano),
    attributes: attributes(span.attributes),
    events: (span.events ?? []).map((event) => ({
      name: event.name,
      at: BigInt(event.timeUnixNano),
      attributes: attributes(event.attributes),
    })),
    failed: span.status?.code === 2 || span.status?.code === "STATUS_CODE_ERROR",
    message: span.status?.message ?? "",
  };
}

/** An identifier in hexadecimal: OTLP's JSON has that, protobuf's has base64. */
export function hex(id: string): string {
  if (id === "" || /^[0-9a-f]{16}$|^[0-9a-f]{32}$/i.test(id)) return id.toLowerCase();
  try {
    return [...atob(id)].map((char) => char.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  } catch {
    return id;
  }
}
