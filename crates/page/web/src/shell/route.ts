// The address: which view, and with what time and variables. All of it is in the fragment, so a link says everything.

import { useEffect, useState } from "preact/hooks";

import type { Chosen } from "../model/variables";

export interface Route {
  /** `d`, `traces`, `trace` or `anatomy`. */
  view: string;
  /** The dashboard's uid, or a trace's id. */
  id: string;
  from?: string | undefined;
  to?: string | undefined;
  refresh?: string | undefined;
  chosen: Chosen;
  /** A search for traces. */
  query?: string | undefined;
}

export const HOME: Route = { view: "d", id: "candor-overview", chosen: {} };

/** Reads `#/view/id?…`. */
export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view = "", id = ""] = path.split("/").map(decodeURIComponent);
  if (view === "") return HOME;
  const parameters = new URLSearchParams(search);
  const chosen: Chosen = {};
  for (const [name, value] of parameters) if (name.startsWith("var-")) (chosen[name.slice(4)] ??= []).push(value);
  const get = (name: string) => parameters.get(name) ?? undefined;
  return { view, id, from: get("from"), to: get("to"), refresh: get("refresh"), query: get("q"), chosen };
}

/** Writes what [`parse`] reads. */
export function format(route: Route): string {
  const parameters = new URLSearchParams();
  const { from, to, refresh, query } = route;
  for (const [name, value] of Object.entries({ from, to, refresh, q: query })) if (value !== undefined) parameters.set(name, value);
  for (const [name, values] of Object.entries(route.chosen)) values.forEach((value) => parameters.append(`var-${name}`, value));
  const search = parameters.toString();
  return `#/${route.view}${route.id === "" ? "" : `/${encodeURIComponent(route.id)}`}${search === "" ? "" : `?${search}`}`;
}

/** Another view, at the same time and with the same variables. */
export function link(route: Route, to: Partial<Route>): string {
  return format({ ...route, query: undefined, ...to });
}

export function go(route: Route, to: Partial<Route>): void {
  location.hash = format({ ...route, ...to });
}

/** Times that were zoomed away from, the latest last. */
const before: Pick<Route, "from" | "to">[] = [];

/** Looks closer, in seconds of Unix time. */
export function zoomTo(route: Route, from: number, to: number): void {
  before.push({ from: route.from, to: route.to });
  go(route, { from: String(Math.round(from * 1000)), to: String(Math.round(to * 1000)) });
}

/** Back to what was looked at before the last zoom. */
export function zoomBack(route: Route): void {
  const last = before.pop();
  if (last) go(route, last);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
