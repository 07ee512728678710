import { describe, expect, it } from "vitest";

import type { Span } from "../src/query/tempo";
import { hex, parseTrace } from "../src/query/tempo";
import { addsUp, anatomy, ticks } from "../src/traces/anatomy";
import { typical } from "../src/traces/anatomy-view";
import { tree } from "../src/traces/tree";

const span = (id: string, parent: string, name: string, start: number, more: Partial<Span> = {}): Span => ({
  id, parent, name, service: "s", instance: "", kind: "server", start: BigInt(start), end: BigInt(start + 100), attributes: {}, events: [], failed: false, message: "", ...more,
});

/** A request as the gateway's and the engines' spans tell it; milliseconds that no binary fraction has exactly. */
const gateway = span("g", "", "gateway.request", 1_000_000_000, {
  service: "candor-gateway",
  attributes: {
    "candor.gateway.ttft_ms": 132.992466, "candor.gateway.e2e_ms": 776.548164, "candor.gateway.tpot_ms": 40.222231,
    "candor.gateway.ttft.preprocess_ms": 0.083954, "candor.gateway.ttft.schedule_ms": 0.010396, "candor.gateway.ttft.dispatch_ms": 0.169931,
    "candor.gateway.ttft.prefill_ms": 22.199, "candor.gateway.ttft.kv_transfer_ms": 65.403, "candor.gateway.ttft.first_decode_ms": 44.782,
    "candor.gateway.ttft.relay_ms": 0.344185, "gen_ai.usage.completion_tokens": 17, "candor.gateway.outcome": "completed",
  },
});
const decode = span("e", "d", "llm_request", 1_023_118_347, {
  service: "vllm-decode", instance: "nixlv2-decode-1",
  attributes: { "gen_ai.latency.time_to_first_token": 0.107675055, "gen_ai.latency.time_in_queue": 0.065233138, "gen_ai.usage.completion_tokens": 17 },
});

describe("request anatomy", () => {
  const found = anatomy([gateway, decode])!;
  it("adds up to the TTFT, to the nanosecond", () => {
    expect(addsUp(found)).toBe(true);
    expect(found.ttft).toBe(132_992_466);
    expect(found.parts.map(({ key }) => key)).toEqual(["preprocess", "schedule", "dispatch", "prefill", "kv_transfer", "first_decode", "relay"]);
  });
  it("notices when it does not", () => {
    const attributes = { ...gateway.attributes, "candor.gateway.ttft.relay_ms": 0.344186 };
    expect(addsUp(anatomy([{ ...gateway, attributes }])!)).toBe(false);
  });
  it("sets what an engine claims beside it", () => {
    expect(found.claims).toMatchObject([{ who: "nixlv2-decode-1", role: "decode", ttft: 107_675_055, offset: 23_118_347 }]);
  });
  it("sets the client's own stopwatch beside it, where the client sent its span", () => {
    expect(found.client).toBeUndefined();
    const client = span("c", "", "client.request", 999_800_000, { attributes: { "candor.client.ttft_ms": 133.3 } });
    expect(anatomy([client, gateway, decode])!.client).toEqual({ offset: -200_000, ttft: 133_300_000 });
  });
  it("has a tick a token, from the first to the last", () => {
    const at = ticks(found);
    expect(at).toHaveLength(17);
    expect(at[0]).toBe(found.ttft);
    expect(at.at(-1)! / found.total).toBeCloseTo(1, 6);
  });
  it("does without a gateway", () => {
    const attributes = {
      "llm_d.pd_proxy.true_ttft_ms": 65, "llm_d.pd_proxy.gateway_ms": 2, "llm_d.pd_proxy.coordinator_preprocess_ms": 0, "llm_d.pd_proxy.prefill_duration_ms": 50,
      "llm_d.pd_proxy.kv_transfer_overhead_ms": 3, "llm_d.pd_proxy.first_decode_step_ms": 10, "llm_d.pd_proxy.total_duration_ms": 300,
    };
    const alone = anatomy([span("r", "", "llm_d.pd_proxy.request", 5_000_000), span("d", "r", "llm_d.pd_proxy.decode", 60_000_000, { attributes })])!;
    expect([alone.source, alone.ttft, addsUp(alone)]).toEqual(["coordinator", 65_000_000, true]);
    expect(alone.received).toBe(3_000_000n);
  });
  it("is nothing without a first token", () => expect(anatomy([span("x", "", "y", 0)])).toBeUndefined());
  it("opens on the request in the middle", () => {
    const list = [30, 10, 20].map((ttft) => ({ traceId: String(ttft), start: 0, ttft, total: 1, outcome: "", model: "" }));
    expect(typical(list)?.traceId).toBe("20");
    expect(typical([])).toBeUndefined();
  });
});

describe("a waterfall", () => {
  it("goes depth first, in the order of the starts, with orphans at the top", () => {
    const spans = [span("a", "", "a", 0), span("b", "a", "b", 1), span("c", "b", "c", 2), span("d", "a", "d", 3), span("x", "gone", "x", 4)];
    expect(tree(spans).map(({ span, depth }) => `${span.id}${depth}`)).toEqual(["a0", "b1", "c2", "d1", "x0"]);
  });
  it("ends, also where spans are each other's parents", () => {
    const spans = [span("a", "b", "a", 0), span("b", "a", "b", 1), span("c", "c", "c", 2)];
    expect(tree(spans).map(({ span }) => span.id)).toContain("c");
  });
});

describe("OTLP", () => {
  it("takes identifiers in hexadecimal and in base64", () => {
    expect(hex("3RkWluFeLuI=")).toBe("dd191696e15e2ee2");
    expect(hex("DD191696e15e2ee2")).toBe("dd191696e15e2ee2");
  });
  it("reads spans, earliest first, whatever the values are", () => {
    const resource = { attributes: [{ key: "service.name", value: { stringValue: "gw" } }] };
    const of = (spanId: string, start: string, more = {}) => ({ spanId, name: "n", startTimeUnixNano: start, endTimeUnixNano: "1795333620977921999", ...more });
    const attributes = [
      { key: "i", value: { intValue: "7" } }, { key: "d", value: { doubleValue: 0.5 } }, { key: "b", value: { boolValue: false } },
      { key: "a", value: { arrayValue: { values: [{ stringValue: "x" }, { intValue: 1 }] } } },
    ];
    const late = of("b".repeat(16), "1795333620977921086", { kind: "SPAN_KIND_CLIENT", status: { code: "STATUS_CODE_ERROR", message: "no" }, attributes });
    const spans = parseTrace([{ resource, scopeSpans: [{ spans: [late, of("a".repeat(16), "1795333620977921085", { kind: 2 })] }] }]);
    expect(spans.map(({ id, kind, failed }) => [id[0], kind, failed])).toEqual([["a", "server", false], ["b", "client", true]]);
    expect(spans[1]!.attributes).toEqual({ i: 7, d: 0.5, b: false, a: "x, 1" });
    expect(spans[1]!.end - spans[0]!.start).toBe(914n);
  });
});
