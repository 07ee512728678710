// Time range, refresh and variables.

import { useEffect, useState } from "preact/hooks";

import type { Variable } from "../model/dashboard";
import { QUICK, REFRESH, type Range, clock, zone } from "../model/time";
import { labelValues } from "../model/variables";
import * as prometheus from "../query/prometheus";
import * as tempo from "../query/tempo";
import { Menu } from "./menu";
import { type Route, go } from "./route";

const SPELLED: Record<string, string> = { s: "seconds", m: "minutes", h: "hours" };

function spelled(duration: string): string {
  const count = duration.slice(0, -1);
  const unit = SPELLED[duration.slice(-1)] ?? "";
  return count === "1" ? unit.slice(0, -1) : `${count} ${unit}`;
}

/** What the time button says. */
export function rangeName(from: string, to: string, range: Range): string {
  if (to === "now" && from.startsWith("now-")) return `Last ${spelled(from.slice(4))}`;
  const date = new Date(range.from * 1000).toDateString() !== new Date().toDateString();
  return `${clock(range.from, { date })} – ${clock(range.to)}`;
}

export function TimeControl({ route, from, to, range }: { route: Route; from: string; to: string; range: Range }) {
  const middle = (range.from + range.to) / 2;
  const half = range.to - range.from;
  const out = () => go(route, { from: String(Math.round((middle - half) * 1000)), to: String(Math.round(Math.min(middle + half, Date.now() / 1000) * 1000)) });
  return (
    <div class="group">
      <Menu label={<span>{rangeName(from, to, range)} <span class="dim">{zone()}</span></span>} title="Time range">
        {(close) =>
          QUICK.map((quick) => (
            <button
              type="button"
              class="menu-item"
              aria-current={from === `now-${quick}` && to === "now"}
              onClick={() => {
                go(route, { from: `now-${quick}`, to: "now" });
                close();
              }}
            >
              Last {spelled(quick)}
            </button>
          ))
        }
      </Menu>
      <button type="button" class="button" title="Zoom out (z)" aria-label="Zoom out" data-key="z" onClick={out}>−</button>
    </div>
  );
}

export function RefreshControl({ route, refresh, again }: { route: Route; refresh: string; again: () => void }) {
  return (
    <div class="group">
      <button type="button" class="button" title="Refresh now (r)" aria-label="Refresh now" data-key="r" onClick={again}>↻</button>
      <Menu label={refresh === "off" ? "off" : refresh} title="Refresh by itself">
        {(close) =>
          [...REFRESH, "off"].map((every) => (
            <button
              type="button"
              class="menu-item"
              aria-current={every === refresh}
              onClick={() => {
                go(route, { refresh: every });
                close();
              }}
            >
              {every === "off" ? "Do not refresh" : `Every ${spelled(every)}`}
            </button>
          ))
        }
      </Menu>
    </div>
  );
}

/** A variable: its values come from the store. */
export function VariableControl({ route, variable, range }: { route: Route; variable: Variable; range: Range }) {
  const [values, setValues] = useState<string[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    load(variable, range, stop.signal).then(setValues, () => undefined);
    return () => stop.abort();
  }, [variable, range.from, range.to]);
  const chosen = route.chosen[variable.name] ?? [];
  const choose = (next: string[]) => go(route, { chosen: { ...route.chosen, [variable.name]: next } });
  const name = chosen.length === 0 ? "All" : chosen.length < 3 ? chosen.join(", ") : `${chosen.length} of ${values.length}`;
  return (
    <Menu label={<span><span class="dim">{variable.label.replace("_", " ")}</span> {name}</span>} title={`Filter by ${variable.label}`}>
      {() => (
        <>
          <label class="menu-item">
            <input type="checkbox" checked={chosen.length === 0} onChange={() => choose([])} /> All
          </label>
          {[...new Set([...values, ...chosen])].sort().map((value) => (
            <label class="menu-item">
              <input
                type="checkbox"
                checked={chosen.includes(value)}
                onChange={() => choose(chosen.includes(value) ? chosen.filter((item) => item !== value) : [...chosen, value])}
              />
              {value}
            </label>
          ))}
          {values.length === 0 && <div class="menu-item dim">nothing reported yet</div>}
        </>
      )}
    </Menu>
  );
}

async function load(variable: Variable, range: Range, signal: AbortSignal): Promise<string[]> {
  if (typeof variable.query === "object" && variable.query.label !== undefined) {
    return (await tempo.attributeValues(variable.query.label, range, signal)).sort();
  }
  const asked = labelValues(typeof variable.query === "string" ? variable.query : (variable.query.query ?? ""));
  return asked ? (await prometheus.labelValues(asked.label, asked.metric, range, signal)).sort() : [];
}
