// Just enough of Tempo's API over the span files of a demo, for the browser test: filters by equality and pattern joined with
// &&, select, and the metrics functions that the dashboards use. What Tempo itself answers is tested elsewhere.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

const scalar = (value) => value.stringValue ?? (value.intValue === undefined ? (value.doubleValue ?? value.boolValue) : Number(value.intValue));
const record = (list = []) => Object.fromEntries(list.map(({ key, value }) => [key, scalar(value)]));

function load(folder) {
  const lines = readdirSync(folder).filter((name) => name.endsWith(".jsonl")).flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"));
  const batches = lines.flatMap((line) => {
    try {
      return JSON.parse(line).resourceSpans ?? [];
    } catch {
      return []; // The last line may be half written.
    }
  });
  return batches.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        span, resource, of: record(resource.attributes), has: record(span.attributes),
        start: Number(span.startTimeUnixNano) / 1e9, nanos: BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano),
      })),
    ),
  );
}

function filter(query) {
  const inside = query.slice(query.indexOf("{") + 1, query.indexOf("}")).trim();
  const tests = inside === "" ? [] : inside.split("&&").map((part) => {
    const [, key, operator, text] = /^(\S+?)\s*(=~|=|>)\s*(.+)$/.exec(part.trim());
    const wanted = text.startsWith('"') ? JSON.parse(text) : text === "true" ? true : text === "error" ? "error" : Number(text);
    const value = ({ span, of, has }) =>
      key === "name" ? span.name : key === "status" ? (span.status?.code === 2 ? "error" : "unset") : key.startsWith("resource.") ? of[key.slice(9)] : has[key.slice(5)];
    return (item) => {
      const found = value(item);
      return operator === "=~" ? found !== undefined && new RegExp(`^(?:${wanted})$`).test(found) : operator === ">" ? found > wanted : found === wanted;
    };
  });
  return (item) => tests.every((test) => test(item));
}

function search(spans, query, limit) {
  const selected = [...(query.split("select(")[1] ?? "").matchAll(/span\.([\w.]+)/g)].map((found) => found[1]);
  const latest = spans.sort((a, b) => b.start - a.start).slice(0, limit);
  return latest.map(({ span, nanos, has }) => ({
    traceID: span.traceId, rootServiceName: "candor-gateway", rootTraceName: "gateway.request", startTimeUnixNano: span.startTimeUnixNano, durationMs: Number(nanos / 1000000n),
    spanSets: [{ matched: 1, spans: [{
      spanID: span.spanId, name: span.name, startTimeUnixNano: span.startTimeUnixNano, durationNanos: String(nanos),
      attributes: span.attributes.filter(({ key }) => selected.includes(key) && has[key] !== undefined),
    }] }],
  }));
}

function aggregate(name, attribute, quantile, spans, seconds) {
  if (name === "rate") return spans.length / seconds;
  if (name === "count_over_time") return spans.length;
  const values = spans.map(({ has }) => has[attribute]).filter((value) => value !== undefined).sort((a, b) => a - b);
  if (values.length === 0) return undefined;
  if (name === "avg_over_time") return values.reduce((sum, value) => sum + value, 0) / values.length;
  return name === "max_over_time" ? values.at(-1) : values[Math.floor(values.length * quantile)];
}

function metrics(spans, query, from, to, step) {
  const [, name, given, by] = /\|\s*(\w+)\(([^)]*)\)(?:\s*by\s*\(([^)]*)\))?/.exec(query);
  const [attribute, ...quantiles] = given.split(",").map((word) => word.trim().replace("span.", ""));
  const label = by?.trim();
  const groups = new Map();
  for (const item of spans) {
    const value = label === undefined ? "" : String(item.has[label.replace("span.", "")]);
    groups.set(value, [...(groups.get(value) ?? []), item]);
  }
  return [...groups].flatMap(([value, group]) =>
    (quantiles.length === 0 ? [0] : quantiles.map(Number)).map((quantile) => {
      const labels = label === undefined ? [{ key: "__name__", value: { stringValue: name } }] : [{ key: label, value: { stringValue: value } }];
      if (quantiles.length > 0) labels.push({ key: "p", value: { doubleValue: quantile } });
      if (step === undefined) return { labels, value: aggregate(name, attribute, quantile, group, to - from) };
      const samples = [];
      for (let at = from; at <= to; at += step) {
        const found = aggregate(name, attribute, quantile, group.filter(({ start }) => start >= at && start < at + step), step);
        if (found !== undefined) samples.push({ timestampMs: String(at * 1000), value: found });
      }
      return { labels, samples };
    }),
  );
}

let kept = { at: 0, spans: [] };

/** The files grow while the demo runs, but not so fast that each question needs to read them again. */
function recent(folder) {
  if (Date.now() - kept.at > 5000) kept = { at: Date.now(), spans: load(folder) };
  return kept.spans;
}

function answer(folder, url) {
  const spans = recent(folder);
  const parameter = (name) => url.searchParams.get(name);
  const tag = /^\/api\/v2\/search\/tag\/(.+)\/values$/.exec(url.pathname)?.[1];
  if (tag !== undefined) {
    const key = decodeURIComponent(tag).replace("span.", "");
    const values = new Set(spans.map(({ has }) => has[key]).filter((value) => value !== undefined));
    return { tagValues: [...values].map((value) => ({ type: "string", value: String(value) })) };
  }
  const id = /^\/api\/v2\/traces\/(\w+)$/.exec(url.pathname)?.[1];
  if (id !== undefined) {
    const found = spans.filter(({ span }) => span.traceId === id);
    return { trace: { resourceSpans: found.map(({ resource, span }) => ({ resource, scopeSpans: [{ spans: [span] }] })) } };
  }
  const [query, from, to] = [parameter("q"), Number(parameter("start")), Number(parameter("end"))];
  const found = spans.filter(({ start }) => start >= from && start <= to).filter(filter(query));
  if (url.pathname === "/api/search") return { traces: search(found, query, Number(parameter("limit"))) };
  const step = url.pathname.endsWith("_range") ? Number.parseInt(parameter("step")) : undefined;
  return { series: metrics(found, query, from, to, step) };
}

/** Serves the spans of a folder on a free port of this machine. */
export async function serveTempo(folder) {
  const server = createServer((request, response) => {
    try {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(answer(folder, new URL(request.url, "http://tempo"))));
    } catch (error) {
      response.writeHead(400, { "content-type": "text/plain" }).end(String(error));
    }
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}
