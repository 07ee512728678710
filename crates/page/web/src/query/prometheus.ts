// Prometheus' HTTP API.

import type { Range } from "../model/time";
import { get } from "./http";

export type Labels = Record<string, string>;

interface Answer<T> {
  status: string;
  data: T;
}

interface Matrix {
  result: { metric: Labels; values: [number, string][] }[];
}

/** A series over time. */
export interface RangeSeries {
  labels: Labels;
  points: [number, number][];
}

/** An observation with a trace. */
export interface Exemplar {
  at: number;
  value: number;
  traceId: string;
  labels: Labels;
}

/** Numbers as Prometheus writes them. */
function number(text: string): number {
  return text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text);
}

/** An expression over a range. */
export async function queryRange(expr: string, range: Range, step: number, signal?: AbortSignal): Promise<RangeSeries[]> {
  const parameters = { query: expr, start: range.from, end: range.to, step };
  const answer = await get<Answer<Matrix>>("/api/v1/query_range", parameters, signal);
  return answer.data.result.map(({ metric, values }) => ({
    labels: metric,
    points: values.map(([at, value]) => [at, number(value)]),
  }));
}

/** Exemplars of the series that an expression selects. */
export async function queryExemplars(expr: string, range: Range, signal?: AbortSignal): Promise<Exemplar[]> {
  interface Found {
    seriesLabels: Labels;
    exemplars: { labels: Labels; value: string; timestamp: number }[];
  }
  const parameters = { query: expr, start: range.from, end: range.to };
  const answer = await get<Answer<Found[]>>("/api/v1/query_exemplars", parameters, signal);
  return (answer.data ?? []).flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => ({
      at: timestamp,
      value: Number(value),
      traceId: labels["trace_id"] ?? labels["traceID"] ?? "",
      labels: { ...seriesLabels, ...labels },
    })),
  );
}

/** The values of a label, of one metric's series. */
export async function labelValues(label: string, metric: string, range: Range, signal?: AbortSignal): Promise<string[]> {
  const path = `/api/v1/label/${encodeURIComponent(label)}/values`;
  const answer = await get<Answer<string[]>>(path, { "match[]": metric, start: range.from, end: range.to }, signal);
  return answer.data ?? [];
}

/** Whether there is any series of a metric in the range. */
export async function known(metric: string, range: Range, signal?: AbortSignal): Promise<boolean> {
  const selector = `{__name__=~"${metric}(_bucket|_total)?"}`;
  const parameters = { "match[]": selector, start: range.from, end: range.to, limit: 1 };
  const answer = await get<Answer<Labels[]>>("/api/v1/series", parameters, signal);
  return answer.data.length > 0;
}
