// Cumulative buckets, as Prometheus counts them, taken apart.

import type { Series } from "../query/frame";

/** A row of a heat map: a bucket's bounds, and how much fell into it at each time. */
export interface Bucket {
  low: number;
  high: number;
  counts: (number | null)[];
}

function bound(series: Series): number {
  const le = series.labels["le"] ?? "";
  return le === "+Inf" ? Infinity : Number(le);
}

/** Buckets from the lowest; empty ones at both ends are left out, but for one at each. */
export function buckets(series: Series[]): Bucket[] {
  const sorted = [...series].sort((a, b) => bound(a) - bound(b));
  const all = sorted.map((item, index) => {
    const below = sorted[index - 1];
    return {
      low: below ? bound(below) : 0,
      high: bound(item),
      counts: item.values.map((value, at) => (value === null ? null : Math.max(0, value - (below?.values[at] ?? 0)))),
    };
  });
  const full = all.map(({ counts }) => counts.some((count) => count !== null && count > 1e-9));
  const [first, last] = [full.indexOf(true), full.lastIndexOf(true)];
  return first < 0 ? [] : all.slice(Math.max(0, first - 1), last + 2);
}
