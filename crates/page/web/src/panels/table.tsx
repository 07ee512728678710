// Spans as rows; each opens its trace.

import { useState } from "preact/hooks";

import { type Panel, properties } from "../model/dashboard";
import { clock } from "../model/time";
import { text } from "../model/units";
import type { Frame } from "../query/frame";
import type { Found, Scalar } from "../query/tempo";
import { type Route, go, link } from "../shell/route";

interface Column {
  key: string;
  title: string;
  unit: string;
}

/** The columns that the dashboard names, in its order. */
function columns(panel: Panel): Column[] {
  return panel.fieldConfig.overrides
    .filter(({ matcher }) => matcher.id === "byName")
    .map(({ matcher }) => {
      const set = properties(panel, "", matcher.options);
      return { key: matcher.options, title: String(set.get("displayName") ?? matcher.options), unit: String(set.get("unit") ?? "") };
    });
}

/** Numbers by size, the rest by letters; what is missing comes last. */
export function compare(a: Scalar | undefined, b: Scalar | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

export function SpanTable({ panel, frame, route }: { panel: Panel; frame: Frame; route: Route }) {
  const [sort, setSort] = useState<{ key: string; down: boolean }>({ key: "", down: true });
  const shown = columns(panel);
  const value = (row: Found, key: string): Scalar | undefined => (key === "" ? row.start : row.attributes[key]);
  const rows = [...frame.rows].sort((a, b) => compare(value(a, sort.key), value(b, sort.key)) * (sort.down ? -1 : 1));
  const open = (row: Found) => go(route, { view: "trace", id: row.traceId, chosen: {} });
  return (
    <div class="table-scroll">
      <table class="data">
        <thead>
          <tr>
            {[{ key: "", title: "Time", unit: "" }, ...shown].map(({ key, title, unit }) => (
              <th class={unit === "" ? "left" : ""} aria-sort={sort.key === key ? (sort.down ? "descending" : "ascending") : undefined}>
                <button type="button" onClick={() => setSort({ key, down: sort.key === key ? !sort.down : true })}>
                  {title}
                  {sort.key === key ? (sort.down ? " ↓" : " ↑") : ""}
                </button>
              </th>
            ))}
            <th class="left">Trace</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr class="link-row" data-trace={row.traceId} onClick={() => open(row)}>
              <td class="left">{clock(row.start, { millis: true })}</td>
              {shown.map(({ key, unit }) => {
                const found = row.attributes[key];
                return typeof found === "number" ? (
                  <td data-key={key} data-value={found}>{text(found, unit)}</td>
                ) : (
                  <td class={unit === "" ? "left" : ""}>{found === undefined ? "–" : String(found)}</td>
                );
              })}
              <td class="left">
                <a href={link(route, { view: "trace", id: row.traceId, chosen: {} })} onClick={(event) => event.stopPropagation()}>
                  …{row.traceId.slice(-8)}
                </a>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
