// What is shown while there is no answer yet, no data, no answer at all, or only an old one.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SIZES, lab, open, readAll, shot } from "./support.mjs";

const BOARD = "d/llumnix-request-dashboard";
const API = /\/api\/(v1|metrics|search)/;
const refuse = (route) => route.fulfill({ status: 503, contentType: "application/json", body: JSON.stringify({ status: "error", errorType: "unavailable", error: "the store is busy; ask again" }) });

async function both(page, name) {
  for (const size of Object.keys(SIZES)) {
    await page.setViewportSize(SIZES[size]);
    await page.waitForTimeout(100);
    await shot(page, `state-${name}-${size}`);
  }
}

const states = (page) => page.$$eval("[data-panel]", (all) => [...new Set(all.filter((panel) => panel.getBoundingClientRect().top < innerHeight).map((panel) => panel.dataset.state))]);

test("loading", { timeout: 60_000 }, async () => {
  const { page, close } = await open(BOARD, { prepare: (page) => page.route(API, () => undefined) });
  await page.waitForSelector("[data-panel]");
  assert.deepEqual(await states(page), ["loading"]);
  assert.ok((await page.getByRole("status", { name: "Loading" }).count()) > 5);
  await both(page, "loading");
  await close();
});

test("empty: it says which metric it waits for, and who sends it", { timeout: 60_000 }, async () => {
  const day = 86_400_000;
  const { page, faults, close } = await open(BOARD, { theme: "dark", time: `from=${lab.from - day}&to=${lab.to - day}&refresh=off` });
  await readAll(page);
  assert.deepEqual(await states(page), ["empty"]);
  const text = await page.locator("[data-panel]").first().textContent();
  assert.match(text, /request_total.*candor gateway/);
  assert.deepEqual(faults, []);
  await both(page, "empty");
  await close();
});

test("error: it says what the API said", { timeout: 60_000 }, async () => {
  const { page, close } = await open(BOARD, { prepare: (page) => page.route(API, refuse) });
  await readAll(page);
  assert.deepEqual(await states(page), ["error"]);
  assert.match(await page.getByRole("alert").first().textContent(), /the store is busy; ask again/);
  await both(page, "error");
  await close();
});

test("stale: it keeps what it showed, and says since when that is old", { timeout: 60_000 }, async () => {
  const { page, close } = await open(BOARD, { time: "from=now-5m&to=now&refresh=off" });
  await readAll(page);
  await page.route(API, refuse);
  await page.keyboard.press("r");
  await page.waitForSelector("[data-state=stale]");
  await readAll(page);
  assert.ok(!(await states(page)).includes("error"));
  assert.match(await page.locator("[data-state=stale] .badge").first().textContent(), /stale · as of \d\d:\d\d:\d\d/);
  await both(page, "stale");
  await close();
});
