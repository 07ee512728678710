// Every TraceQL query of the dashboards and of this page, by Grafana's own grammar.

import { readFileSync, readdirSync } from "node:fs";

import { parser } from "@grafana/lezer-traceql";
import { describe, expect, it } from "vitest";

import type { Dashboard, Panel } from "../src/model/dashboard";
import { sections } from "../src/model/dashboard";
import { COORDINATOR_REQUESTS, GATEWAY_REQUESTS } from "../src/traces/requests";
import { PRESETS } from "../src/traces/traces-view";

const folder = new URL("../../../../deploy/observability/", import.meta.url);

function faults(query: string): number {
  let found = 0;
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) found += 1;
    },
  });
  return found;
}

const boards = readdirSync(folder).filter((name) => name.endsWith(".json")).map((name) => JSON.parse(readFileSync(new URL(name, folder), "utf8")) as Dashboard);
const panels: Panel[] = boards.flatMap((board) => sections(board).flatMap((section) => section.panels));
const queries = panels.flatMap((panel) => panel.targets.filter(({ query }) => query !== undefined).map((target) => [panel.title, target.query!] as const));

describe("TraceQL", () => {
  it("is asked by dashboards", () => expect(queries.length).toBeGreaterThan(15));
  it.each(queries)("%s", (_, query) => expect(faults(query.replace(/\$\w+/g, ".*")), query).toBe(0));
  it.each([...PRESETS, ["gateway", GATEWAY_REQUESTS], ["coordinator", COORDINATOR_REQUESTS]])("%s", (_, query) => expect(faults(query!)).toBe(0));
  it("is judged at all", () => expect(faults('{name="a"')).toBeGreaterThan(0));
});
