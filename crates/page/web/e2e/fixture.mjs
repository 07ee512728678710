// Something to look at: a running demo with its own observatory, and clients that go on asking, leaving and meeting faults.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const CANDOR = process.env.CANDOR;

/** What the demo's clients do not: be refused, and leave more often. */
const ROUGH = ["--duration=5s", "--rate=4", "--model=candor-sim", "--prompt-tokens=lognormal:128:0.8:1024", "--output-tokens=uniform:8:24", "--stream-share=0.9", "--cancel-mid-stream=0.15", "--inject=0.1:x-candor-fault:status=422", "--quiet"];
/** What of it has to be seen in the metrics before anything is looked at. */
const SEEN = [
  'increase(request_total{status_code="422"}[1m])',
  'increase(request_total{status_code="499"}[1m])',
  "increase(request_retry_total[1m])",
  "increase(pd_proxy_prefill_retries_total[1m])",
];
/** And how long it lasts at least, so that there is more than a point to draw. */
const ROUGH_SECONDS = 15;

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Starts a program; what it prints is kept, and shown should it end early. */
function start(words) {
  const child = spawn(CANDOR, words, { stdio: ["ignore", "pipe", "pipe"] });
  const run = { child, printed: "", ended: undefined, stop: () => child.kill("SIGTERM") };
  const command = `candor ${words[0]}`;
  child.on("error", (fault) => (run.ended = `${command} does not start: ${fault.message}`));
  child.on("exit", (code) => (run.ended ??= `${command} ended with ${code}: ${run.printed.slice(-2000)}`));
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (run.printed += chunk));
  return run;
}

async function until(what, run, holds) {
  for (let tries = 0; tries < 600; tries += 1) {
    if (run.ended !== undefined) throw new Error(run.ended);
    if (await holds()) return;
    await wait(200);
  }
  throw new Error(`${what} did not happen within two minutes: ${run.printed.slice(-2000)}`);
}

/** The first instance of a kind of each protocol, as the demo lists them. */
const listed = (printed, component) => [...printed.matchAll(new RegExp(`^ +\\w+ +${component} +(\\S+) `, "gm"))].map(([, address]) => address);

/** One load after the other: a load's own spans, the roots of its traces, are there when it has ended. */
function clientOf(gateway, file) {
  const client = { fault: undefined, stop: () => undefined };
  let stopped = false;
  let current;
  client.stop = () => {
    stopped = true;
    current.stop();
  };
  const next = (seed) => {
    if (stopped) return;
    current = start(["load", `--url=http://${gateway}`, `--seed=${seed}`, `--records=${file}.json`, `--spans=${file}.jsonl`, ...ROUGH]);
    current.child.on("exit", (code) => (code === 0 || stopped ? next(seed + 1) : (client.fault = current.ended)));
  };
  next(2);
  return client;
}

/** An observatory by itself. */
export async function observatory(words) {
  const listen = `127.0.0.1:${await freePort()}`;
  const run = start(["observatory", `--listen=${listen}`, "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0", ...words]);
  await until("the observatory", run, () => fetch(`http://${listen}/healthz`).then(({ ok }) => ok, () => false));
  return { url: `http://${listen}`, stop: run.stop };
}

/** A running demo that has been under load for a while. */
export async function fixture() {
  if (process.env.OBSERVATORY !== undefined) return { url: process.env.OBSERVATORY, stop: () => undefined };
  if (CANDOR === undefined) throw new Error("set CANDOR to the binary, or OBSERVATORY to the address of one that runs");
  const folder = mkdtempSync(join(tmpdir(), "candor-page-"));
  const listen = `127.0.0.1:${await freePort()}`;
  const from = Date.now();
  const demo = start(["demo", "--keep", "--schedulers", "--streams=8", "--duration=5s", `--directory=${folder}`, `--observatory-listen=${listen}`]);
  await until("the end of the demo's load", demo, () => demo.printed.includes("everything stays up"));
  // One engine of a kind fails now and then: sidecar and gateway have to try again.
  for (const engine of [...listed(demo.printed, "prefill engine 0"), ...listed(demo.printed, "decode engine 0")]) {
    const rules = [{ fault: "status=503", probability: 0.1 }];
    const told = await fetch(`http://${engine}/admin/faults`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(rules) });
    if (!told.ok) throw new Error(`${engine} takes no fault: ${told.status} ${await told.text()}`);
  }
  const clients = listed(demo.printed, "gateway").map((gateway, index) => clientOf(gateway, `${folder}/rough-${index}`));
  await wait(ROUGH_SECONDS * 1000);
  for (const expr of SEEN) {
    await until(expr, demo, async () => {
      for (const { fault } of clients) if (fault !== undefined) throw new Error(fault);
      const answer = await (await fetch(`http://${listen}/api/v1/query?${new URLSearchParams({ query: `sum(${expr}) > 0` })}`)).json();
      return answer.data.result.length > 0;
    });
  }
  const stop = () => {
    for (const run of [...clients, demo]) run.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://${listen}`, from, stop };
}
