// Traces by TraceQL.

import { useEffect, useState } from "preact/hooks";

import { clock } from "../model/time";
import { text } from "../model/units";
import type { Config } from "../query/config";
import { type Found, search } from "../query/tempo";
import { fitting, useRange } from "../shell/clock";
import { RefreshControl, TimeControl } from "../shell/controls";
import { type Route, go, link } from "../shell/route";

/** Questions that people come with. */
export const PRESETS: [string, string][] = [
  ["Requests", '{name="gateway.request"}'],
  ["Slow first token", '{span.candor.gateway.ttft_us > 200000}'],
  ["Failed", "{status = error}"],
  ["Disaggregated", '{name="llm_d.pd_proxy.decode" && span.llm_d.pd_proxy.disaggregation_used = true}'],
  ["Slow KV transfer", '{span.llm_d.pd_proxy.kv_transfer_overhead_us > 50000}'],
  ["Engines", '{name="llm_request"}'],
];

export function TracesView({ route, config }: { route: Route; config: Config }) {
  const [standard] = useState(() => fitting(config.since, "now-1h", Date.now() / 1000));
  const [from, to] = [route.from ?? standard, route.to ?? "now"];
  const refresh = route.refresh ?? "30s";
  const { range, again } = useRange(from, to, to === "now" ? refresh : "off");
  const query = route.query ?? PRESETS[0]![1];
  const [found, setFound] = useState<Found[]>();
  const [error, setError] = useState<string>();
  const [text, setText] = useState(query);
  useEffect(() => setText(query), [query]);
  useEffect(() => {
    document.title = "Traces · Candor";
    const stop = new AbortController();
    search(query, range, 100, stop.signal).then(
      (rows) => {
        setFound(rows);
        setError(undefined);
      },
      (reason: Error) => !stop.signal.aborted && setError(reason.message),
    );
    return () => stop.abort();
  }, [query, range.from, range.to]);
  return (
    <>
      <div class="board-head">
        <h1>Traces</h1>
        <form
          class="search"
          onSubmit={(event) => {
            event.preventDefault();
            go(route, { query: text });
          }}
        >
          <input aria-label="TraceQL" spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          <button class="button primary">Search</button>
        </form>
        <div class="controls">
          {PRESETS.map(([name, preset]) => (
            <button type="button" class="button plain" aria-pressed={preset === query} onClick={() => go(route, { query: preset })}>{name}</button>
          ))}
          <span class="spring" />
          <TimeControl route={route} from={from} to={to} range={range} />
          <RefreshControl route={route} refresh={refresh} again={again} />
        </div>
      </div>
      <div class="card">
        {error !== undefined && <div class="notice" role="alert"><strong class="bad">No answer</strong><span>{error}</span></div>}
        {error === undefined && found === undefined && <div class="skeleton skeleton-table" role="status" aria-label="Loading" />}
        {error === undefined && found?.length === 0 && (
          <div class="notice" role="status"><strong>No trace matches in this time</strong><span>Spans come over OTLP, on port 4318 and 4317; set OTEL_EXPORTER_OTLP_ENDPOINT.</span></div>
        )}
        {error === undefined && found !== undefined && found.length > 0 && <Rows found={found} route={route} />}
      </div>
    </>
  );
}

function Rows({ found, route }: { found: Found[]; route: Route }) {
  const longest = Math.max(...found.map(({ durationMs }) => durationMs));
  return (
    <div class="table-scroll">
      <table class="data">
        <thead>
          <tr><th class="left">Time</th><th class="left">Span</th><th class="left">Root</th><th>Duration</th><th class="left wide"><span class="visually-hidden">Duration as a bar</span></th><th class="left">Trace</th></tr>
        </thead>
        <tbody>
          {found.map((row) => (
            <tr class="link-row" data-trace={row.traceId} onClick={() => go(route, { view: "trace", id: row.traceId, query: undefined })}>
              <td class="left">{clock(row.start, { millis: true })}</td>
              <td class="left">{row.name}</td>
              <td class="left dim">{row.root === "" || row.root.startsWith("<") ? "not in this store" : `${row.service}: ${row.root}`}</td>
              <td>{text(row.durationMs, "ms")}</td>
              <td class="left wide"><span class="bar" style={{ width: `${(row.durationMs / longest) * 100}%` }} /></td>
              <td class="left"><a href={link(route, { view: "trace", id: row.traceId })} onClick={(event) => event.stopPropagation()}>…{row.traceId.slice(-8)}</a></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
