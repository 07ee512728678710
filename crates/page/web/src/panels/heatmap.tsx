// A distribution over time: the darker, the more.

import { useMemo, useState } from "preact/hooks";

import type { Panel } from "../model/dashboard";
import { clock } from "../model/time";
import { text, three } from "../model/units";
import type { Frame } from "../query/frame";
import { type Bucket, buckets } from "./buckets";

export function Heatmap({ panel, frame }: { panel: Panel; frame: Frame }) {
  const rows = useMemo(() => buckets(frame.series), [frame]);
  const [over, setOver] = useState<{ row: number; column: number }>();
  const unit = panel.fieldConfig.defaults.unit ?? "";
  const most = Math.max(1e-9, ...rows.flatMap(({ counts }) => counts.map((count) => count ?? 0)));
  if (rows.length === 0) return <div class="notice" role="status"><strong>Nothing observed in this time</strong><span>The buckets are reported, and none has grown.</span></div>;
  const columns = frame.times.length;
  const labels = [0, Math.floor((columns - 1) / 2), columns - 1].filter((at, index, all) => all.indexOf(at) === index);
  return (
    <div class="heatmap">
      <div class="heatmap-y">
        {[...rows].reverse().map(({ high }) => <span>{high === Infinity ? "∞" : `≤ ${text(high, unit)}`}</span>)}
      </div>
      <svg
        class="heatmap-cells"
        viewBox={`0 0 ${columns} ${rows.length}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={panel.title}
        onMouseLeave={() => setOver(undefined)}
        onMouseMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const column = Math.min(columns - 1, Math.floor(((event.clientX - box.left) / box.width) * columns));
          const row = rows.length - 1 - Math.min(rows.length - 1, Math.floor(((event.clientY - box.top) / box.height) * rows.length));
          setOver({ row, column });
        }}
      >
        {rows.flatMap(({ counts }, row) =>
          counts.map((count, column) =>
            count !== null && count > 1e-9 ? (
              <rect x={column + 0.04} y={rows.length - 1 - row + 0.04} width={0.92} height={0.92} opacity={0.15 + 0.85 * Math.sqrt(count / most)} />
            ) : null,
          ),
        )}
      </svg>
      <div class="heatmap-x">{labels.map((at) => <span>{clock(frame.times[at]!)}</span>)}</div>
      <div class="heatmap-scale dim">
        <span>fewer</span>
        <i />
        <span>up to {three(most)} per {Math.round(frame.step)} s</span>
        <span class="spring" />
        <span>{over && describe(rows[over.row]!, over.column, frame, unit)}</span>
      </div>
    </div>
  );
}

function describe({ low, high, counts }: Bucket, column: number, frame: Frame, unit: string): string {
  const bounds = high === Infinity ? `over ${text(low, unit)}` : `${text(low, unit)} to ${text(high, unit)}`;
  return `${clock(frame.times[column]!)} · ${bounds}: ${three(counts[column] ?? 0)}`;
}
