// Request anatomy: one request as a bar along its critical path, and beside it what the engines claimed.

import { useEffect, useState } from "preact/hooks";

import { clock } from "../model/time";
import { text } from "../model/units";
import type { Config } from "../query/config";
import { type Span, trace } from "../query/tempo";
import { fitting, useRange } from "../shell/clock";
import { RefreshControl, TimeControl } from "../shell/controls";
import { type Route, go } from "../shell/route";
import { anatomy } from "./anatomy";
import { Body } from "./anatomy-body";
import { type Summary, recent } from "./requests";

export function AnatomyView({ route, config }: { route: Route; config: Config }) {
  const [standard] = useState(() => fitting(config.since, "now-1h", Date.now() / 1000));
  const [from, to] = [route.from ?? standard, route.to ?? "now"];
  const refresh = route.refresh ?? "off";
  const { range, again } = useRange(from, to, to === "now" ? refresh : "off");
  const [list, setList] = useState<Summary[]>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    document.title = "Request anatomy · Candor";
    const stop = new AbortController();
    recent(range, 60, stop.signal).then(
      (rows) => {
        setList(rows);
        setError(undefined);
      },
      (reason: Error) => !stop.signal.aborted && setError(reason.message),
    );
    return () => stop.abort();
  }, [range.from, range.to]);
  const usable = list?.filter(({ ttft }) => ttft !== undefined);
  const id = route.id !== "" ? route.id : (typical(usable ?? [])?.traceId ?? "");
  return (
    <>
      <div class="board-head">
        <h1>Request anatomy</h1>
        <p class="dim">Where one request’s time went, and what each engine said of it.</p>
        <div class="controls">
          <span class="spring" />
          <TimeControl route={route} from={from} to={to} range={range} />
          <RefreshControl route={route} refresh={refresh} again={again} />
        </div>
      </div>
      {error !== undefined && <div class="card notice" role="alert"><strong class="bad">No answer</strong><span>{error}</span></div>}
      {error === undefined && usable?.length === 0 && route.id === "" && (
        <div class="card notice" role="status">
          <strong>No request in this time</strong>
          <span>Waits for spans <code>gateway.request</code> of <code>candor-gateway</code>, or <code>llm_d.pd_proxy.decode</code> of <code>llm-d-pd-proxy</code>, sent over OTLP.</span>
        </div>
      )}
      <div class="anatomy">
        {id === "" ? <div class="card"><div class="skeleton skeleton-table" /></div> : <One key={id} id={id} route={route} />}
        {usable !== undefined && usable.length > 0 && <Choose list={usable} id={id} route={route} />}
      </div>
    </>
  );
}

/** The request in the middle: a page that opens on the slowest would frighten, on the fastest deceive. */
export function typical(list: Summary[]): Summary | undefined {
  const sorted = [...list].sort((a, b) => a.ttft! - b.ttft!);
  return sorted[Math.floor(sorted.length / 2)];
}

function One({ id, route }: { id: string; route: Route }) {
  const [spans, setSpans] = useState<Span[]>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    const stop = new AbortController();
    trace(id, stop.signal).then(setSpans, (reason: Error) => !stop.signal.aborted && setError(reason.message));
    return () => stop.abort();
  }, [id]);
  const found = spans && anatomy(spans);
  if (error !== undefined) return <div class="card notice" role="alert"><strong class="bad">This request is not here</strong><span>{error}</span></div>;
  if (spans === undefined) return <div class="card"><div class="skeleton skeleton-table" role="status" aria-label="Loading" /></div>;
  if (!found) return <div class="card notice" role="status"><strong>This request had no first token</strong><span>Its trace still tells what happened.</span></div>;
  return <Body anatomy={found} id={id} route={route} />;
}

function Choose({ list, id, route }: { list: Summary[]; id: string; route: Route }) {
  const [slowest, setSlowest] = useState(false);
  const rows = slowest ? [...list].sort((a, b) => b.ttft! - a.ttft!) : list;
  const longest = Math.max(...list.map(({ ttft }) => ttft!));
  return (
    <aside class="card choose" aria-label="Requests">
      <div class="choose-head">
        <h2>Requests</h2>
        <button type="button" class="button plain" aria-pressed={!slowest} onClick={() => setSlowest(false)}>newest</button>
        <button type="button" class="button plain" aria-pressed={slowest} onClick={() => setSlowest(true)}>slowest</button>
      </div>
      <ul>
        {rows.map((row) => (
          <li>
            <button type="button" aria-current={row.traceId === id} onClick={() => go(route, { id: row.traceId })}>
              <span>{clock(row.start)}</span>
              <span class="bar-track"><span class="bar" style={{ width: `${(row.ttft! / longest) * 100}%` }} /></span>
              <b>{text(row.ttft, "ms")}</b>
            </button>
          </li>
        ))}
      </ul>
    </aside>
  );
}
