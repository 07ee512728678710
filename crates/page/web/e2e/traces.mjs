// From a row to its waterfall, and one request taken apart.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isTooWide, lab, open, readAll, shot } from "./support.mjs";

for (const [theme, size] of [["light", "desktop"], ["dark", "phone"]]) {
  test(`a row of Recent P/D Traces opens its waterfall, ${theme}, ${size}`, { timeout: 120_000 }, async () => {
    const { page, faults, close } = await open("d/pd-coordinator-metrics", { theme, size });
    await readAll(page);
    // Of those that are old enough for the client to have sent its own span.
    const row = page.locator("[data-trace]").last();
    const id = await row.getAttribute("data-trace");
    await row.click();
    await page.waitForSelector(".waterfall");
    assert.ok(page.url().includes(id));
    assert.ok(Number(await page.locator(".waterfall").getAttribute("data-spans")) >= 5, "gateway, coordinator and engines are in it");
    assert.equal(await page.locator(".span-name b").first().textContent(), "client.request", "the client's own span is the root");
    await shot(page, `waterfall-${theme}-${size}`);
    await page.locator(".span-line").nth(1).click();
    await shot(page, `waterfall-open-${theme}-${size}`);
    assert.deepEqual(faults, []);
    assert.equal(await isTooWide(page), false);
    await close();
  });
}

for (const [theme, size] of [["light", "desktop"], ["dark", "desktop"], ["light", "phone"], ["dark", "phone"]]) {
  test(`the anatomy of a request adds up to its TTFT, ${theme}, ${size}`, { timeout: 120_000 }, async () => {
    const { page, faults, close } = await open("anatomy", { theme, size });
    await page.waitForSelector("[data-adds-up]");
    await shot(page, `anatomy-${theme}-${size}`);
    const ttft = Number(await page.locator("[data-ttft]").getAttribute("data-ttft"));
    const parts = await page.$$eval("[data-nanos]", (all) => all.map((cell) => Number(cell.dataset.nanos)));
    assert.ok(ttft > 0 && parts.length > 4);
    assert.equal(parts.reduce((sum, part) => sum + part, 0), ttft);
    assert.equal(await page.locator("[data-adds-up]").getAttribute("data-adds-up"), "true");
    const id = await page.evaluate(() => document.querySelector(".facts a").hash.split("/")[2].split("?")[0]);
    const trace = JSON.stringify(await (await fetch(`${lab.url}/api/v2/traces/${id}`)).json());
    const told = (name) => Number(new RegExp(`"${name}","value":\\{"doubleValue":([\\d.]+)\\}`).exec(trace)[1]);
    assert.equal(ttft, Math.round(told("candor.gateway.ttft_ms") * 1e6), "and that TTFT is the gateway's");
    const client = page.locator("[data-client]");
    if ((await client.count()) > 0) assert.equal(Number(await client.getAttribute("data-client")), Math.round(told("candor.client.ttft_ms") * 1e6));
    assert.deepEqual(faults, []);
    assert.equal(await isTooWide(page), false);
    await close();
  });
}

for (const [theme, size] of [["light", "desktop"], ["dark", "phone"]]) {
  test(`traces are listed, ${theme}, ${size}`, { timeout: 120_000 }, async () => {
    const { page, faults, close } = await open("traces", { theme, size });
    await page.waitForSelector("[data-trace]");
    await shot(page, `traces-${theme}-${size}`);
    await page.getByRole("textbox").fill('{name="gateway.request" && status=error}');
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.includes("error"));
    await page.waitForSelector("[data-trace]");
    assert.deepEqual(faults, []);
    assert.equal(await isTooWide(page), false);
    await close();
  });
}
