// What the browser tests share: one browser over one running demo, and how a view is opened and read.

import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { fixture } from "./fixture.mjs";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SHOTS = process.env.SHOTS ?? "/tmp/candor-page";

export const BOARDS = ["candor-overview", "pd-coordinator-metrics", "llumnix-request-dashboard", "llumnix-component-dashboard", "llumnix-cms-dashboard", "llumnix-lrs-dashboard", "vllm-dashboard"];
export const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

export const lab = { url: "", time: "", from: 0, to: 0 };
let running;
let browser;

export async function begin() {
  mkdirSync(SHOTS, { recursive: true });
  running = await fixture();
  lab.url = running.url;
  // The time that is looked at does not move, so the page and these tests ask for the same.
  lab.to = Date.now();
  lab.from = running.from ?? lab.to - 120_000;
  lab.time = `from=${lab.from}&to=${lab.to}&refresh=off`;
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
}

export async function end() {
  await browser?.close();
  running?.stop();
  console.log(`screenshots: ${SHOTS}`);
}

/** Opens a view in a browser of its own: nothing is cached, nothing remembered. */
export async function open(path, { theme = "light", size = "desktop", time = lab.time, prepare = () => undefined, url = lab.url } = {}) {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme });
  const page = await context.newPage();
  const faults = [];
  const asked = [];
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("request", (request) => asked.push(request.url()));
  await prepare(page);
  await page.goto(`${url}/#/${path}?${time}`);
  return { page, faults, asked, close: () => context.close() };
}

/** Opens what is closed and looks at each panel, as a reader who scrolls, until it has its answer. */
export async function readAll(page) {
  await page.waitForSelector("[data-panel]");
  await page.evaluate(async () => {
    const next = () => new Promise((frame) => requestAnimationFrame(frame));
    for (const closed of document.querySelectorAll(".row-title button[aria-expanded=false]")) closed.click();
    await next();
    for (const panel of document.querySelectorAll("[data-panel]")) {
      panel.scrollIntoView({ block: "center" });
      do await next();
      while (panel.dataset.state === "loading" || panel.ariaBusy !== "false");
    }
    scrollTo(0, 0);
    await next();
  });
}

export const shot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });

export const isTooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
