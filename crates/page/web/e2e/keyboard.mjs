// The keyboard alone, and what a screen reader is told.

import assert from "node:assert/strict";
import { test } from "node:test";

import { faultsOf } from "./accessible.mjs";
import { lab, open, readAll } from "./support.mjs";

/** What has the focus: its name, where it is, and whether that can be seen. */
const focused = (page) =>
  page.evaluate(() => {
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
    const { top, left, height } = document.activeElement.getBoundingClientRect();
    const name = document.activeElement.ariaLabel ?? document.activeElement.textContent.trim();
    return { name, middle: top + height / 2, left, seen: outlineStyle !== "none" && Number.parseFloat(outlineWidth) >= 2 };
  });

test("tab goes through the page in the order of reading, and the focus is always seen", { timeout: 60_000 }, async () => {
  const { page, close } = await open("d/candor-overview");
  await readAll(page);
  let last = { middle: 0, left: -1 };
  const names = [];
  for (let stop = 0; stop < 20; stop += 1) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    assert.ok(now.seen, `the focus on “${now.name}” cannot be seen`);
    const forward = now.middle > last.middle + 8 || (Math.abs(now.middle - last.middle) <= 8 && now.left > last.left);
    assert.ok(forward, `“${now.name}” comes after what is below or right of it`);
    names.push(now.name);
    last = now;
  }
  assert.deepEqual(names.slice(1, 4), ["Overview", "P/D Coordinator", "Requests"]);
  await close();
});

test("escape closes a menu, a description, the keys, and goes back from a zoom", { timeout: 60_000 }, async () => {
  const { page, faults, close } = await open("d/candor-overview", { theme: "dark" });
  await readAll(page);
  const time = page.getByRole("button", { name: /UTC|GMT/ });
  await time.focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector(".menu-list");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".menu-list", { state: "detached" });
  assert.equal((await focused(page)).name, (await time.textContent()).trim(), "the focus is where it was");
  await page.locator(".info").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector(".description-text");
  await page.keyboard.press("Escape");
  await page.waitForSelector(".description-text", { state: "detached" });
  await page.keyboard.press("?");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog", { state: "detached" });
  const plot = await page.locator(".u-over").first().boundingBox();
  await page.mouse.move(plot.x + 40, plot.y + 20);
  await page.mouse.down();
  await page.mouse.move(plot.x + 200, plot.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction((from) => !location.hash.includes(`from=${from}&`), lab.from);
  await page.keyboard.press("Escape");
  await page.waitForFunction((from) => location.hash.includes(`from=${from}&`), lab.from);
  assert.deepEqual(faults, []);
  await close();
});

test("keys step through the views and change the theme", { timeout: 60_000 }, async () => {
  const { page, faults, close } = await open("traces", { theme: "dark" });
  await page.waitForSelector("[data-trace]");
  await page.keyboard.press("t");
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
  await page.keyboard.press("[");
  await page.waitForSelector("[data-panel]");
  assert.ok(page.url().includes("vllm-dashboard"));
  await page.keyboard.press("1");
  await page.waitForFunction(() => location.hash.includes("candor-overview"));
  assert.deepEqual(faults, []);
  await close();
});

for (const theme of ["light", "dark"]) {
  test(`names, roles, headings and contrast, ${theme}`, { timeout: 120_000 }, async () => {
    for (const view of ["d/candor-overview", "d/pd-coordinator-metrics", "traces", "anatomy"]) {
      const { page, close } = await open(view, { theme });
      if (view.startsWith("d/")) await readAll(page);
      else await page.waitForSelector("[data-trace], [data-adds-up]");
      assert.deepEqual(await page.evaluate(faultsOf), [], view);
      await close();
    }
  });
}
