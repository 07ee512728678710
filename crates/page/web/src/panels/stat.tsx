// One number, and its history behind it.

import { type Panel, threshold } from "../model/dashboard";
import { reduce } from "../model/reduce";
import { HUE, colour } from "../model/theme";
import { show } from "../model/units";
import type { Frame } from "../query/frame";
import { useTheme } from "../shell/theme";

/** What a stat and a gauge reduce to. */
export function reduced(panel: Panel, frame: Frame): number | null {
  return reduce(frame.series[0]?.values ?? [], panel.options.reduceOptions?.calcs[0] ?? "lastNotNull");
}

export function Stat({ panel, frame }: { panel: Panel; frame: Frame }) {
  const theme = useTheme();
  const value = reduced(panel, frame);
  const { unit, decimals } = panel.fieldConfig.defaults;
  const shown = show(value, unit, decimals);
  const hue = colour(threshold(panel.fieldConfig.defaults, value) ?? HUE.blue, theme);
  return (
    <div class="stat">
      <p class="stat-value" style={{ color: hue }} data-value={value ?? ""}>
        {shown.text}
        <span class="stat-unit">{shown.unit}</span>
      </p>
      {panel.options.graphMode === "area" && <Sparkline values={frame.series[0]?.values ?? []} colour={hue} />}
    </div>
  );
}

function Sparkline({ values, colour }: { values: (number | null)[]; colour: string }) {
  const there = values.filter((value): value is number => value !== null);
  if (there.length < 2) return null;
  const [low, high] = [Math.min(0, ...there), Math.max(...there)];
  const x = (index: number) => (index / (values.length - 1)) * 100;
  const y = (value: number) => 30 - ((value - low) / (high - low || 1)) * 28;
  let path = "";
  let area = "";
  let start: number | undefined;
  values.forEach((value, index) => {
    if (value === null) {
      if (start !== undefined) area += `L${x(index - 1)},32Z`;
      start = undefined;
      return;
    }
    path += `${start === undefined ? "M" : "L"}${x(index)},${y(value)}`;
    area += start === undefined ? `M${x(index)},32L${x(index)},${y(value)}` : `L${x(index)},${y(value)}`;
    start ??= index;
  });
  if (start !== undefined) area += `L100,32Z`;
  return (
    <svg class="sparkline" viewBox="0 0 100 32" preserveAspectRatio="none" aria-hidden="true">
      <path d={area} fill={colour} opacity="0.12" />
      <path d={path} fill="none" stroke={colour} stroke-width="1.5" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
