// Lines and areas over time.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";

import type { Panel } from "../model/dashboard";
import type { Range } from "../model/time";
import type { Dot, Frame, Series } from "../query/frame";
import { type Route, go } from "../shell/route";
import { useTheme } from "../shell/theme";
import { type Drawing, draw, update } from "./chart";
import { Legend } from "./legend";
import { ordered } from "./stack";

interface Props {
  panel: Panel;
  frame: Frame;
  range: Range;
  route: Route;
  zoom: (from: number, to: number) => void;
}

/** Past so many lines a legend is a list to scroll in, not one to read at a glance. */
export function TimeSeries({ panel, frame, range, route, zoom }: Props) {
  const theme = useTheme();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<Set<string>>(() => new Set());
  const stack = panel.fieldConfig.defaults.custom?.stacking?.mode === "normal";
  const all = useMemo(() => (stack ? ordered(panel, frame.series) : frame.series), [frame, stack]);
  const shown = all.filter(({ name }) => !hidden.has(name));
  const open = (dot: Dot) => go(route, { view: "trace", id: dot.traceId, chosen: {} });
  const drawing: Drawing = { panel, frame, series: shown, range, theme, stack, open, zoom };
  const latest = useRef(drawing);
  latest.current = drawing;
  const look = shown.map(({ name, colour, dash }) => `${name}|${colour}|${dash?.join() ?? ""}`).join("\n");

  useEffect(() => {
    plot.current = draw(place.current!, () => latest.current);
    const resized = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      if (width > 0 && height > 0) plot.current?.setSize({ width: Math.floor(width), height: Math.floor(height) });
    });
    resized.observe(place.current!);
    return () => {
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [theme, look, stack]);
  useEffect(() => {
    if (plot.current) update(plot.current, latest.current);
  }, [frame, range.from, range.to]);

  const calculations = panel.options.legend?.calcs ?? [];
  return (
    <div class="timeseries">
      <div class="plot" ref={place} role="img" aria-label={`${panel.title}: ${shown.map(({ name }) => name).join(", ")}`} />
      <Legend series={all} calculations={calculations} decimals={panel.fieldConfig.defaults.decimals} hidden={hidden} toggle={(name, alone) => setHidden(toggled(all, hidden, name, alone))} />
    </div>
  );
}

/** What is hidden after a click on a name: all others, none, or one more. */
export function toggled(series: Series[], hidden: Set<string>, name: string, alone: boolean): Set<string> {
  const names = new Set(series.map((item) => item.name));
  if (!alone) {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    return next.size === names.size ? new Set() : next;
  }
  const already = !hidden.has(name) && hidden.size === names.size - 1;
  return already ? new Set() : new Set([...names].filter((item) => item !== name));
}
