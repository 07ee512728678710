// A series as one number.

export type Values = readonly (number | null)[];

/** The calculations that legends and stats ask for, by Grafana's names. */
export function reduce(values: Values, calculation: string): number | null {
  const there = values.filter((value): value is number => value !== null && !Number.isNaN(value));
  if (there.length === 0) return null;
  switch (calculation) {
    case "lastNotNull":
    case "last":
      return there[there.length - 1]!;
    case "mean":
      return there.reduce((sum, value) => sum + value, 0) / there.length;
    case "max":
      return there.reduce((most, value) => Math.max(most, value));
    case "min":
      return there.reduce((least, value) => Math.min(least, value));
    case "sum":
      return there.reduce((sum, value) => sum + value, 0);
    case "count":
      return there.length;
    default:
      return null;
  }
}

const NAMES: Record<string, string> = { lastNotNull: "Last", last: "Last", mean: "Mean", max: "Max", min: "Min", sum: "Sum", count: "Count" };

/** What a column of that calculation is called. */
export function calculationName(calculation: string): string {
  return NAMES[calculation] ?? calculation;
}
