// The latest values that the page shows are those of the APIs, asked again.

import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

import { lab } from "./support.mjs";

const MILLISECONDS = { s: 1000, ms: 1, "µs": 0.001 };

/** A query as a pattern: what the page fills in may be anything. */
function pattern(query) {
  return new RegExp(`^${query.replace(/[.*+?^()[\]{}|\\]/g, "\\$&").replace(/\$\w+/g, ".*?")}$`);
}

/** The last value of each series that an answer has. */
function latest(answer) {
  if (answer.data !== undefined) {
    return answer.data.result.map(({ values }) => values.map(([, value]) => Number(value.replace("Inf", "Infinity"))).filter((value) => !Number.isNaN(value)).at(-1));
  }
  return (answer.series ?? []).map(({ samples, value }) => (samples === undefined ? (value ?? 0) : (samples.at(-1)?.value ?? 0)));
}

/** Those of the page's questions that ask for a target, by their step: a narrow panel asks for other points than a wide one. */
function questions(target, asked) {
  const wanted = pattern(target.expr ?? target.query);
  const kind = target.expr !== undefined ? "/api/v1/query_range" : target.metricsQueryType === "instant" ? "/api/metrics/query" : "/api/metrics/query_range";
  const found = asked.map((url) => new URL(url)).filter(({ pathname, searchParams }) => pathname === kind && wanted.test(searchParams.get(target.expr === undefined ? "q" : "query")));
  return new Map(found.map((url) => [url.searchParams.get("step"), url]));
}

/** What the API says to a question of a target, in the panel's unit. */
async function told(panel, target, url) {
  const override = panel.fieldConfig.overrides.find(({ matcher }) => matcher.id === "byFrameRefID" && matcher.options === target.refId);
  const unit = override?.properties.find(({ id }) => id === "unit")?.value;
  const factor = unit === undefined ? 1 : MILLISECONDS[unit] / MILLISECONDS[panel.fieldConfig.defaults.unit];
  return latest(await (await fetch(url)).json()).filter((value) => value !== undefined).map((value) => value * factor);
}

/** What the API says to all of a panel, for each step that all of it was asked with. */
async function answers(panel, asked) {
  const byTarget = panel.targets.map((target) => questions(target, asked));
  const steps = [...byTarget[0].keys()].filter((step) => byTarget.every((urls) => urls.has(step)));
  assert.ok(steps.length > 0, `${panel.title} did not ask all of its queries`);
  return Promise.all(steps.map(async (step) => (await Promise.all(panel.targets.map((target, index) => told(panel, target, byTarget[index].get(step))))).flat()));
}

const SHOWN = { timeseries: "[data-calc=lastNotNull]", piechart: "[data-calc=lastNotNull]", stat: ".stat-value", gauge: ".gauge" };
const inOrder = (values) => [...values].sort((a, b) => a - b);

/** Compares all panels of a board that has been read. */
export async function compare(page, board, asked) {
  const json = await (await fetch(`${lab.url}/dashboards/${board}.json`)).json();
  let compared = 0;
  for (const panel of json.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter(({ type }) => type in SHOWN)) {
    const wanted = (await answers(panel, asked)).map(inOrder);
    const cells = await page.locator(`[data-panel="${panel.id}"]`).locator(SHOWN[panel.type]).evaluateAll((all) => all.map((cell) => cell.dataset.value));
    const shown = inOrder(cells.filter((text) => text !== "").map(Number));
    assert.ok(wanted.some((values) => isDeepStrictEqual(values, shown)), `${panel.title} shows ${shown}, the API says ${wanted.join(" or ")}`);
    compared += shown.length;
  }
  assert.ok(compared > 8, `only ${compared} values were compared`);
}

/** Compares the table with what its search found. */
export async function compareTraces(page, asked) {
  const answer = await (await fetch(asked.find((url) => url.includes("/api/search?")))).json();
  const shown = await page.$$eval("[data-trace]", (rows) => rows.map((row) => row.dataset.trace));
  assert.ok(shown.length > 10);
  assert.deepEqual([...shown].sort(), answer.traces.map(({ traceID }) => traceID).sort());
}
