// A panel's frame: title, description, and one of five states: loading, empty, failed, stale, or what it shows.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Panel } from "../model/dashboard";
import { clock } from "../model/time";
import type { Context, Frame } from "../query/frame";
import type { Route } from "../shell/route";
import { Description } from "./description";
import { Empty } from "./empty";
import { Gauge } from "./gauge";
import { Heatmap } from "./heatmap";
import { Pie } from "./pie";
import { Stat } from "./stat";
import { SpanTable } from "./table";
import { TimeSeries } from "./timeseries";
import { type Result, useFrame } from "./use-frame";

interface Props {
  panel: Panel;
  /** The grid row at which the section begins. */
  top: number;
  context: Context;
  route: Route;
  zoom: (from: number, to: number) => void;
}

export function PanelFrame({ panel, top, context, route, zoom }: Props) {
  const root = useRef<HTMLElement>(null);
  const [width, seen] = useSize(root);
  const result = useFrame(panel, context, width, seen);
  const { x, y, w, h } = panel.gridPos;
  const place = { "--x": x + 1, "--w": w, "--y": y - top + 1, "--h": h } as Record<string, number>;
  return (
    <article
      ref={root}
      class={`panel panel-${panel.type}`}
      style={place}
      aria-label={panel.title}
      aria-busy={result.loading}
      data-panel={panel.id}
      data-state={state(result)}
    >
      <header class="panel-head">
        <h3 title={panel.title}>{panel.title}</h3>
        <Badge result={result} context={context} panel={panel} />
        {panel.description && <Description text={panel.description} />}
      </header>
      <div class="panel-body">{body(panel, result, context, route, zoom)}</div>
    </article>
  );
}

function state(result: Result): string {
  if (result.frame === undefined) return result.error === undefined ? "loading" : "error";
  if (isEmpty(result.frame)) return "empty";
  return result.error === undefined ? "ready" : "stale";
}

function isEmpty(frame: Frame): boolean {
  return frame.rows.length === 0 && frame.series.every(({ values }) => values.every((value) => value === null));
}

function body(panel: Panel, result: Result, context: Context, route: Route, zoom: Props["zoom"]): ComponentChildren {
  const { frame, error } = result;
  if (frame === undefined) return error === undefined ? <Skeleton type={panel.type} /> : <Failed error={error} />;
  if (isEmpty(frame)) return error === undefined ? <Empty panel={panel} context={context} /> : <Failed error={error} />;
  switch (panel.type) {
    case "timeseries":
      return <TimeSeries panel={panel} frame={frame} range={context.range} route={route} zoom={zoom} />;
    case "stat":
      return <Stat panel={panel} frame={frame} />;
    case "gauge":
      return <Gauge panel={panel} frame={frame} />;
    case "piechart":
      return <Pie panel={panel} frame={frame} />;
    case "table":
      return <SpanTable panel={panel} frame={frame} route={route} />;
    case "heatmap":
      return <Heatmap panel={panel} frame={frame} />;
    default:
      return <Failed error={`This page has no panel of the kind “${panel.type}”.`} />;
  }
}

/** Age, where what is shown is not the latest. */
function Badge({ result, context, panel }: { result: Result; context: Context; panel: Panel }) {
  const { frame, error, at } = result;
  if (frame === undefined || at === undefined) return null;
  if (error !== undefined) return <span class="badge warn" title={error}>stale · as of {clock(at)}</span>;
  const last = lastSample(frame);
  const late = last === undefined ? 0 : context.range.to - last;
  const live = context.range.to > Date.now() / 1000 - 30 && panel.targets.every(({ expr }) => expr !== undefined);
  if (live && late > Math.max(3 * frame.step, 60)) return <span class="badge warn" title="No newer sample has arrived.">last sample {clock(last!)}</span>;
  return null;
}

function lastSample(frame: Frame): number | undefined {
  for (let index = frame.times.length - 1; index >= 0; index--) {
    if (frame.series.some(({ values }) => values[index] != null)) return frame.times[index];
  }
  return undefined;
}

function Failed({ error }: { error: string }) {
  return (
    <div class="notice" role="alert">
      <strong class="bad">No answer</strong>
      <span>{error}</span>
    </div>
  );
}

function Skeleton({ type }: { type: string }) {
  return <div class={`skeleton skeleton-${type}`} role="status" aria-label="Loading" />;
}

/** The width of an element, and whether it has been near the screen. */
function useSize(root: { current: HTMLElement | null }): [number, boolean] {
  const [width, setWidth] = useState(0);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const element = root.current!;
    const resized = new ResizeObserver(([entry]) => setWidth(Math.round(entry!.contentRect.width)));
    const near = new IntersectionObserver(([entry]) => entry!.isIntersecting && setSeen(true), { rootMargin: "400px" });
    resized.observe(element);
    near.observe(element);
    return () => {
      resized.disconnect();
      near.disconnect();
    };
  }, []);
  return [width, seen];
}
