// The keyboard: `[` and `]` step through the views; other keys press the button that carries them.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import { VIEWS, current } from "./nav";
import { type Route, go, zoomBack } from "./route";

const KEYS: [string, string][] = [
  ["[  ]", "previous, next view"],
  ["1 … 9", "a view by its place"],
  ["r", "refresh now"],
  ["z", "zoom out"],
  ["t", "dark or light"],
  ["Tab, Enter", "any control, link, row or point"],
  ["drag", "zoom into the time under the pointer"],
  ["Esc", "back from a zoom; closes what is open"],
  ["?", "these keys"],
];

export function useKeys(route: Route): void {
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key === "Escape") {
        // Whatever is open closes first.
        if (!event.defaultPrevented && document.querySelector(".menu-list, dialog[open]") === null) zoomBack(route);
        return;
      }
      const typing = (event.target as HTMLElement).closest("input, select, textarea, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const here = current(route);
      const next = event.key === "]" ? here + 1 : event.key === "[" ? here - 1 : /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : undefined;
      if (next !== undefined) go(route, { ...VIEWS[(next + VIEWS.length) % VIEWS.length]!.to, query: undefined });
      else document.querySelector<HTMLButtonElement>(`[data-key="${CSS.escape(event.key)}"]`)?.click();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [route]);
}

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
      <h2>Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <>
            <dt><kbd>{key}</kbd></dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <h2>Lines</h2>
      <dl class="keys">
        <dt><svg width="40" height="8"><line x1="0" x2="40" y1="4" y2="4" stroke="var(--blue)" stroke-width="2" /></svg></dt>
        <dd>measured by Candor</dd>
        <dt><svg width="40" height="8"><line x1="0" x2="40" y1="4" y2="4" stroke="var(--red)" stroke-width="2" stroke-dasharray="8 5" /></svg></dt>
        <dd>claimed by an engine of itself</dd>
      </dl>
      <form method="dialog"><button class="button">Close</button></form>
    </dialog>
  );
}
