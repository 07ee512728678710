// A button with a list under it, for the keyboard as well.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

export function Menu({ label, title, children }: { label: ComponentChildren; title: string; children: (close: () => void) => ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  // Before the list is on the screen: whoever sees it may press a key at once.
  useLayoutEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key === "Escape") {
        setOpen(false);
        root.current?.querySelector("button")?.focus();
      }
    };
    addEventListener("pointerdown", outside);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("keydown", escape);
    };
  }, [open]);
  return (
    <div class="menu" ref={root}>
      <button type="button" class="button" title={title} aria-expanded={open} onClick={() => setOpen(!open)}>
        {label}
        <span class="caret" aria-hidden="true">▾</span>
      </button>
      {open && <div class="menu-list">{children(() => setOpen(false))}</div>}
    </div>
  );
}
