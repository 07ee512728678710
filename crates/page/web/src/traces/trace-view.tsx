// A trace as a waterfall: who did what, when, inside whom.

import { useEffect, useMemo, useState } from "preact/hooks";

import { colour, ink } from "../model/theme";
import { clock } from "../model/time";
import { text } from "../model/units";
import { type Span, trace } from "../query/tempo";
import { Problem } from "../shell/problem";
import { type Route, link } from "../shell/route";
import { useTheme } from "../shell/theme";
import { anatomy } from "./anatomy";
import { type Node, spanColour, tree } from "./tree";

export function TraceView({ route }: { route: Route }) {
  const [spans, setSpans] = useState<Span[]>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    document.title = "Trace · Candor";
    const stop = new AbortController();
    trace(route.id, stop.signal).then(setSpans, (reason: Error) => !stop.signal.aborted && setError(reason.message));
    return () => stop.abort();
  }, [route.id]);
  if (error !== undefined) return <Problem title="This trace is not here" text={`${error}. It may have left the store, or not arrived yet.`} />;
  if (spans === undefined) return <div class="card"><div class="skeleton skeleton-table" role="status" aria-label="Loading" /></div>;
  if (spans.length === 0) return <Problem title="This trace is not here" text="It has left the store, or has not arrived yet." />;
  return <Waterfall spans={spans} route={route} />;
}

function Waterfall({ spans, route }: { spans: Span[]; route: Route }) {
  const nodes = useMemo(() => tree(spans), [spans]);
  const start = spans.reduce((first, span) => (span.start < first ? span.start : first), spans[0]!.start);
  const end = spans.reduce((last, span) => (span.end > last ? span.end : last), spans[0]!.end);
  const whole = Math.max(1, Number(end - start));
  const [open, setOpen] = useState<string>();
  const services = new Set(spans.map(({ service }) => service));
  const failed = spans.filter((span) => span.failed).length;
  return (
    <>
      <div class="board-head">
        <h1>{nodes[0]!.span.name}</h1>
        <p class="dim">
          {clock(Number(start / 1000000n) / 1000, { date: true, millis: true })} · {text(whole, "ns")} · {spans.length} spans of {services.size} services
          {failed > 0 && <span class="bad"> · {failed} failed</span>} · <code>{route.id}</code>
        </p>
        <div class="controls">
          <a class="button" href={link(route, { view: "traces", id: "", chosen: {} })}>All traces</a>
          {anatomy(spans) && <a class="button primary" href={link(route, { view: "anatomy", id: route.id, chosen: {} })}>Request anatomy</a>}
        </div>
      </div>
      <div class="card waterfall" data-spans={spans.length}>
        <div class="waterfall-axis" aria-hidden="true">
          <span />
          <div>{[0, 0.25, 0.5, 0.75, 1].map((share) => <i style={{ left: `${share * 100}%` }}>{share === 0 ? "0" : text(whole * share, "ns")}</i>)}</div>
        </div>
        {nodes.map((node) => (
          <Line key={node.span.id} node={node} start={start} whole={whole} open={open === node.span.id} toggle={() => setOpen(open === node.span.id ? undefined : node.span.id)} />
        ))}
      </div>
    </>
  );
}

function Line({ node, start, whole, open, toggle }: { node: Node; start: bigint; whole: number; open: boolean; toggle: () => void }) {
  const theme = useTheme();
  const { span, depth } = node;
  const share = (at: bigint) => (Number(at - start) / whole) * 100;
  const [left, width] = [share(span.start), Math.max(0.15, share(span.end) - share(span.start))];
  const hue = colour(spanColour(span), theme);
  const duration = text(Number(span.end - span.start), "ns");
  const claim = span.name === "llm_request";
  return (
    <div class={`span ${open ? "open" : ""}`}>
      <button type="button" class="span-line" aria-expanded={open} onClick={toggle}>
        <span class="span-name" style={{ paddingLeft: `${depth * 16}px` }} title={`${span.service}: ${span.name}`}>
          <i style={{ background: hue }} />
          <b>{span.name}</b> <span class="dim">{span.instance || span.service}</span>
          {span.failed && <span class="bad"> failed</span>}
        </span>
        <span class="span-track">
          <span class={`span-bar ${claim ? "claim" : ""}`} style={{ left: `${left}%`, width: `${width}%`, "--hue": hue }} />
          {span.events.map((event) => <span class="span-event" title={`${event.name} at ${text(Number(event.at - start), "ns")}`} style={{ left: `${share(event.at)}%` }} />)}
          <span class={`span-duration ${claim ? "on-claim" : ""}`} style={beside(left, width, claim ? undefined : ink(hue))}>{duration}</span>
        </span>
      </button>
      {open && <Details span={span} start={start} />}
    </div>
  );
}

/** Room that a duration takes, in per cent of the narrowest track. */
const ROOM = 20;

/** Where a bar's duration stands: after it, else before it, else at its end, in a colour that can be read there. */
function beside(left: number, width: number, color: string | undefined) {
  if (left + width <= 100 - ROOM) return { left: `${left + width}%`, paddingLeft: "8px" };
  if (left >= ROOM) return { right: `${100 - left}%`, paddingRight: "8px" };
  return { right: `${100 - left - width}%`, paddingRight: "8px", ...(color === undefined ? {} : { color }) };
}

function Details({ span, start }: { span: Span; start: bigint }) {
  const rows: [string, string][] = [
    ["service", span.instance === "" ? span.service : `${span.service} (${span.instance})`],
    ["kind", span.kind],
    ["starts", `${text(Number(span.start - start), "ns")} after the trace`],
    ...(span.message === "" ? [] : ([["status", span.message]] as [string, string][])),
    ...Object.entries(span.attributes).map(([key, value]) => [key, String(value)] as [string, string]),
    ...span.events.map((event) => [`event ${event.name}`, `${text(Number(event.at - span.start), "ns")} after the span ${Object.entries(event.attributes).map(([key, value]) => `${key}=${value}`).join(" ")}`] as [string, string]),
  ];
  return (
    <dl class="span-details">
      {rows.map(([key, value]) => (
        <>
          <dt>{key}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}
