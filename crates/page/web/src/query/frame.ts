// What a panel's queries gave, ready to be drawn.

import { type Panel, type Target, type Variable, properties } from "../model/dashboard";
import { type Range, aligned, rateInterval, step as stepOf } from "../model/time";
import { type Chosen, interpolate, legend } from "../model/variables";
import { ROUND_DASHES, SERIES } from "../model/theme";
import { nanosPer } from "../model/units";
import { QueryError } from "./http";
import * as prometheus from "./prometheus";
import * as tempo from "./tempo";

/** One line, slice or cell row. */
export interface Series {
  refId: string;
  name: string;
  labels: Record<string, string>;
  /** On the frame's times. */
  values: (number | null)[];
  unit: string;
  colour: string;
  dash?: number[] | undefined;
  width: number;
  fill: number;
}

/** A dot that opens a trace. */
export interface Dot {
  at: number;
  value: number;
  traceId: string;
}

/** Everything that one panel shows. */
export interface Frame {
  times: number[];
  series: Series[];
  dots: Dot[];
  rows: tempo.Found[];
  step: number;
}

/** What a query is asked with. */
export interface Context {
  range: Range;
  variables: Variable[];
  chosen: Chosen;
  /** Seconds between scrapes. */
  scrape: number;
}

interface Raw {
  target: Target;
  labels: Record<string, string>;
  name: string;
  points: Map<number, number>;
}

/** Runs a panel's queries. */
export async function run(panel: Panel, context: Context, width: number, signal: AbortSignal): Promise<Frame> {
  const asked = await Promise.all(panel.targets.map((target) => runTarget(panel, target, context, width, signal)));
  const raw = asked.flatMap((answer) => answer.raw);
  const times = grid(raw, asked[0]?.step ?? context.scrape);
  return {
    times,
    series: raw.map((series, index) => styled(panel, series, times, index)),
    dots: asked.flatMap((answer) => answer.dots),
    rows: asked.flatMap((answer) => answer.rows),
    step: asked[0]?.step ?? context.scrape,
  };
}

/** Every moment at which there is a value, and the steps between: where one is missing, a line has a gap. */
function grid(raw: Raw[], step: number): number[] {
  const there = [...new Set(raw.flatMap((series) => [...series.points.keys()]))].sort((a, b) => a - b);
  return there.flatMap((at, index) => {
    const next = there[index + 1];
    return next !== undefined && next - at > step * 1.5 ? [at, at + step, next - step] : [at];
  }).filter((at, index, all) => index === 0 || at > all[index - 1]!);
}

interface Answer {
  raw: Raw[];
  dots: Dot[];
  rows: tempo.Found[];
  step: number;
}

async function runTarget(panel: Panel, target: Target, context: Context, width: number, signal: AbortSignal): Promise<Answer> {
  if (target.expr !== undefined) return runPromql(target, target.expr, context, width, signal);
  const { range, variables, chosen } = context;
  const step = stepOf(range, 60, 5);
  const query = interpolate(target.query ?? "", variables, chosen, { step, rate: step, range: range.to - range.from });
  if (panel.type === "table") {
    return { raw: [], dots: [], rows: await tempo.search(query, range, target.limit ?? 20, signal), step };
  }
  if (target.metricsQueryType === "instant") {
    const found = await tempo.query(query, range, signal);
    const at = Math.floor(range.to);
    return { raw: found.map((series) => ({ target, labels: series.labels, name: tempoName(series.labels), points: new Map([[at, series.value ?? 0]]) })), dots: [], rows: [], step };
  }
  const found = await tempo.queryRange(query, aligned(range, step), step, signal);
  const raw = found.map((series) => ({ target, labels: series.labels, name: tempoName(series.labels), points: new Map(series.points) }));
  return { raw, dots: [], rows: [], step };
}

/** A series of Tempo is named by its labels; quantiles by their `p`. */
function tempoName(labels: Record<string, string>): string {
  const named = Object.entries(labels).filter(([key]) => key !== "__name__");
  if (named.length === 0) return labels["__name__"] ?? "value";
  return named.map(([key, value]) => (key === "p" ? `P${Number(value) * 100}` : value)).join(" ");
}

async function runPromql(target: Target, expr: string, context: Context, width: number, signal: AbortSignal): Promise<Answer> {
  const { range, variables, chosen, scrape } = context;
  const points = target.format === "heatmap" ? Math.min(64, width / 12) : Math.min(400, width / 2);
  const step = stepOf(range, points, scrape);
  const intervals = { step, rate: target.format === "heatmap" ? Math.ceil(Math.max(step, 4 * scrape)) : rateInterval(step, scrape), range: range.to - range.from };
  const query = interpolate(expr, variables, chosen, intervals);
  const [series, dots] = await Promise.all([
    prometheus.queryRange(query, aligned(range, step), step, signal),
    target.exemplar === true ? exemplars(query, range, signal) : [],
  ]);
  const raw = series.map(({ labels, points }) => ({
    target,
    labels,
    name: legend(target.legendFormat ?? "", labels) || promName(labels),
    // A quantile of nothing is no number: not measured, so not drawn.
    points: new Map(points.filter(([, value]) => !Number.isNaN(value))),
  }));
  return { raw, dots, rows: [], step };
}

/** Exemplars are an extra: a store that has none must not cost the panel its lines. */
async function exemplars(query: string, range: Range, signal: AbortSignal): Promise<Dot[]> {
  try {
    const found = await prometheus.queryExemplars(query, range, signal);
    return found.filter(({ traceId }) => traceId !== "").map(({ at, value, traceId }) => ({ at, value, traceId }));
  } catch (error) {
    if (error instanceof QueryError) return [];
    throw error;
  }
}

function promName(labels: Record<string, string>): string {
  const named = Object.entries(labels).filter(([key]) => key !== "__name__");
  return named.map(([key, value]) => `${key}=${value}`).join(" ") || labels["__name__"] || "value";
}

/** A series with the look that the dashboard gives it. */
function styled(panel: Panel, raw: Raw, times: number[], index: number): Series {
  const set = properties(panel, raw.target.refId, raw.name);
  const custom = panel.fieldConfig.defaults.custom ?? {};
  const colour = (set.get("color") as { fixedColor?: string } | undefined)?.fixedColor;
  const line = set.get("custom.lineStyle") as { dash?: number[] } | undefined;
  const unit = panel.fieldConfig.defaults.unit ?? "";
  const own = (set.get("unit") as string | undefined) ?? unit;
  const factor = factorTo(own, unit);
  return {
    refId: raw.target.refId,
    name: (set.get("displayName") as string | undefined) ?? raw.name,
    labels: raw.labels,
    values: times.map((at) => {
      const value = raw.points.get(at);
      return value === undefined ? null : value * factor;
    }),
    unit: factor === 1 ? own : unit,
    colour: colour ?? SERIES[index % SERIES.length]!,
    dash: line?.dash ?? (colour === undefined ? ROUND_DASHES[Math.floor(index / SERIES.length) % ROUND_DASHES.length] : undefined),
    width: (set.get("custom.lineWidth") as number | undefined) ?? custom.lineWidth ?? 1,
    fill: ((set.get("custom.fillOpacity") as number | undefined) ?? custom.fillOpacity ?? 0) / 100,
  };
}

/** Two units of time share one axis, so that lines can be compared by eye; others keep their own. */
export function factorTo(from: string, to: string): number {
  const [a, b] = [nanosPer(from), nanosPer(to)];
  return from !== to && a !== undefined && b !== undefined ? a / b : 1;
}
