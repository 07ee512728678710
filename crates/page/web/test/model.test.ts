import { describe, expect, it } from "vitest";

import { reduce } from "../src/model/reduce";
import { metrics, sender, spans } from "../src/model/sender";
import { ago, aligned, moment, range, rateInterval, seconds, step } from "../src/model/time";
import { interpolate, labelValues, legend, value } from "../src/model/variables";
import type { Variable } from "../src/model/dashboard";
import { fitting } from "../src/shell/clock";
import { format, parse } from "../src/shell/route";

describe("time", () => {
  it("reads ranges as Grafana writes them", () => {
    expect(moment("now-1h", 10_000)).toBe(6400);
    expect(moment("1795333620000", 0)).toBe(1795333620);
    expect(moment("yesterday", 0)).toBeUndefined();
    expect(range("now-5m", "now", 1000)).toEqual({ from: 700, to: 1000 });
    expect(range("now", "now-5m", 10_000)).toEqual({ from: 6100, to: 9700 });
    expect(seconds("30s")).toBe(30);
    expect(seconds("off")).toBeUndefined();
  });
  it("chooses steps that people count in, and never more points than asked", () => {
    for (const span of [60, 300, 3600, 21600, 86400, 604800]) {
      const chosen = step({ from: 0, to: span }, 100, 2);
      expect(span / chosen).toBeLessThanOrEqual(100);
    }
    expect(step({ from: 0, to: 60 }, 1000, 15)).toBe(15);
  });
  it("puts moments on a grid that does not move", () => {
    expect(aligned({ from: 103, to: 207 }, 10)).toEqual({ from: 100, to: 200 });
    expect(rateInterval(5, 15)).toBe(60);
    expect(rateInterval(300, 15)).toBe(315);
    expect(rateInterval(1, 0.3)).toBe(2);
  });
  it("shows a young store closely", () => {
    expect(fitting(9900, "now-1h", 10_000)).toBe("now-5m");
    expect(fitting(9000, "now-1h", 10_000)).toBe("now-30m");
    expect(fitting(0, "now-1h", 10_000)).toBe("now-1h");
    expect(fitting(undefined, "now-1h", 10_000)).toBe("now-1h");
  });
  it("says how long ago", () => expect([ago(1), ago(45), ago(600), ago(7200)]).toEqual(["just now", "45 s ago", "10 min ago", "2 h ago"]));
});

const variable: Variable = { name: "model", label: "model", type: "query", query: "", allValue: ".*" };

describe("variables", () => {
  const intervals = { step: 10, rate: 40, range: 3600 };
  it("is all when nothing is chosen", () => expect(value(variable, {})).toBe(".*"));
  it("joins what is chosen, and lets nothing of it be a pattern", () => {
    expect(value(variable, { model: ["a"] })).toBe("a");
    expect(value(variable, { model: ["a.b", "c|d"] })).toBe("(a\\\\.b|c\\\\|d)");
    expect(value(variable, { model: ['x"} or vector(1)'] })).not.toMatch(/[^\\]"/);
  });
  it("fills a query in, and leaves what it does not know", () => {
    const query = 'rate(x{model=~"$model"}[$__rate_interval]) + $other';
    expect(interpolate(query, [variable], { model: ["m"] }, intervals)).toBe('rate(x{model=~"m"}[40s]) + $other');
  });
  it("reads what a variable asks for", () => {
    expect(labelValues("label_values(vllm:num_requests_running, model_name)")).toEqual({ metric: "vllm:num_requests_running", label: "model_name" });
    expect(labelValues("query_result(x)")).toBeUndefined();
  });
  it("writes legends", () => expect(legend("{{infer_type}} {{ instance }} busy", { infer_type: "decode" })).toBe("decode  busy"));
});

describe("what a panel waits for", () => {
  it("names the metric and who sends it", () => {
    expect(metrics('sum by (le) (rate(request_ttft_milliseconds_bucket{a="b"}[1m])) / rate(vllm:x_total{}[1m])')).toEqual(["request_ttft_milliseconds", "vllm:x_total"]);
    expect(sender("request_ttft_milliseconds")).toContain("gateway");
    expect(sender("request_full_mode_schedule_duration_milliseconds")).toContain("scheduler");
    expect(sender("pd_proxy_requests_total")).toContain("sidecar");
    expect(sender("vllm:num_requests_running")).toContain("vLLM");
  });
  it("names the spans", () => expect(spans('{resource.service.name="llm-d-pd-proxy" && name="llm_d.pd_proxy.decode"} | rate()')).toEqual({ name: "llm_d.pd_proxy.decode", service: "llm-d-pd-proxy" }));
});

describe("a series as one number", () => {
  const values = [null, 1, 3, null, 2, null];
  it.each([["lastNotNull", 2], ["mean", 2], ["max", 3], ["min", 1], ["sum", 6], ["count", 3], ["unheard", null]])("%s", (name, wanted) => expect(reduce(values, name)).toBe(wanted));
  it("is nothing where nothing was measured", () => expect(reduce([null, null], "mean")).toBeNull());
});

describe("the address", () => {
  it("says everything, and is read back", () => {
    const route = { view: "d", id: "vllm-dashboard", from: "now-5m", to: "now", refresh: "5s", query: '{name="a b&c"}', chosen: { model: ["x/y", "z"] } };
    expect(parse(format(route))).toEqual(route);
  });
  it("begins at the overview", () => expect(parse("").id).toBe("candor-overview"));
});
