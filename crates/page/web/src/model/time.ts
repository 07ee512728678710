// Time ranges and steps.

/** From and to, in seconds of Unix time. */
export interface Range {
  from: number;
  to: number;
}

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** Ranges that the page offers. */
export const QUICK = ["5m", "15m", "30m", "1h", "3h", "6h", "24h"] as const;

/** How often the page may ask again; 0 is never. */
export const REFRESH = ["5s", "10s", "30s", "1m", "5m"] as const;

/** `30s`, `5m`, `1h`: seconds. */
export function seconds(duration: string): number | undefined {
  const found = /^(\d+)([smhdw])$/.exec(duration);
  return found ? Number(found[1]) * UNITS[found[2]!]! : undefined;
}

/** `now`, `now-1h`, or milliseconds of Unix time, as Grafana writes them. */
export function moment(text: string, now: number): number | undefined {
  if (text === "now") return now;
  const back = /^now-(\d+[smhdw])$/.exec(text);
  if (back) return now - seconds(back[1]!)!;
  return /^\d{12,}$/.test(text) ? Number(text) / 1000 : undefined;
}

/** A range of two such texts; the last hour where they say nothing. */
export function range(from: string, to: string, now: number): Range {
  const end = moment(to, now) ?? now;
  const start = moment(from, now) ?? end - 3600;
  return start < end ? { from: start, to: end } : { from: end - 3600, to: end };
}

const NICE = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

/** A step that gives at most `points` over the range, and is one that people count in. */
export function step({ from, to }: Range, points: number, least: number): number {
  const wanted = Math.max((to - from) / Math.max(points, 1), least);
  return NICE.find((nice) => nice >= wanted) ?? NICE[NICE.length - 1]!;
}

/** Grafana's `$__rate_interval`: at least four scrapes, so that a rate always has two samples; PromQL wants whole seconds. */
export function rateInterval(step: number, scrape: number): number {
  return Math.ceil(Math.max(step + scrape, 4 * scrape));
}

/** Moments on a grid: it does not move with the end of the range, so a line does not wriggle while it refreshes. */
export function aligned({ from, to }: Range, step: number): Range {
  return { from: Math.floor(from / step) * step, to: Math.floor(to / step) * step };
}

/** The zone in which times are shown. */
export function zone(): string {
  const offset = new Intl.DateTimeFormat("en-US", { timeZoneName: "shortOffset" }).formatToParts(new Date());
  const name = offset.find((part) => part.type === "timeZoneName")?.value ?? "local time";
  return name.replace("GMT", "UTC").replace(/^UTC[+-]0$/, "UTC");
}

/** Local time of day, with what the range needs: a date beyond a day, milliseconds on demand. */
export function clock(at: number, options: { date?: boolean; millis?: boolean } = {}): string {
  const date = new Date(at * 1000);
  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  const day = options.date ? `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ` : "";
  const millis = options.millis ? `.${pad(date.getMilliseconds(), 3)}` : "";
  return `${day}${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}${millis}`;
}

/** How long ago, roughly. */
export function ago(seconds: number): string {
  if (seconds < 1.5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}
