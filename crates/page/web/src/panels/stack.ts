// Parts of a whole, one on the other.

import type { Panel } from "../model/dashboard";
import type { Series } from "../query/frame";

/** Sums from the bottom up; a part that is missing adds nothing, a moment without any part stays empty. */
export function stacked(series: { values: readonly (number | null)[] }[]): (number | null)[][] {
  const length = series[0]?.values.length ?? 0;
  const sums: (number | null)[] = Array.from({ length }, () => null);
  return series.map(({ values }) => {
    values.forEach((value, index) => {
      if (value !== null) sums[index] = (sums[index] ?? 0) + value;
    });
    return [...sums];
  });
}

/** In the order in which the dashboard names them; what it does not name comes last. */
export function ordered(panel: Panel, series: Series[]): Series[] {
  const names = panel.fieldConfig.overrides.filter(({ matcher }) => matcher.id === "byName").map(({ matcher }) => matcher.options);
  const place = (name: string) => (names.includes(name) ? names.indexOf(name) : names.length);
  return [...series].sort((a, b) => place(a.name) - place(b.name));
}
