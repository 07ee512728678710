// Colours. Dashboards carry one hue each; here it gets the lightness that its background needs.

export type Theme = "light" | "dark";

/** The palette, as `crates/dashboards/src/palette.rs` has it, by what each colour stands for. */
export const HUE = {
  blue: "#3B7DDD",
  red: "#CF3224",
  grey: "#8C929C",
  teal: "#208374",
  orange: "#DD7319",
  violet: "#9A59AF",
  green: "#13A85C",
  amber: "#C99700",
  navy: "#1F5CC4",
  sky: "#6AA3F0",
  pale: "#9CC3F7",
} as const;

/** For dark backgrounds: lighter where they would drown. */
const ON_DARK: Record<string, string> = {
  [HUE.blue]: "#5B98F0",
  [HUE.red]: "#EC5744",
  [HUE.grey]: "#979CA7",
  [HUE.teal]: "#31D0C3",
  [HUE.orange]: "#EF8E14",
  [HUE.violet]: "#A076B9",
  [HUE.green]: "#58C07A",
  [HUE.amber]: "#DDB02E",
  [HUE.navy]: "#4C86E8",
  [HUE.sky]: "#8BB9F7",
  [HUE.pale]: "#BCD7FA",
};

/** For light backgrounds: darker where they would vanish. */
const ON_LIGHT: Record<string, string> = {
  [HUE.amber]: "#A87E00",
  [HUE.navy]: "#174A9F",
  [HUE.sky]: "#5590E4",
  [HUE.pale]: "#4A9BC4",
};

/** Series that no dashboard gives a colour. */
export const SERIES = [HUE.blue, HUE.orange, HUE.teal, HUE.violet, HUE.green, HUE.grey];

/** Past the last colour, dashes tell the next round apart. */
export const ROUND_DASHES: (number[] | undefined)[] = [undefined, [10, 4], [4, 4], [2, 3]];

/** A colour of the palette for a theme. */
export function colour(hex: string, theme: Theme): string {
  const key = hex.toUpperCase();
  const table = theme === "dark" ? ON_DARK : ON_LIGHT;
  return table[key] ?? hex;
}

/** How light a colour is, as WCAG 2 counts it: 0 is black, 1 is white. */
export function luminance(hex: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** What can be read on a colour: white as long as it has the contrast, else black, which has it then. */
export function ink(hex: string): string {
  return 1.05 / (luminance(hex) + 0.05) >= 4.5 ? "#ffffff" : "#000000";
}

/** With opacity, 0 to 1. */
export function faded(hex: string, opacity: number): string {
  const alpha = Math.round(Math.max(0, Math.min(1, opacity)) * 255);
  return hex + alpha.toString(16).padStart(2, "0");
}

/** A stage of a request, by the names that spans use. */
export const STAGES: Record<string, { name: string; colour: string }> = {
  gateway: { name: "Gateway", colour: HUE.blue },
  preprocess: { name: "Preprocess", colour: HUE.blue },
  queue: { name: "Queue", colour: HUE.grey },
  schedule: { name: "Schedule", colour: HUE.teal },
  dispatch: { name: "Dispatch", colour: HUE.sky },
  coordinator_preprocess: { name: "Coordinator", colour: HUE.sky },
  prefill: { name: "Prefill", colour: HUE.orange },
  kv_transfer: { name: "KV transfer", colour: HUE.violet },
  first_decode: { name: "First decode step", colour: HUE.green },
  decode: { name: "Decode", colour: HUE.green },
  relay: { name: "Relay", colour: HUE.pale },
  upstream: { name: "Upstream (not split)", colour: HUE.amber },
};
