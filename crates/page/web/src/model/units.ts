// Numbers as people read them: three significant digits, and a unit on every one.

/** A number and its unit, apart, so that both can be set in their own way. */
export interface Shown {
  text: string;
  unit: string;
}

interface Step {
  from: number;
  factor: number;
  unit: string;
}

/** Units of time, from the largest; `factor` nanoseconds each. */
const TIME: Step[] = [
  { from: 3.6e12 * 24, factor: 3.6e12 * 24, unit: "d" },
  { from: 3.6e12, factor: 3.6e12, unit: "h" },
  { from: 6e10, factor: 6e10, unit: "min" },
  { from: 1e9, factor: 1e9, unit: "s" },
  { from: 1e6, factor: 1e6, unit: "ms" },
  { from: 1e3, factor: 1e3, unit: "µs" },
  { from: 0, factor: 1, unit: "ns" },
];

const BYTES: Step[] = [
  { from: 2 ** 40, factor: 2 ** 40, unit: "TiB" },
  { from: 2 ** 30, factor: 2 ** 30, unit: "GiB" },
  { from: 2 ** 20, factor: 2 ** 20, unit: "MiB" },
  { from: 2 ** 10, factor: 2 ** 10, unit: "KiB" },
  { from: 0, factor: 1, unit: "B" },
];

const COUNT: Step[] = [
  { from: 1e9, factor: 1e9, unit: "G" },
  { from: 1e6, factor: 1e6, unit: "M" },
  { from: 1e4, factor: 1e3, unit: "k" },
  { from: 0, factor: 1, unit: "" },
];

const NANOS: Record<string, number> = { ns: 1, "µs": 1e3, ms: 1e6, s: 1e9, m: 6e10, h: 3.6e12 };

/** Nanoseconds per unit, where the unit is one of time. */
export function nanosPer(unit: string): number | undefined {
  return NANOS[unit];
}

/** Three significant digits, grouped by thousands; fewer where `decimals` says so, or where trailing zeros would be noise. */
export function three(value: number, decimals?: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "∞" : value < 0 ? "−∞" : "–";
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(Number(value.toPrecision(3)))));
  const digits = decimals ?? (value === 0 ? 0 : Math.min(8, Math.max(0, 2 - magnitude)));
  const rounded = decimals === undefined ? Number(value.toPrecision(3)) : value;
  return grouped(rounded, digits).replace(/^-/, "−");
}

/** The steps of a unit, what one of it is in the steps' own, and what follows the step's name. */
function scale(unit: string): { steps: Step[]; factor: number; after: string } | undefined {
  const nanos = NANOS[unit];
  if (nanos !== undefined) return { steps: TIME, factor: nanos, after: "" };
  if (unit === "bytes") return { steps: BYTES, factor: 1, after: "" };
  if (unit === "reqps") return { steps: COUNT, factor: 1, after: "req/s" };
  if (unit.startsWith("si:")) return { steps: COUNT, factor: 1, after: unit.slice(3) };
  if (unit.startsWith("suffix:")) return { steps: COUNT, factor: 1, after: unit.slice(7).trim() };
  if (unit === "short" || unit === "none" || unit === "") return { steps: COUNT, factor: 1, after: "" };
  return undefined;
}

function percent(value: number, decimals?: number): Shown {
  // Near the whole, what is missing from it is what counts: 99.95 is not 100.
  const near = value > 99 && value < 100;
  return { text: near && decimals === undefined ? trimmed(value, 3) : three(value, decimals), unit: "%" };
}

function trimmed(value: number, digits: number): string {
  return String(Number(Math.min(value, 99.999).toFixed(digits)));
}

/** A value in its unit, scaled to what reads best. */
export function show(value: number | null | undefined, unit = "", decimals?: number): Shown {
  if (value === null || value === undefined || Number.isNaN(value)) return { text: "–", unit: "" };
  if (!Number.isFinite(value)) return { text: three(value), unit: "" };
  if (unit === "percentunit") return percent(value * 100, decimals);
  if (unit === "percent") return percent(value, decimals);
  const found = scale(unit);
  if (!found) return { text: three(value, decimals), unit };
  return scaled(value * found.factor, pick(found.steps, value * found.factor), found, decimals, unit);
}

function pick(steps: Step[], value: number): Step {
  const size = Math.abs(Number(value.toPrecision(3)));
  return steps.find((step) => size >= step.from) ?? steps[steps.length - 1]!;
}

function scaled(
  value: number,
  step: Step,
  { steps, after }: { steps: Step[]; after: string },
  decimals: number | undefined,
  unit: string,
): Shown {
  if (value === 0) return { text: "0", unit: steps === TIME ? unit : step.unit + after };
  // Whole things are shown whole; a rate of them is seldom whole to the last bit. A ratio counts nothing.
  const size = Math.abs(value);
  const whole = step.factor === 1 && after !== "×" && ((Number.isInteger(value) && size < 1e4) || (size < 999.5 && Number.isInteger(Number(value.toPrecision(3)))));
  return { text: three(value / step.factor, whole ? 0 : step.factor === 1 ? decimals : undefined), unit: step.unit + after };
}

/** The same, as one text; a no-break space between. */
export function text(value: number | null | undefined, unit = "", decimals?: number): string {
  const shown = show(value, unit, decimals);
  return shown.unit === "" ? shown.text : `${shown.text}\u00a0${shown.unit}`;
}

/** Labels of an axis: all in one scale, without zeros that say nothing. */
export function axis(values: number[], unit: string): string[] {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (unit === "percentunit" || unit === "percent") {
    const factor = unit === "percentunit" ? 100 : 1;
    return values.map((value) => `${short(value * factor)}\u00a0%`);
  }
  const found = scale(unit);
  if (!found) return values.map((value) => `${short(value)}\u00a0${unit}`);
  const step = pick(found.steps, largest * found.factor);
  const name = step.unit + found.after;
  return values.map((value) => short((value * found.factor) / step.factor) + (name === "" ? "" : `\u00a0${name}`));
}

function short(value: number): string {
  const rounded = Number(value.toPrecision(4));
  return (Math.abs(rounded) < 1000 ? String(rounded) : grouped(rounded)).replace(/^-/, "−");
}

/** By thousands, with narrow spaces that do not break. */
function grouped(value: number, digits = 0): string {
  return new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value).replaceAll(",", "\u202f");
}
