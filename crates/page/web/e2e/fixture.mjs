// Something to look at: an observatory, a demo under load that sends its spans there, and Debian's Prometheus that scrapes it.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const CANDOR = process.env.CANDOR;

async function freePort() {
  const server = createServer();
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Starts a program; what it prints is kept, and shown should it end early. */
function start(program, words) {
  const child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
  const run = { printed: "", ended: undefined, stop: () => child.kill("SIGTERM") };
  child.on("error", (fault) => (run.ended = `${program} does not start: ${fault.message}`));
  child.on("exit", (code) => (run.ended ??= `${program} ended with ${code}: ${run.printed.slice(-2000)}`));
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

const answers = (url) => fetch(url).then((response) => response.ok, () => false);

/** One scrape job a kind of component, with the labels that a cluster's monitors would set. */
function scrapeConfig(printed) {
  const jobs = {};
  for (const [, protocol, component, address] of printed.matchAll(/^ +(\w+) +(gateway|sidecar \d|prefill engine \d|decode engine \d) +\S+ +http:\/\/(\S+)\/metrics/gm)) {
    const [role] = component.split(" ");
    const engine = component.includes("engine");
    const labels = { namespace: "demo", instance: `${protocol}-${component.replaceAll(" ", "-")}`, ...(engine ? { infer_type: role } : {}) };
    (jobs[engine ? "engine" : role] ??= []).push({ targets: [address], labels });
  }
  const scrape_configs = Object.entries(jobs).map(([job_name, static_configs]) => ({ job_name, static_configs }));
  return JSON.stringify({ global: { scrape_interval: "2s" }, scrape_configs });
}

/** A running observatory, in front of a demo that has been under load for a while. */
export async function fixture() {
  if (process.env.OBSERVATORY !== undefined) return { url: process.env.OBSERVATORY, stop: () => undefined };
  if (CANDOR === undefined) throw new Error("set CANDOR to the binary, or OBSERVATORY to the address of one that runs");
  const folder = mkdtempSync(join(tmpdir(), "candor-page-"));
  const listen = `127.0.0.1:${await freePort()}`;
  const port = await freePort();
  const observatory = start(CANDOR, ["observatory", `--listen=${listen}`, "--otlp-grpc-listen=127.0.0.1:0", "--otlp-http-listen=127.0.0.1:0", `--prometheus-url=http://127.0.0.1:${port}`]);
  await until("the observatory", observatory, () => answers(`http://${listen}/healthz`));
  const demo = start(CANDOR, ["demo", "--keep", "--streams=8", "--duration=20s", `--directory=${join(folder, "spans")}`, `--otlp-endpoint=http://${listen}`]);
  await until("the demo's list of components", demo, () => demo.printed.includes("spans and the client"));
  writeFileSync(join(folder, "prometheus.yml"), scrapeConfig(demo.printed));
  const prometheus = start("prometheus", [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/samples`, `--web.listen-address=127.0.0.1:${port}`, "--enable-feature=exemplar-storage"]);
  prometheus.printed = "install Debian's package `prometheus`. ";
  await until("Prometheus", prometheus, () => answers(`http://127.0.0.1:${port}/-/ready`));
  await until("the end of the demo's load", demo, () => demo.printed.includes("everything stays up"));
  const stop = () => {
    for (const run of [demo, prometheus, observatory]) run.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: `http://${listen}`, stop };
}
