// One request taken apart: the parts of its time to first token, and what each engine claimed of itself.

import { HUE, STAGES } from "../model/theme";
import type { Attributes, Span } from "../query/tempo";

/** A part of the critical path. */
export interface Part {
  key: string;
  name: string;
  colour: string;
  /** From the request's receipt to where this part begins. */
  offset: number;
  nanos: number;
}

/** What an engine says of itself. */
export interface Claim {
  who: string;
  service: string;
  role: string;
  /** Its span's start, after the request's receipt. */
  offset: number;
  ttft: number;
  queue?: number | undefined;
  prefill?: number | undefined;
  tokens?: number | undefined;
}

/** What the client's own stopwatch said, where the client sent its span. */
export interface Client {
  /** When it sent the request, after the receipt here: below zero. */
  offset: number;
  ttft: number;
}

/** All of it; times in nanoseconds after the request's receipt. */
export interface Anatomy {
  /** Who measured: the gateway, or without one the coordinator. */
  source: "gateway" | "coordinator";
  ttft: number;
  total: number;
  parts: Part[];
  tokens?: number | undefined;
  tpot?: number | undefined;
  claims: Claim[];
  client?: Client | undefined;
  facts: [string, string][];
  placement: [string, string][];
  outcome: string;
  received: bigint;
}

/** Parts in the order of a request's way. */
const GATEWAY_PARTS = ["preprocess", "queue", "schedule", "dispatch", "prefill", "kv_transfer", "first_decode", "relay", "upstream"];
const COORDINATOR_PARTS: [string, string][] = [
  ["gateway", "gateway"],
  ["coordinator_preprocess", "coordinator_preprocess"],
  ["prefill", "prefill_duration"],
  ["kv_transfer", "kv_transfer_overhead"],
  ["first_decode", "first_decode_step"],
];

/** Milliseconds as attributes have them, in whole nanoseconds: sums are exact. */
export function nanos(attributes: Attributes, key: string): number | undefined {
  const value = attributes[key];
  return typeof value === "number" ? Math.round(value * 1e6) : undefined;
}

function seconds(attributes: Attributes, key: string): number | undefined {
  const value = attributes[key];
  return typeof value === "number" ? Math.round(value * 1e9) : undefined;
}

/** A trace's request; nothing where no span of it has a time to first token. */
export function anatomy(spans: Span[]): Anatomy | undefined {
  const gateway = spans.find((span) => nanos(span.attributes, "candor.gateway.ttft_ms") !== undefined);
  if (gateway) return ofGateway(gateway, spans);
  const decode = spans.find((span) => nanos(span.attributes, "llm_d.pd_proxy.true_ttft_ms") !== undefined);
  return decode ? ofCoordinator(decode, spans) : undefined;
}

function ofGateway(span: Span, spans: Span[]): Anatomy {
  const prefix = "candor.gateway";
  const measured = GATEWAY_PARTS.map((key) => [key, nanos(span.attributes, `${prefix}.ttft.${key}_ms`)] as const);
  return assemble(span, spans, span.start, {
    source: "gateway",
    ttft: nanos(span.attributes, `${prefix}.ttft_ms`)!,
    total: nanos(span.attributes, `${prefix}.e2e_ms`) ?? Number(span.end - span.start),
    parts: parts(measured),
    tpot: nanos(span.attributes, `${prefix}.tpot_ms`),
    outcome: String(span.attributes[`${prefix}.outcome`] ?? ""),
  });
}

function ofCoordinator(span: Span, spans: Span[]): Anatomy {
  const prefix = "llm_d.pd_proxy";
  const measured = COORDINATOR_PARTS.map(([key, name]) => [key, nanos(span.attributes, `${prefix}.${name}_ms`)] as const);
  const request = spans.find(({ name }) => name === "llm_d.pd_proxy.request") ?? span;
  const before = nanos(span.attributes, `${prefix}.gateway_ms`) ?? 0;
  return assemble(span, spans, request.start - BigInt(before), {
    source: "coordinator",
    ttft: nanos(span.attributes, `${prefix}.true_ttft_ms`)!,
    total: nanos(span.attributes, `${prefix}.total_duration_ms`) ?? Number(span.end - span.start),
    parts: parts(measured),
    tpot: undefined,
    outcome: String(span.attributes[`${prefix}.outcome`] ?? ""),
  });
}

