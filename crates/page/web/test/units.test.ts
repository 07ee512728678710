import { describe, expect, it } from "vitest";

import { axis, show, text, three } from "../src/model/units";

const plain = (value: number | null, unit: string, decimals?: number) => text(value, unit, decimals).replaceAll("\u00a0", " ").replaceAll("\u202f", " ");

describe("three significant digits", () => {
  it.each([
    [0, "0"], [1, "1.00"], [9.999, "10.0"], [12.345, "12.3"], [123.4, "123"], [1234, "1 230"], [0.012345, "0.0123"],
    [-5.678, "−5.68"], [Infinity, "∞"], [99.96, "100"],
  ])("%f is %s", (value, wanted) => expect(three(value).replaceAll("\u202f", " ")).toBe(wanted));
});

describe("units", () => {
  it.each<[number | null, string, string]>([
    [65.3, "ms", "65.3 ms"], [0.35, "ms", "350 µs"], [1234, "ms", "1.23 s"], [0.065, "s", "65.0 ms"], [90, "s", "1.50 min"],
    [7200, "s", "2.00 h"], [150_000, "µs", "150 ms"], [999.96, "ms", "1.00 s"], [0, "ms", "0 ms"], [0.9, "ns", "0.900 ns"],
    [0.5, "percentunit", "50.0 %"], [0.9995, "percentunit", "99.95 %"], [1, "percentunit", "100 %"], [42, "percent", "42.0 %"],
    [0.999999999, "percentunit", "99.999 %"],
    [1536, "bytes", "1.50 KiB"], [300 * 2 ** 20, "bytes", "300 MiB"],
    [7.834, "reqps", "7.83 req/s"], [12345, "reqps", "12.3 kreq/s"],
    [1234.5, "si:tok/s", "1 230 tok/s"], [45600, "si:tok", "45.6 ktok"], [504, "suffix: req", "504 req"], [1.2, "suffix: ×", "1.20 ×"],
    [3.99996, "reqps", "4 req/s"], [1.0001, "suffix: ×", "1.00 ×"], [7118, "si:tok", "7 118 tok"], [Infinity, "ms", "∞"],
    [null, "ms", "–"], [NaN, "ms", "–"], [17, "short", "17"], [3, "unheard", "3.00 unheard"],
  ])("%s %s is %s", (value, unit, wanted) => expect(plain(value, unit)).toBe(wanted));

  it("keeps a number and its unit apart", () => expect(show(65.3, "ms")).toEqual({ text: "65.3", unit: "ms" }));
  it("obeys decimals of a count", () => expect(plain(12.7, "suffix: req", 0)).toBe("13 req"));
  it("keeps one scale along an axis", () => {
    expect(axis([0, 500, 1000, 1500], "ms")).toEqual(["0\u00a0s", "0.5\u00a0s", "1\u00a0s", "1.5\u00a0s"]);
    expect(axis([0, 0.25, 0.5], "percentunit")).toEqual(["0\u00a0%", "25\u00a0%", "50\u00a0%"]);
    expect(axis([0, 5000], "si:tok")).toEqual(["0\u00a0tok", "5\u202f000\u00a0tok"]);
  });
});
