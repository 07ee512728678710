// Grafana's dashboard JSON, as far as the page renders it.

export interface Target {
  refId: string;
  datasource: { type: string; uid: string };
  expr?: string;
  query?: string;
  legendFormat?: string;
  format?: string;
  exemplar?: boolean;
  limit?: number;
  tableType?: string;
  metricsQueryType?: "range" | "instant";
}

export interface Property {
  id: string;
  value: unknown;
}

export interface Override {
  matcher: { id: string; options: string };
  properties: Property[];
}

export interface Threshold {
  value: number | null;
  color: string;
}

export interface FieldDefaults {
  unit?: string;
  decimals?: number;
  min?: number;
  max?: number;
  thresholds?: { steps: Threshold[] };
  custom?: {
    lineWidth?: number;
    fillOpacity?: number;
    stacking?: { mode: string };
    thresholdsStyle?: { mode: string };
    lineStyle?: { fill: string; dash?: number[] };
  };
}

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: GridPos;
  targets: Target[];
  options: {
    legend?: { calcs?: string[]; showLegend?: boolean };
    reduceOptions?: { calcs: string[] };
    graphMode?: string;
  };
  fieldConfig: { defaults: FieldDefaults; overrides: Override[] };
}

export interface Row {
  id: number;
  type: "row";
  title: string;
  collapsed: boolean;
  gridPos: GridPos;
  panels: Panel[];
}

export interface Variable {
  name: string;
  label: string;
  type: string;
  datasource?: { type: string };
  query: string | { query?: string; label?: string };
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
}

export interface Dashboard {
  uid: string;
  title: string;
  description: string;
  time: { from: string; to: string };
  refresh: string;
  templating: { list: Variable[] };
  panels: (Panel | Row)[];
}

/** A row and what lies under it. */
export interface Section {
  id: number;
  title: string;
  collapsed: boolean;
  panels: Panel[];
}

/** Panels by row: an open row's panels follow it, a closed one's are inside. */
export function sections(dashboard: Dashboard): Section[] {
  const found: Section[] = [];
  for (const item of dashboard.panels) {
    if (item.type === "row") {
      const row = item as Row;
      found.push({ id: row.id, title: row.title, collapsed: row.collapsed, panels: [...row.panels] });
    } else {
      const last = found.at(-1) ?? { id: 0, title: "", collapsed: false, panels: [] };
      if (found.length === 0) found.push(last);
      last.panels.push(item as Panel);
    }
  }
  return found;
}

/** The overrides that hold for a series: by its query, then by its name. */
export function properties(panel: Panel, refId: string, name: string): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    const holds =
      (matcher.id === "byFrameRefID" && matcher.options === refId) || (matcher.id === "byName" && matcher.options === name);
    if (holds) for (const { id, value } of properties) found.set(id, value);
  }
  return found;
}

/** The colour of the highest threshold that a value has reached. */
export function threshold(defaults: FieldDefaults, value: number | null): string | undefined {
  let colour: string | undefined;
  for (const step of defaults.thresholds?.steps ?? []) {
    if (step.value === null || (value !== null && value >= step.value)) colour = step.color;
  }
  return colour;
}
