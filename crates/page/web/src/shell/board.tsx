// One dashboard: its controls, its rows, its panels.

import { useEffect, useState } from "preact/hooks";

import { type Dashboard, type Section, sections } from "../model/dashboard";
import { type Config, dashboard as load } from "../query/config";
import type { Context } from "../query/frame";
import { PanelFrame } from "../panels/panel";
import { fitting, useRange } from "./clock";
import { RefreshControl, TimeControl, VariableControl } from "./controls";
import { Problem } from "./problem";
import { type Route, zoomTo } from "./route";

export function Board({ route, config }: { route: Route; config: Config }) {
  const [board, setBoard] = useState<Dashboard>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    const stop = new AbortController();
    load(route.id, stop.signal).then(setBoard, (reason: Error) => !stop.signal.aborted && setError(reason.message));
    return () => stop.abort();
  }, [route.id]);
  if (error !== undefined) return <Problem title={`There is no dashboard “${route.id}”`} text={error} />;
  if (board === undefined) return <div class="board-head"><h1 class="skeleton-text">Loading</h1></div>;
  return <Loaded route={route} config={config} board={board} />;
}

function Loaded({ route, config, board }: { route: Route; config: Config; board: Dashboard }) {
  const [standard] = useState(() => fitting(config.since, board.time.from, Date.now() / 1000));
  const from = route.from ?? standard;
  const to = route.to ?? board.time.to;
  // A range that is young is looked at closely; what is refreshed is what can have changed.
  const refresh = route.refresh ?? (standard === board.time.from ? board.refresh : "10s");
  const { range, again } = useRange(from, to, to === "now" ? refresh : "off");
  const variables = board.templating.list;
  const context: Context = { range, variables, chosen: route.chosen, scrape: config.scrape };
  useEffect(() => {
    document.title = `${board.title} · Candor`;
  }, [board.title]);
  return (
    <>
      <div class="board-head">
        <h1>{board.title}</h1>
        <p class="dim">{board.description}</p>
        <div class="controls">
          {variables.filter(({ type }) => type === "query").map((variable) => (
            <VariableControl key={variable.name} route={route} variable={variable} range={range} />
          ))}
          <span class="spring" />
          <TimeControl route={route} from={from} to={to} range={range} />
          <RefreshControl route={route} refresh={refresh} again={again} />
        </div>
      </div>
      {sections(board).map((section) => (
        <SectionView key={section.id} section={section} context={context} route={route} />
      ))}
    </>
  );
}

function SectionView({ section, context, route }: { section: Section; context: Context; route: Route }) {
  const [open, setOpen] = useState(!section.collapsed);
  const top = Math.min(...section.panels.map(({ gridPos }) => gridPos.y));
  const zoom = (from: number, to: number) => zoomTo(route, from, to);
  return (
    <section>
      <h2 class="row-title">
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          <span class="chevron" aria-hidden="true">{open ? "▾" : "▸"}</span>
          <span>{section.title}</span>
          {!open && <span class="dim">{section.panels.length} panels</span>}
        </button>
      </h2>
      {open && (
        <div class="grid">
          {section.panels.map((panel) => (
            <PanelFrame key={panel.id} panel={panel} top={top} context={context} route={route} zoom={zoom} />
          ))}
        </div>
      )}
    </section>
  );
}
