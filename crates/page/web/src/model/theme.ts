// Colours. Dashboards carry one hue each; here it gets the lightness that its background needs.

export type Theme = "light" | "dark";

/** For dark backgrounds: the palette's colours, lighter where they would drown. */
const ON_DARK: Record<string, string> = {
  "#3B7DDD": "#5B98F0",
  "#1F5CC4": "#4C86E8",
  "#6AA3F0": "#8BB9F7",
  "#9CC3F7": "#BCD7FA",
  "#D93A3A": "#F26363",
  "#8A8F98": "#9AA1AC",
  "#0E9C93": "#2BB8AE",
  "#D97200": "#EE8E26",
  "#9B59D0": "#B47FE2",
  "#2E9E4F": "#4CB86C",
  "#C99700": "#DDB02E",
};

/** For light backgrounds: paler ones, darker where they would vanish. */
const ON_LIGHT: Record<string, string> = {
  "#6AA3F0": "#5590E4",
  "#9CC3F7": "#84B0EC",
  "#1F5CC4": "#174A9F",
  "#8A8F98": "#767C86",
  "#D97200": "#C96A00",
  "#C99700": "#A87E00",
};

/** Series that no dashboard gives a colour: neighbours differ in hue and in lightness. */
export const SERIES = ["#3B7DDD", "#D97200", "#0E9C93", "#9B59D0", "#C99700", "#C2568F", "#2E9E4F", "#8A8F98"];

/** Past the last colour, dashes tell the next round apart. */
export const ROUND_DASHES: (number[] | undefined)[] = [undefined, [10, 4], [4, 4], [2, 3]];

/** A colour of the palette for a theme. */
export function colour(hex: string, theme: Theme): string {
  const key = hex.toUpperCase();
  const table = theme === "dark" ? ON_DARK : ON_LIGHT;
  return table[key] ?? hex;
}

/** With opacity, 0 to 1. */
export function faded(hex: string, opacity: number): string {
  const alpha = Math.round(Math.max(0, Math.min(1, opacity)) * 255);
  return hex + alpha.toString(16).padStart(2, "0");
}

/** A stage of a request, by the names that spans use. */
export const STAGES: Record<string, { name: string; colour: string }> = {
  gateway: { name: "Gateway", colour: "#3B7DDD" },
  preprocess: { name: "Preprocess", colour: "#3B7DDD" },
  queue: { name: "Queue", colour: "#8A8F98" },
  schedule: { name: "Schedule", colour: "#0E9C93" },
  dispatch: { name: "Dispatch", colour: "#6AA3F0" },
  coordinator_preprocess: { name: "Coordinator", colour: "#6AA3F0" },
  prefill: { name: "Prefill", colour: "#D97200" },
  kv_transfer: { name: "KV transfer", colour: "#9B59D0" },
  first_decode: { name: "First decode step", colour: "#2E9E4F" },
  decode: { name: "Decode", colour: "#2E9E4F" },
  relay: { name: "Relay", colour: "#9CC3F7" },
  upstream: { name: "Upstream (not split)", colour: "#C99700" },
};
