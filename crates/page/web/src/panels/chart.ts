// uPlot, set up for a panel.

import uPlot from "uplot";

import type { Panel } from "../model/dashboard";
import { type Range, clock } from "../model/time";
import { type Theme, colour, faded } from "../model/theme";
import { axis, text } from "../model/units";
import type { Dot, Frame, Series } from "../query/frame";
import { stacked } from "./stack";

/** What is drawn; read anew at every stroke, so that a chart outlives its data. */
export interface Drawing {
  panel: Panel;
  frame: Frame;
  series: Series[];
  range: Range;
  theme: Theme;
  stack: boolean;
  open: (dot: Dot) => void;
  zoom: (from: number, to: number) => void;
}

/** All charts of the page share a crosshair. */
const SYNC = "candor";
const FONT = '12px system-ui, sans-serif';

/** Makes a chart in `place`. */
export function draw(place: HTMLElement, drawing: () => Drawing): uPlot {
  const { theme, series, stack } = drawing();
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--dim").trim();
  const lines = style.getPropertyValue("--grid").trim();
  const units = [...new Set(series.map(({ unit }) => unit))];
  const tooltip = new Tooltip(place, drawing);
  const options: uPlot.Options = {
    width: Math.max(place.clientWidth, 100),
    height: Math.max(place.clientHeight, 60),
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      sync: { key: SYNC, setSeries: false, filters: { pub: (type) => type !== "mousedown" && type !== "mouseup" } },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
    },
    scales: { x: { time: true }, ...Object.fromEntries(units.map((unit) => [unit, { range: (_: uPlot, low: number, high: number) => span(drawing(), low, high) }])) },
    axes: [
      { stroke: ink, font: FONT, size: 24, space: 80, grid: { stroke: lines, width: 1 }, ticks: { show: false }, values: (plot, ticks) => inside(plot, ticks, times(ticks)) },
      ...units.map((unit, index) => valueAxis(unit, index, ink, lines)),
    ],
    series: [{}, ...series.map((item) => line(item, theme, stack))],
    ...(stack ? { bands: series.slice(1).map((_, index) => ({ series: [index + 2, index + 1] as [number, number] })) } : {}),
    hooks: {
      drawAxes: [(plot) => thresholds(plot, drawing())],
      draw: [(plot) => dots(plot, drawing())],
      setCursor: [(plot) => tooltip.move(plot)],
      setSelect: [(plot) => select(plot, drawing())],
    },
  };
  const plot = new uPlot(options, data(drawing()), place);
  plot.over.addEventListener("click", (event) => {
    const dot = near(plot, drawing(), event.offsetX, event.offsetY);
    if (dot) drawing().open(dot);
  });
  update(plot, drawing());
  return plot;
}

/** New data in a chart that is there. */
export function update(plot: uPlot, drawing: Drawing): void {
  plot.batch(() => {
    plot.setData(data(drawing), false);
    plot.setScale("x", { min: drawing.range.from, max: drawing.range.to });
    for (const unit of new Set(drawing.series.map((item) => item.unit))) {
      const values = plot.series.map((series, index) => (series.scale === unit ? (plot.data[index] ?? []) : [])).flat();
      const [low, high] = extent(values as (number | null)[]);
      const [min, max] = span(drawing, low, high);
      plot.setScale(unit, { min, max });
    }
  });
}

