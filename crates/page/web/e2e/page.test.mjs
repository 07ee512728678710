// The page in a real browser, over a demo that has been under load: every dashboard, dark and light, on a desk and on a phone.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { fixture } from "./fixture.mjs";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SHOTS = process.env.SHOTS ?? "/tmp/candor-page";
const BOARDS = ["candor-overview", "pd-coordinator-metrics", "llumnix-request-dashboard", "llumnix-component-dashboard", "llumnix-cms-dashboard", "llumnix-lrs-dashboard", "vllm-dashboard"];
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };
/** Metrics that nobody in this demo sends: it has no scheduler. */
const ABSENT = /^(scheduler_|instance_(cms|lrs)_|selected_instance_|request_(full_mode|query_prefix|calc_prefix|prefix_cache|max_prefix))/;

let running;
let browser;
/** The time that is looked at: it does not move, so the page and this test ask for the same. */
let time;

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  running = await fixture();
  const now = Date.now();
  time = `from=${now - 120_000}&to=${now}&refresh=off`;
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  running?.stop();
  console.log(`screenshots: ${SHOTS}`);
});

async function open(path, theme = "light", size = "desktop") {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme });
  const page = await context.newPage();
  const faults = [];
  const asked = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(`${running.url}/#/${path}?${time}`);
  return { context, page, faults, asked };
}

/** Looks at each panel, as a reader who scrolls, until it has its answer. */
async function readAll(page) {
  await page.evaluate(async () => {
    for (const panel of document.querySelectorAll("[data-panel]")) {
      panel.scrollIntoView({ block: "center" });
      while (panel.dataset.state === "loading" || panel.ariaBusy !== "false") await new Promise((next) => setTimeout(next, 20));
    }
    scrollTo(0, 0);
  });
  await page.waitForTimeout(200);
}

for (const theme of ["light", "dark"]) {
  for (const size of Object.keys(SIZES)) {
    for (const board of BOARDS) {
      test(`${board}, ${theme}, ${size}: every panel has data, or waits for a scheduler`, { timeout: 120_000 }, async () => {
        const { context, page, faults, asked } = await open(`d/${board}`, theme, size);
        await page.waitForSelector("[data-panel]");
        await readAll(page);
        await page.screenshot({ path: join(SHOTS, `${board}-${theme}-${size}.png`), fullPage: true });
        const panels = await page.$$eval("[data-panel]", (all) => all.map((panel) => ({ title: panel.ariaLabel, state: panel.dataset.state, waits: panel.querySelector("code")?.textContent ?? "" })));
        assert.ok(panels.length > 3);
        const wrong = panels.filter(({ state, waits }) => state !== "ready" && !(state === "empty" && ABSENT.test(waits)));
        assert.deepEqual(wrong, []);
        assert.deepEqual(faults, []);
        assert.deepEqual(asked.filter((url) => !url.startsWith(running.url)), [], "a request left the machine");
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the screen");
        await context.close();
      });
    }
  }
}

/** A query as a pattern: what the page fills in may be anything. */
function pattern(expr) {
  return new RegExp(`^${expr.replace(/[.*+?^()[\]{}|\\]/g, "\\$&").replace(/\$\w+/g, ".+?")}$`);
}

for (const board of ["candor-overview", "llumnix-request-dashboard", "vllm-dashboard"]) {
  test(`${board}: the latest values shown are the API's`, { timeout: 120_000 }, async () => {
    const { context, page, asked } = await open(`d/${board}`);
    await page.waitForSelector("[data-panel]");
    await readAll(page);
    const json = await (await fetch(`${running.url}/dashboards/${board}.json`)).json();
    const ranges = asked.filter((url) => url.includes("/api/v1/query_range"));
    let compared = 0;
    for (const panel of json.panels.filter(({ type }) => type === "timeseries" || type === "stat")) {
      for (const target of panel.targets.filter(({ expr, legendFormat }) => expr !== undefined && !legendFormat.includes("{{"))) {
        const url = ranges.find((candidate) => pattern(target.expr).test(new URL(candidate).searchParams.get("query")));
        assert.ok(url, `${panel.title} did not ask ${target.expr}`);
        const answer = await (await fetch(url)).json();
        const values = (answer.data.result[0]?.values ?? []).map(([, value]) => Number(value)).filter((value) => !Number.isNaN(value));
        if (values.length === 0) continue;
        const cell = panel.type === "stat" ? ".stat-value" : `tr:has(.legend-name span:text-is("${target.legendFormat}")) [data-calc=lastNotNull]`;
        const shown = await page.locator(`[data-panel="${panel.id}"]`).locator(cell).first().getAttribute("data-value");
        assert.equal(Number(shown), values.at(-1), `${panel.title}: ${target.legendFormat}`);
        compared += 1;
      }
    }
    assert.ok(compared > 8, `only ${compared} values were compared`);
    await context.close();
  });
}

test("a row of Recent P/D Traces opens its waterfall", { timeout: 120_000 }, async () => {
  const { context, page, faults } = await open("d/pd-coordinator-metrics");
  await page.waitForSelector("[data-panel]");
  await readAll(page);
  const row = page.locator("[data-trace]").first();
  const id = await row.getAttribute("data-trace");
  await row.click();
  await page.waitForSelector(".waterfall");
  assert.ok(page.url().includes(id));
  assert.ok(Number(await page.locator(".waterfall").getAttribute("data-spans")) >= 5, "gateway, coordinator and engines are in it");
  await page.locator(".span-line").nth(1).click();
  await page.screenshot({ path: join(SHOTS, "waterfall-light-desktop.png"), fullPage: true });
  assert.deepEqual(faults, []);
  await context.close();
});

for (const [theme, size] of [["light", "desktop"], ["dark", "desktop"], ["dark", "phone"]]) {
  test(`the anatomy of a request adds up to its TTFT, ${theme}, ${size}`, { timeout: 120_000 }, async () => {
    const { context, page, faults } = await open("anatomy", theme, size);
    await page.waitForSelector("[data-adds-up]");
    await page.screenshot({ path: join(SHOTS, `anatomy-${theme}-${size}.png`), fullPage: true });
    const ttft = Number(await page.locator("[data-ttft]").getAttribute("data-ttft"));
    const parts = await page.$$eval("[data-nanos]", (all) => all.map((cell) => Number(cell.dataset.nanos)));
    assert.ok(ttft > 0 && parts.length > 4);
    assert.equal(parts.reduce((sum, part) => sum + part, 0), ttft);
    assert.equal(await page.locator("[data-adds-up]").getAttribute("data-adds-up"), "true");
    const id = await page.evaluate(() => document.querySelector(".facts a").hash.split("/")[2].split("?")[0]);
    const trace = JSON.stringify(await (await fetch(`${running.url}/api/v2/traces/${id}`)).json());
    const told = Number(/"candor\.gateway\.ttft_ms","value":\{"doubleValue":([\d.]+)\}/.exec(trace)[1]);
    assert.equal(ttft, Math.round(told * 1e6), "and that TTFT is the gateway's");
    assert.deepEqual(faults, []);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the screen");
    await context.close();
  });
}

test("traces are found by TraceQL, with the keyboard alone", { timeout: 120_000 }, async () => {
  const { context, page, faults } = await open("traces", "dark");
  await page.waitForSelector("[data-trace]");
  await page.screenshot({ path: join(SHOTS, "traces-dark-desktop.png"), fullPage: true });
  await page.keyboard.press("t");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await page.keyboard.press("[");
  await page.waitForSelector("[data-panel]");
  assert.ok(page.url().includes("vllm-dashboard"));
  assert.deepEqual(faults, []);
  await context.close();
});
