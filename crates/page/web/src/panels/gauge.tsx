// One number on its scale.

import { type Panel, threshold } from "../model/dashboard";
import { HUE, colour } from "../model/theme";
import { show, text } from "../model/units";
import type { Frame } from "../query/frame";
import { useTheme } from "../shell/theme";
import { reduced } from "./stat";

/** The arc: 240 degrees, open below. */
const START = -210;
const SWEEP = 240;

function point(share: number, radius: number): string {
  const angle = ((START + SWEEP * share) * Math.PI) / 180;
  return `${100 + radius * Math.cos(angle)},${96 + radius * Math.sin(angle)}`;
}

function arc(from: number, to: number, radius: number): string {
  return `M${point(from, radius)}A${radius},${radius} 0 ${(to - from) * SWEEP > 180 ? 1 : 0} 1 ${point(to, radius)}`;
}

export function Gauge({ panel, frame }: { panel: Panel; frame: Frame }) {
  const theme = useTheme();
  const value = reduced(panel, frame);
  const { unit, min = 0, max = 100, thresholds, decimals } = panel.fieldConfig.defaults;
  const share = (at: number) => Math.max(0, Math.min(1, (at - min) / (max - min)));
  const steps = thresholds?.steps ?? [];
  const hue = colour(threshold(panel.fieldConfig.defaults, value) ?? HUE.blue, theme);
  const shown = show(value, unit, decimals);
  return (
    <div class="gauge" data-value={value ?? ""}>
      <svg viewBox="0 0 200 160" role="img" aria-label={`${panel.title}: ${text(value, unit)}`}>
        <path d={arc(0, 1, 76)} class="gauge-track" />
        {value !== null && share(value) > 0 && <path d={arc(0, share(value), 76)} stroke={hue} class="gauge-value" />}
        {steps.map((step, index) => {
          const from = share(step.value ?? min);
          const to = share(steps[index + 1]?.value ?? max);
          return to > from ? <path d={arc(from, to, 90)} stroke={colour(step.color, theme)} class="gauge-steps" /> : null;
        })}
        <text x="100" y="104" class="gauge-text" style={{ fill: hue }}>{shown.text}</text>
        <text x="100" y="126" class="gauge-unit">{shown.unit}</text>
        <text x="36" y="154" class="gauge-end">{text(min, unit)}</text>
        <text x="164" y="154" class="gauge-end">{text(max, unit)}</text>
      </svg>
    </div>
  );
}
