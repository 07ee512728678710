// Names, calculations, and which series are drawn.

import { calculationName, reduce } from "../model/reduce";
import { colour } from "../model/theme";
import { text } from "../model/units";
import type { Series } from "../query/frame";
import { useTheme } from "../shell/theme";

interface Props {
  series: Series[];
  calculations: string[];
  decimals?: number | undefined;
  hidden: Set<string>;
  toggle: (name: string, alone: boolean) => void;
}

/** A longer legend begins with those that have something to say. */
const SHORT = 6;

/** Series that never left zero come last, where there are many: else what happens drowns in what does not. */
export function sunk(series: Series[]): Series[] {
  if (series.length <= SHORT) return series;
  const idle = ({ values }: Series) => values.every((value) => value === null || value === 0);
  return [...series.filter((item) => !idle(item)), ...series.filter(idle)];
}

export function Legend({ series, calculations, decimals, hidden, toggle }: Props) {
  const theme = useTheme();
  return (
    <div class="legend" tabIndex={-1}>
      <table>
        <thead>
          <tr>
            <th class="left"><span class="visually-hidden">Series</span></th>
            {calculations.map((calculation) => <th>{calculationName(calculation)}</th>)}
          </tr>
        </thead>
        <tbody>
          {sunk(series).map((item) => (
            <tr class={hidden.has(item.name) ? "off" : ""}>
              <td class="left">
                <button
                  type="button"
                  class="legend-name"
                  title={`${item.name}: click to show it alone, Ctrl-click to hide it`}
                  aria-pressed={!hidden.has(item.name)}
                  onClick={(event) => toggle(item.name, !(event.ctrlKey || event.metaKey))}
                >
                  <Swatch colour={colour(item.colour, theme)} dash={item.dash} width={item.width} block={item.fill > 0.4} />
                  <span>{item.name}</span>
                </button>
              </td>
              {calculations.map((calculation) => {
                const value = reduce(item.values, calculation);
                return <td data-calc={calculation} data-value={value ?? ""}>{text(value, item.unit, decimals)}</td>;
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The line as it is drawn, not its colour alone. */
export function Swatch({ colour, dash, width = 2, block }: { colour: string; dash?: number[] | undefined; width?: number; block?: boolean }) {
  return (
    <svg class="swatch" width="16" height="8" aria-hidden="true">
      {block ? <rect width="16" height="8" fill={colour} /> : <line x1="0" x2="16" y1="4" y2="4" stroke={colour} stroke-width={width} stroke-dasharray={dash?.join(" ") ?? ""} />}
    </svg>
  );
}
