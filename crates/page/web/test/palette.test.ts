// The palette as those see it who do not see all of it: the simulation of Machado, Oliveira and Fernandes (2009), distances
// in Oklab, contrast as WCAG 2 defines it.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { HUE, SERIES, STAGES, type Theme, colour, ink, luminance } from "../src/model/theme";

type Triple = [number, number, number];

const linear = (hex: string): Triple =>
  [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Triple;

const times = (matrix: Triple[], [a, b, c]: Triple): Triple => matrix.map(([x, y, z]) => x * a + y * b + z * c) as Triple;

/** Full severity, on linear RGB. */
const SIGHT: Record<string, Triple[]> = {
  everyone: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

function oklab(rgb: Triple): Triple {
  const clipped = rgb.map((share) => Math.min(1, Math.max(0, share))) as Triple;
  const cones = times([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], clipped);
  return times([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]], cones.map(Math.cbrt) as Triple);
}

/** In hundredths; two is about the least that anybody sees side by side. */
const apart = (a: string, b: string, sight: string) => 100 * Math.hypot(...oklab(times(SIGHT[sight]!, linear(a))).map((part, at) => part - oklab(times(SIGHT[sight]!, linear(b)))[at]!));

const contrast = (a: string, b: string) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);

const PANEL: Record<Theme, string> = { light: "#FFFFFF", dark: "#161A21" };
const pairs = <T>(all: T[]): [T, T][] => all.flatMap((a, at) => all.slice(at + 1).map((b): [T, T] => [a, b]));

/** What lies side by side in a bar or a stack, or is told from another by a glance. */
const STAGE_HUES = ["gateway", "queue", "schedule", "prefill", "kv_transfer", "decode"].map((stage) => STAGES[stage]!.colour).concat(HUE.red);

describe.each<Theme>(["light", "dark"])("the palette on %s", (theme) => {
  const seen = (hues: readonly string[]) => hues.map((hue) => colour(hue, theme));
  it.each(Object.keys(SIGHT))("keeps the stages, and lines without a colour of their own, apart for %s", (sight) => {
    for (const hues of [seen(STAGE_HUES), seen(SERIES)]) {
      const near = pairs(hues).filter(([a, b]) => apart(a, b, sight) < (sight === "tritanopia" ? 6 : 7.5));
      expect(near).toEqual([]);
    }
  });
  it("tells quantiles apart, the tail strongest", () => {
    const [p99, p95, p90, p50] = seen([HUE.navy, HUE.blue, HUE.sky, HUE.pale]) as [string, string, string, string];
    for (const sight of Object.keys(SIGHT)) {
      for (const [a, b] of [[p99, p95], [p95, p90]] as const) expect(apart(a, b, sight), sight).toBeGreaterThan(4);
    }
    // The median is a thin line as well.
    expect(apart(p90, p50, "everyone")).toBeGreaterThan(4);
    const strength = [p99, p95, p90, p50].map(luminance);
    expect(strength).toEqual([...strength].sort((a, b) => a - b));
  });
  it("can be seen: three to one against the panel", () => {
    for (const hue of seen(Object.values(HUE))) expect(contrast(hue, PANEL[theme]), hue).toBeGreaterThanOrEqual(3);
  });
  it("can be written on: four and a half to one", () => {
    for (const hue of seen(Object.values(HUE))) expect(contrast(hue, ink(hue)), hue).toBeGreaterThanOrEqual(4.5);
  });
});

it("is all that dashboards use", () => {
  const folder = join(import.meta.dirname, "../../../../deploy/observability");
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  const used = files.flatMap((name) => readFileSync(join(folder, name), "utf8").match(/#[0-9A-F]{6}\b/gi) ?? []);
  expect(files.length).toBeGreaterThan(6);
  expect([...new Set(used)].filter((hue) => !(Object.values(HUE) as string[]).includes(hue))).toEqual([]);
});
