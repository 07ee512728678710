import { describe, expect, it } from "vitest";

import { type Panel, properties, sections, threshold } from "../src/model/dashboard";
import { buckets } from "../src/panels/buckets";
import { sunk } from "../src/panels/legend";
import { ordered, stacked } from "../src/panels/stack";
import { compare } from "../src/panels/table";
import { toggled } from "../src/panels/timeseries";
import { type Series, factorTo } from "../src/query/frame";

const series = (name: string, values: (number | null)[] = [], labels: Record<string, string> = {}): Series => ({ refId: "A", name, labels, values, unit: "ms", colour: "#3B7DDD", width: 2, fill: 0 });

describe("stacking", () => {
  it("adds from the bottom up, and leaves gaps where nothing was measured", () => {
    expect(stacked([{ values: [1, 2, null] }, { values: [10, null, null] }])).toEqual([[1, 2, null], [11, 2, null]]);
  });
  it("follows the order of the dashboard", () => {
    const panel = { fieldConfig: { defaults: {}, overrides: ["queue", "prefill"].map((options) => ({ matcher: { id: "byName", options }, properties: [] })) } } as unknown as Panel;
    expect(ordered(panel, [series("other"), series("prefill"), series("queue")]).map(({ name }) => name)).toEqual(["queue", "prefill", "other"]);
  });
});

describe("buckets", () => {
  const cumulative = [["+Inf", 9], ["1", 0], ["4", 2], ["16", 9], ["64", 9]].map(([le, value]) => series(String(le), [value as number], { le: String(le) }));
  it("takes cumulative counts apart, and leaves empty ends out", () => {
    expect(buckets(cumulative).map(({ low, high, counts }) => [low, high, counts[0]])).toEqual([[0, 1, 0], [1, 4, 2], [4, 16, 7], [16, 64, 0]]);
  });
  it("has no rows where nothing was observed", () => expect(buckets([series("1", [0], { le: "1" })])).toEqual([]));
});

describe("legends", () => {
  const names = (values: number[]) => sunk(values.map((value, index) => series(String(index), [0, value]))).map(({ name }) => name).join("");
  it("put what never left zero last, where there are many", () => {
    expect(names([0, 1, 0, 2, 0, 0, 3])).toBe("1360245");
    expect(names([0, 1, 0])).toBe("012");
  });
});

describe("looks", () => {
  const panel = {
    fieldConfig: {
      defaults: { thresholds: { steps: [{ value: null, color: "green" }, { value: 10, color: "amber" }, { value: 50, color: "red" }] } },
      overrides: [
        { matcher: { id: "byFrameRefID", options: "B" }, properties: [{ id: "unit", value: "s" }] },
        { matcher: { id: "byName", options: "x" }, properties: [{ id: "unit", value: "ms" }] },
      ],
    },
  } as unknown as Panel;
  it("come from the query, and then from the name", () => {
    expect(properties(panel, "B", "y").get("unit")).toBe("s");
    expect(properties(panel, "B", "x").get("unit")).toBe("ms");
    expect(properties(panel, "A", "y").size).toBe(0);
  });
  it("has the colour of the highest threshold reached", () => {
    const of = (value: number | null) => threshold(panel.fieldConfig.defaults, value);
    expect([of(null), of(9.9), of(10), of(1000)]).toEqual(["green", "green", "amber", "red"]);
  });
  it("puts seconds beside milliseconds on one axis", () => {
    expect(factorTo("s", "ms")).toBe(1000);
    expect(factorTo("tok", "ms")).toBe(1);
  });
});

describe("legends", () => {
  const three = [series("a"), series("b"), series("c")];
  it("show one alone, and all again", () => {
    const alone = toggled(three, new Set(), "b", true);
    expect([...alone]).toEqual(["a", "c"]);
    expect(toggled(three, alone, "b", true).size).toBe(0);
    expect([...toggled(three, alone, "c", true)]).toEqual(["a", "b"]);
  });
  it("hide one, and never all", () => {
    expect([...toggled(three, new Set(), "b", false)]).toEqual(["b"]);
    expect(toggled(three, new Set(["a", "c"]), "b", false).size).toBe(0);
  });
});

describe("rows of a table", () => {
  it("are sorted by size, by letters, and without a value last", () => {
    const values: (string | number | undefined)[] = [10, undefined, 9];
    expect(values.sort(compare)).toEqual([9, 10, undefined]);
    expect([compare("b", "a") > 0, compare(undefined, 1) > 0]).toEqual([true, true]);
  });
});

describe("sections", () => {
  it("takes panels after a row and inside a closed one", () => {
    const at = { x: 0, y: 0, w: 1, h: 1 };
    const panel = (id: number) => ({ id, type: "stat", gridPos: at });
    const board = { panels: [{ id: 1, type: "row", title: "open", collapsed: false, panels: [] }, panel(2), { id: 3, type: "row", title: "closed", collapsed: true, panels: [panel(4)] }] };
    expect(sections(board as never).map(({ title, collapsed, panels }) => [title, collapsed, panels.map(({ id }) => id)])).toEqual([["open", false, [2]], ["closed", true, [4]]]);
  });
});