function extent(values: (number | null)[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null || value === undefined || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [0, 1];
}

function data({ frame, series, stack }: Drawing): uPlot.AlignedData {
  const values = stack ? stacked(series) : series.map((item) => item.values);
  return [frame.times, ...values] as uPlot.AlignedData;
}

/** From zero where the panel says so, and with air above. */
function span({ panel }: Drawing, low: number, high: number): [number, number] {
  const { min, max } = panel.fieldConfig.defaults;
  const bottom = Math.min(min ?? low, low);
  const whole = panel.fieldConfig.defaults.unit === "percentunit" ? 1 : undefined;
  const limit = max ?? (whole !== undefined && high <= 1 && high > 0.5 ? whole : undefined);
  if (limit !== undefined && high <= limit) return [bottom, limit * 1.02];
  return high > bottom ? [bottom, bottom + (high - bottom) * 1.1] : [bottom, bottom + 1];
}

function line(item: Series, theme: Theme, stack: boolean): uPlot.Series {
  const stroke = colour(item.colour, theme);
  return {
    label: item.name,
    scale: item.unit,
    stroke,
    width: item.width,
    ...(item.dash ? { dash: item.dash } : {}),
    ...(item.fill > 0 ? { fill: faded(stroke, stack ? item.fill : item.fill * 0.6) } : {}),
    points: { size: 5, fill: stroke, stroke, filter: alone },
    spanGaps: false,
  };
}

/** A line needs two points; one between two gaps is drawn as a point. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const found: number[] = [];
  values.forEach((value, index) => {
    if (value != null && values[index - 1] == null && values[index + 1] == null) found.push(index);
  });
  return found;
}

/** Bytes are counted in powers of two, so their ticks are too. */
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

function valueAxis(unit: string, index: number, ink: string, lines: string): uPlot.Axis {
  return {
    scale: unit,
    side: index === 0 ? 3 : 1,
    stroke: ink,
    font: FONT,
    size: (_, values) => 16 + 6.6 * Math.max(3, ...(values ?? []).map((value) => value.length)),
    gap: 6,
    space: 36,
    ...(unit === "bytes" ? { incrs: BINARY } : {}),
    grid: { show: index === 0, stroke: lines, width: 1 },
    ticks: { show: false },
    values: (_, ticks) => axis(ticks, unit),
  };
}

/** Local times; seconds only where they differ, the date where the day does. */
function times(ticks: number[]): string[] {
  const gap = (ticks[1] ?? 0) - (ticks[0] ?? 0);
  return ticks.map((tick, index) => {
    const full = clock(tick, { date: true });
    if (gap >= 86400) return full.slice(5, 10);
    const day = index > 0 && full.slice(0, 10) !== clock(ticks[index - 1]!, { date: true }).slice(0, 10);
    return day ? full.slice(5, 16) : gap < 60 ? full.slice(11) : full.slice(11, 16);
  });
}

/** Half of a label's width: nearer to an end it would run into the other axis, or out of the chart. */
const MARGIN = 20;

function inside(plot: uPlot, ticks: number[], labels: string[]): string[] {
  const width = plot.over.clientWidth;
  return labels.map((label, index) => {
    const at = plot.valToPos(ticks[index]!, "x");
    return width > 0 && (at < MARGIN || at > width - MARGIN + 8) ? "" : label;
  });
}

function thresholds(plot: uPlot, { panel, theme }: Drawing): void {
  const { thresholds, custom, unit } = panel.fieldConfig.defaults;
  if ((custom?.thresholdsStyle?.mode ?? "off") === "off" || !plot.scales[unit ?? ""]) return;
  const { ctx, bbox } = plot;
  ctx.save();
  for (const { value, color } of thresholds?.steps ?? []) {
    if (value === null) continue;
    const y = Math.round(plot.valToPos(value, unit ?? "", true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = faded(colour(color, theme), 0.8);
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}

/** At most so many exemplars: the slowest say most. */
const MOST_DOTS = 24;

function visible(plot: uPlot, { frame, panel, range }: Drawing): { dot: Dot; x: number; y: number }[] {
  const unit = panel.fieldConfig.defaults.unit ?? "";
  const scale = plot.scales[unit];
  if (!scale) return [];
  const inside = frame.dots.filter(({ at, value }) => at >= range.from && at <= range.to && value <= (scale.max ?? Infinity));
  const slowest = inside.sort((a, b) => b.value - a.value).slice(0, MOST_DOTS);
  return slowest.map((dot) => ({ dot, x: plot.valToPos(dot.at, "x", true), y: plot.valToPos(dot.value, unit, true) }));
}

function dots(plot: uPlot, drawing: Drawing): void {
  const { ctx } = plot;
  const size = 3 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--panel").trim();
  ctx.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
  ctx.globalAlpha = 0.75;
  ctx.lineWidth = devicePixelRatio;
  for (const { x, y } of visible(plot, drawing)) {
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** The exemplar under the pointer. */
function near(plot: uPlot, drawing: Drawing, left: number, top: number): Dot | undefined {
  const { bbox } = plot;
  const [x, y] = [left * devicePixelRatio + bbox.left, top * devicePixelRatio + bbox.top];
  const reach = 8 * devicePixelRatio;
  return visible(plot, drawing).find((found) => Math.hypot(found.x - x, found.y - y) < reach)?.dot;
}

function select(plot: uPlot, { zoom }: Drawing): void {
  const { left, width } = plot.select;
  if (width < 8) return;
  const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  zoom(from, to);
}

/** All values at the crosshair; the chart under the pointer shows them, the others only the line. */
class Tooltip {
  readonly #element = document.createElement("div");

  constructor(
    private readonly place: HTMLElement,
    private readonly drawing: () => Drawing,
  ) {
    this.#element.className = "tooltip";
    this.#element.hidden = true;
    place.append(this.#element);
  }

  move(plot: uPlot): void {
    const { idx, left, top } = plot.cursor;
    if (idx == null || left == null || left < 0 || !this.place.matches(":hover")) {
      this.#element.hidden = true;
      return;
    }
    const { series, theme, panel, frame } = this.drawing();
    const at = frame.times[idx];
    if (at === undefined) return;
    const rows = series.map((item) => ({ item, value: item.values[idx] ?? null })).filter(({ value }) => value !== null);
    if (!this.#stacked()) rows.sort((a, b) => b.value! - a.value!);
    else rows.reverse();
    const cells = rows.slice(0, 14).map(({ item, value }) => {
      const row = document.createElement("div");
      const swatch = document.createElement("i");
      swatch.style.background = colour(item.colour, theme);
      const name = document.createElement("span");
      name.textContent = item.name;
      const number = document.createElement("b");
      number.textContent = text(value, item.unit, panel.fieldConfig.defaults.decimals);
      row.append(swatch, name, number);
      return row;
    });
    const head = document.createElement("time");
    head.textContent = clock(at, { date: false });
    const dot = near(plot, this.drawing(), left, top ?? 0);
    const hint = document.createElement("em");
    hint.textContent = dot ? `request of ${text(dot.value, panel.fieldConfig.defaults.unit)}: click to open` : "";
    this.#element.replaceChildren(head, ...cells, ...(dot ? [hint] : []));
    this.#element.hidden = false;
    plot.over.style.cursor = dot ? "pointer" : "";
    const offset = plot.over.offsetLeft + left;
    const flip = offset > this.place.clientWidth / 2;
    this.#element.style.left = flip ? "" : `${offset + 12}px`;
    this.#element.style.right = flip ? `${this.place.clientWidth - offset + 12}px` : "";
  }

  #stacked(): boolean {
    return this.drawing().stack;
  }
}
