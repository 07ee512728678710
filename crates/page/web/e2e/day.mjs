// How soon the page is there when there is a day of data. A figure to read, not a bound: the machine may be busy.

import assert from "node:assert/strict";
import { test } from "node:test";

import { observatory } from "./fixture.mjs";
import { open } from "./support.mjs";

const DAY = 86_400;
const STEP = 15;
/** Bounds of the gateway's histogram of the time to first token. */
const BOUNDS = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000];

const labels = { namespace: "demo", model: "m" };
const attributes = (more) => Object.entries({ ...labels, ...more }).map(([key, stringValue]) => ({ key, value: { stringValue } }));
const nanos = (seconds) => `${seconds}000000000`;

/** Every metric of a gateway that the Overview draws, from `from` on, growing as steadily as a demo's. */
function samples(from, until) {
  const times = Array.from({ length: Math.ceil((until - from) / STEP) }, (_, index) => from + index * STEP);
  const grown = (at) => (at - (until - 2 * DAY)) * 7;
  const counter = (name, rate, more = {}) => ({ name, sum: { isMonotonic: true, aggregationTemporality: 2, dataPoints: times.map((at) => ({ timeUnixNano: nanos(at), asDouble: grown(at) * rate, attributes: attributes(more) })) } });
  const histogram = (name, mean, more = {}) => ({
    name,
    histogram: { aggregationTemporality: 2, dataPoints: times.map((at) => ({ timeUnixNano: nanos(at), count: String(grown(at)), sum: grown(at) * mean, explicitBounds: BOUNDS, bucketCounts: [...BOUNDS, 0].map((_, index) => String(index === 4 ? grown(at) : 0)), attributes: attributes(more) })) },
  });
  return [
    counter("request_total", 1, { status_code: "200" }),
    counter("request_outcome_total", 1, { outcome: "completed", stage: "none" }),
    counter("request_output_tokens_total", 30),
    histogram("request_ttft_milliseconds", 130),
    histogram("request_tpot_milliseconds", 40),
    ...["prefill", "kv_transfer", "first_decode"].map((component) => histogram("request_ttft_component_milliseconds", 40, { component })),
  ];
}

test("a day of data", { timeout: 120_000 }, async () => {
  const { url, stop } = await observatory(["--retention=25h"]);
  const now = Math.floor(Date.now() / 1000);
  for (let from = now - DAY; from < now; from += DAY / 12) {
    const body = JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: samples(from, from + DAY / 12) }] }] });
    const taken = await fetch(`${url}/v1/metrics`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.ok(taken.ok, await taken.text());
  }
  const { page, close } = await open("d/candor-overview", { url, time: `from=${(now - DAY) * 1000}&to=${now * 1000}&refresh=off` });
  const filled = await page.evaluate(async () => {
    const seen = () => [...document.querySelectorAll("[data-panel]")].filter((panel) => panel.getBoundingClientRect().top < innerHeight);
    while (seen().length === 0 || seen().some(({ dataset }) => dataset.state === "loading")) await new Promise((next) => requestAnimationFrame(next));
    return performance.now();
  });
  const first = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
  assert.equal(await page.locator('[data-panel][aria-label="TTFT, P95"]').getAttribute("data-state"), "ready");
  console.log(`a day of data: first paint after ${Math.round(first)} ms, the first screen filled after ${Math.round(filled)} ms`);
  await close();
  stop();
});
