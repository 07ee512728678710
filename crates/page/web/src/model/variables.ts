// Variables: what was chosen, and how it is put into a query.

import type { Variable } from "./dashboard";

/** Chosen values by variable; nothing chosen is all. */
export type Chosen = Record<string, string[]>;

/** Built-in variables, in seconds. */
export interface Intervals {
  step: number;
  rate: number;
  range: number;
}

/** A value inside a regular expression that stands in quotes. */
function escaped(value: string): string {
  return value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&").replace(/[\\"]/g, "\\$&");
}

/** What stands for a variable in a `=~` matcher. */
export function value(variable: Variable, chosen: Chosen): string {
  const values = chosen[variable.name] ?? [];
  if (values.length === 0) return variable.allValue ?? ".*";
  const parts = values.map(escaped);
  return parts.length === 1 ? parts[0]! : `(${parts.join("|")})`;
}

/** A query with every variable filled in. */
export function interpolate(query: string, variables: Variable[], chosen: Chosen, intervals: Intervals): string {
  const known = new Map<string, string>([
    ["__rate_interval", `${intervals.rate}s`],
    ["__interval", `${intervals.step}s`],
    ["__range", `${Math.round(intervals.range)}s`],
  ]);
  for (const variable of variables) {
    if (variable.type === "query") known.set(variable.name, value(variable, chosen));
  }
  return query.replace(/\$\{(\w+)\}|\$(\w+)/g, (whole, braced?: string, bare?: string) => known.get(braced ?? bare ?? "") ?? whole);
}

/** `label_values(metric, label)` taken apart. */
export function labelValues(query: string): { metric: string; label: string } | undefined {
  const found = /^label_values\(\s*([\w:]+)\s*,\s*(\w+)\s*\)$/.exec(query);
  return found ? { metric: found[1]!, label: found[2]! } : undefined;
}

/** `{{label}}` filled in; a label that is not there leaves nothing. */
export function legend(format: string, labels: Record<string, string>): string {
  return format.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name: string) => labels[name] ?? "").trim();
}