function parts(measured: (readonly [string, number | undefined])[]): Part[] {
  let offset = 0;
  const found: Part[] = [];
  for (const [key, nanos] of measured) {
    if (nanos === undefined) continue;
    const { name, colour } = STAGES[key] ?? { name: key, colour: HUE.grey };
    found.push({ key, name, colour, offset, nanos });
    offset += nanos;
  }
  return found;
}

type Measured = Pick<Anatomy, "source" | "ttft" | "total" | "parts" | "tpot" | "outcome">;

function assemble(carrier: Span, spans: Span[], received: bigint, measured: Measured): Anatomy {
  const all = Object.assign({}, ...spans.map(({ attributes }) => attributes), carrier.attributes) as Attributes;
  const tokens = all["gen_ai.usage.completion_tokens"];
  return {
    ...measured,
    received,
    tokens: typeof carrier.attributes["gen_ai.usage.completion_tokens"] === "number" ? (carrier.attributes["gen_ai.usage.completion_tokens"] as number) : typeof tokens === "number" ? tokens : undefined,
    client: client(spans, received),
    claims: spans.filter(({ name }) => name === "llm_request").map((span) => claim(span, received)),
    facts: facts(all),
    placement: placement(spans),
  };
}

function client(spans: Span[], received: bigint): Client | undefined {
  const span = spans.find(({ name }) => name === "client.request");
  const ttft = span && nanos(span.attributes, "candor.client.ttft_ms");
  return ttft === undefined ? undefined : { offset: Number(span!.start - received), ttft };
}

function claim(span: Span, received: bigint): Claim {
  const role = span.service.includes("prefill") ? "prefill" : span.service.includes("decode") ? "decode" : "engine";
  const tokens = span.attributes["gen_ai.usage.completion_tokens"];
  return {
    who: span.instance || span.service,
    service: span.service,
    role,
    offset: Number(span.start - received),
    ttft: seconds(span.attributes, "gen_ai.latency.time_to_first_token") ?? 0,
    queue: seconds(span.attributes, "gen_ai.latency.time_in_queue"),
    prefill: seconds(span.attributes, "gen_ai.latency.time_in_model_prefill"),
    tokens: typeof tokens === "number" ? tokens : undefined,
  };
}

const FACTS: [string, string][] = [
  ["gen_ai.request.id", "Request"],
  ["gen_ai.request.model", "Model"],
  ["llm_d.pd_proxy.connector", "Connector"],
  ["url.path", "Path"],
  ["gen_ai.usage.prompt_tokens", "Prompt tokens"],
  ["gen_ai.usage.completion_tokens", "Generated tokens"],
  ["candor.gateway.error", "Error"],
  ["llm_d.pd_proxy.error", "Error"],
];

function facts(all: Attributes): [string, string][] {
  return FACTS.filter(([key]) => all[key] !== undefined).map(([key, name]) => [name, String(all[key])]);
}

const PLACED: [RegExp, string][] = [
  [/(^|\.)prefill_target$/, "Prefill instance"],
  [/(^|\.)decode(_target|\.target)$/, "Decode instance"],
  [/prefill_candidates$/, "Prefill candidates named"],
];

/** What was chosen, and whatever a scheduler says of its choice: its candidates and their scores. */
function placement(spans: Span[]): [string, string][] {
  const found = new Map<string, string>();
  for (const span of spans) {
    for (const [key, value] of Object.entries(span.attributes)) {
      const known = PLACED.find(([pattern]) => pattern.test(key));
      if (known && !found.has(known[1])) found.set(known[1], String(value));
      else if (/^candor\.(scheduler|placement)\./.test(key)) found.set(key.replace(/^candor\.(scheduler|placement)\./, "").replaceAll("_", " "), String(value));
    }
  }
  return [...found];
}

/** Whether the parts are the whole, to the nanosecond. */
export function addsUp({ parts, ttft }: Anatomy): boolean {
  return parts.reduce((sum, { nanos }) => sum + nanos, 0) === ttft;
}

/** When each token came, drawn evenly: the spans know the first and the mean gap, not each one. */
export function ticks({ ttft, total, tokens, tpot }: Anatomy): number[] {
  if (tokens === undefined || tokens < 2) return [ttft];
  const gap = tpot ?? (total - ttft) / (tokens - 1);
  const shown = Math.min(tokens, 400);
  return Array.from({ length: shown }, (_, index) => ttft + (gap * index * (tokens - 1)) / (shown - 1)).filter((at) => at <= total * 1.001);
}
