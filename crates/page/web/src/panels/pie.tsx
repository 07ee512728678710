// Parts of a whole, at one moment.

import type { Panel } from "../model/dashboard";
import { reduce } from "../model/reduce";
import { colour } from "../model/theme";
import { text, three } from "../model/units";
import type { Frame } from "../query/frame";
import { useTheme } from "../shell/theme";
import { Swatch } from "./legend";

export function Pie({ panel, frame }: { panel: Panel; frame: Frame }) {
  const theme = useTheme();
  const parts = frame.series
    .map((series) => ({ series, value: reduce(series.values, panel.options.reduceOptions?.calcs[0] ?? "lastNotNull") ?? 0 }))
    .sort((a, b) => b.value - a.value);
  const whole = parts.reduce((sum, { value }) => sum + value, 0);
  let before = 0;
  return (
    <div class="pie">
      <svg viewBox="-50 -50 100 100" role="img" aria-label={panel.title}>
        {whole > 0 &&
          parts.map(({ series, value }) => {
            const from = before / whole;
            before += value;
            return <circle r="36" class="slice" stroke={colour(series.colour, theme)} stroke-dasharray={`${Math.max(0, (value / whole) * 100 - 0.6)} 100`} stroke-dashoffset={-from * 100} pathLength={100} />;
          })}
        <text y="-1" class="pie-text">{text(whole, "none", 0)}</text>
        <text y="11" class="pie-unit">{frame.series[0]?.unit.replace("suffix:", "").trim()}</text>
      </svg>
      <table class="pie-legend">
        <tbody>
          {parts.map(({ series, value }) => (
            <tr>
              <td class="left"><Swatch colour={colour(series.colour, theme)} block /> {series.name}</td>
              <td data-calc="lastNotNull" data-value={value}>{text(value, series.unit, panel.fieldConfig.defaults.decimals)}</td>
              <td class="dim">{whole > 0 ? `${three((value / whole) * 100)} %` : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
