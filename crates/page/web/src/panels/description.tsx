// What a panel shows, what is normal, what to do: dashboards say it with `**` for what is strong.

import { useState } from "preact/hooks";

export function Description({ text }: { text: string }) {
  const [open, setOpen] = useState(false);
  return (
    <div class="description" onMouseLeave={() => setOpen(false)}>
      <button
        type="button"
        class="info"
        aria-label="What this panel shows"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        onMouseEnter={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || !open) return;
          event.preventDefault();
          setOpen(false);
        }}
      >
        i
      </button>
      {open && (
        <div class="description-text" role="tooltip">
          {text.split("\n\n").map((paragraph) => (
            <p>{strong(paragraph)}</p>
          ))}
        </div>
      )}
    </div>
  );
}

function strong(text: string) {
  return text.split("**").map((part, index) => (index % 2 === 1 ? <strong>{part}</strong> : part));
}
