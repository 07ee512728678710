// Spans as a tree, in the order in which a waterfall shows them.

import { HUE } from "../model/theme";
import type { Span } from "../query/tempo";

export interface Node {
  span: Span;
  depth: number;
  children: number;
}

/** Depth first; children in the order of their start. A span whose parent is missing stands at the top. */
export function tree(spans: Span[]): Node[] {
  const known = new Set(spans.map(({ id }) => id));
  const below = new Map<string, Span[]>();
  const top: Span[] = [];
  for (const span of spans) {
    if (span.parent !== "" && known.has(span.parent) && span.parent !== span.id) (below.get(span.parent) ?? below.set(span.parent, []).get(span.parent)!).push(span);
    else top.push(span);
  }
  const found: Node[] = [];
  const seen = new Set<string>();
  const visit = (span: Span, depth: number) => {
    if (seen.has(span.id)) return;
    seen.add(span.id);
    const children = below.get(span.id) ?? [];
    found.push({ span, depth, children: children.length });
    children.forEach((child) => visit(child, depth + 1));
  };
  top.forEach((span) => visit(span, 0));
  return found;
}

/** The stage's colour: by what the span does, else by who did it. */
export function spanColour({ name, service }: Span): string {
  if (name === "llm_request") return HUE.red;
  if (name.endsWith(".prefill") || service.includes("prefill")) return HUE.orange;
  if (name.endsWith(".decode")) return HUE.green;
  if (name === "gateway.queue") return HUE.grey;
  if (name === "gateway.schedule") return HUE.teal;
  if (name === "gateway.dispatch") return HUE.sky;
  if (name.startsWith("schedul") || service.includes("scheduler")) return HUE.teal;
  if (name.startsWith("gateway") || service.includes("gateway")) return HUE.blue;
  return HUE.sky;
}
