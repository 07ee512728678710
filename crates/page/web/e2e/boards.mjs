// Every dashboard, on a desk and on a phone, light and dark: every panel has data, and it is the API's.

import assert from "node:assert/strict";
import { test } from "node:test";

import { BOARDS, SIZES, isTooWide, lab, open, readAll, shot } from "./support.mjs";
import { compare, compareTraces } from "./values.mjs";

async function look(page, name) {
  await readAll(page);
  await shot(page, name);
  const panels = await page.$$eval("[data-panel]", (all) => all.map((panel) => ({ title: panel.ariaLabel, state: panel.dataset.state, waits: panel.querySelector("code")?.textContent ?? "" })));
  assert.ok(panels.length > 3);
  assert.deepEqual(panels.filter((panel) => panel.state !== "ready"), [], name);
  assert.equal(await isTooWide(page), false, `${name}: the page is wider than the screen`);
}

for (const board of BOARDS) {
  test(`${board}: every panel has data, the API's, large and small, light and dark`, { timeout: 120_000 }, async () => {
    const { page, faults, asked, close } = await open(`d/${board}`);
    for (const size of Object.keys(SIZES)) {
      await page.setViewportSize(SIZES[size]);
      for (const theme of ["light", "dark"]) {
        if ((await page.evaluate(() => document.documentElement.dataset.theme)) !== theme) await page.keyboard.press("t");
        await look(page, `${board}-${theme}-${size}`);
      }
      // A narrow chart asks for fewer points, and so for other ones.
      await compare(page, board, asked);
    }
    if (board === "pd-coordinator-metrics") await compareTraces(page, asked);
    assert.deepEqual(faults, []);
    assert.deepEqual(asked.filter((url) => !url.startsWith(lab.url)), [], "a request left the machine");
    await close();
  });
}

test("what goes wrong is seen: refusals, clients that leave, attempts that are repeated, requests that move", { timeout: 120_000 }, async () => {
  const wanted = {
    "llumnix-request-dashboard": [["Request Rate by Status", "422"], ["Request Rate by Status", "499"], ["Request Retry & Fallback Rate", "retries"]],
    "candor-overview": [["Requests by Outcome", "cancelled"], ["Requests by Outcome", "failed"]],
    "pd-coordinator-metrics": [["Prefill Retries and Refusals", "all retries"]],
    "llumnix-component-dashboard": [["Rescheduling Events", "migrations"]],
  };
  for (const [board, rows] of Object.entries(wanted)) {
    const { page, close } = await open(`d/${board}`);
    await readAll(page);
    for (const [panel, name] of rows) {
      const cell = page.locator(`[data-panel][aria-label="${panel}"] tr:has(.legend-name span:text-is("${name}")) [data-calc=max]`);
      assert.ok(Number(await cell.getAttribute("data-value")) > 0, `${panel}: ${name}`);
    }
    await close();
  }
});
