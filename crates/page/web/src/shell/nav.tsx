// Every view in one click.

import type { Theme } from "../model/theme";
import { type Route, link } from "./route";

export const VIEWS: { title: string; to: Pick<Route, "view" | "id"> }[] = [
  { title: "Overview", to: { view: "d", id: "candor-overview" } },
  { title: "P/D Coordinator", to: { view: "d", id: "pd-coordinator-metrics" } },
  { title: "Requests", to: { view: "d", id: "llumnix-request-dashboard" } },
  { title: "Components", to: { view: "d", id: "llumnix-component-dashboard" } },
  { title: "CMS", to: { view: "d", id: "llumnix-cms-dashboard" } },
  { title: "LRS", to: { view: "d", id: "llumnix-lrs-dashboard" } },
  { title: "vLLM", to: { view: "d", id: "vllm-dashboard" } },
  { title: "Traces", to: { view: "traces", id: "" } },
  { title: "Request anatomy", to: { view: "anatomy", id: "" } },
];

/** The view that is shown: a trace belongs to the traces. */
export function current(route: Route): number {
  const view = route.view === "trace" ? "traces" : route.view;
  return VIEWS.findIndex(({ to }) => to.view === view && (view !== "d" || to.id === route.id));
}

export function Nav({ route, theme, toggle, help }: { route: Route; theme: Theme; toggle: () => void; help: () => void }) {
  const here = current(route);
  return (
    <header class="nav">
      <a class="brand" href={link(route, VIEWS[0]!.to)} title="Candor">
        <img src="./icon.svg" width="24" height="24" alt="" />
        <span>Candor</span>
      </a>
      <nav aria-label="Views">
        {VIEWS.map(({ title, to }, index) => (
          <a href={link(route, { ...to, chosen: to.view === "d" ? route.chosen : {} })} aria-current={index === here ? "page" : undefined}>{title}</a>
        ))}
      </nav>
      <div class="nav-end">
        <button type="button" class="button plain" title={`To ${theme === "dark" ? "light" : "dark"} (t)`} data-key="t" onClick={toggle}>
          {theme === "dark" ? "Light" : "Dark"}
        </button>
        <button type="button" class="button plain" title="Keys (?)" data-key="?" onClick={help}>Keys</button>
      </div>
    </header>
  );
}
