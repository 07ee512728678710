// A panel without data says what it waits for, and who should send it.

import { useEffect, useState } from "preact/hooks";

import type { Panel } from "../model/dashboard";
import { metrics, sender, spans } from "../model/sender";
import { known } from "../query/prometheus";
import type { Context } from "../query/frame";

export function Empty({ panel, context }: { panel: Panel; context: Context }) {
  const expr = panel.targets.find((target) => target.expr !== undefined)?.expr;
  if (expr !== undefined) return <EmptyMetric metric={metrics(expr)[0] ?? expr} context={context} />;
  const { name, service } = spans(panel.targets[0]?.query ?? "");
  return (
    <div class="notice" role="status">
      <strong>No spans in this time</strong>
      <span>
        Waits for <code>{name}</code> of <code>{service}</code>, sent over OTLP.
      </span>
    </div>
  );
}

function EmptyMetric({ metric, context }: { metric: string; context: Context }) {
  const [there, setThere] = useState(false);
  useEffect(() => {
    const stop = new AbortController();
    known(metric, context.range, stop.signal).then(setThere, () => undefined);
    return () => stop.abort();
  }, [metric, context.range.to]);
  return (
    <div class="notice" role="status">
      <strong>{there ? "Nothing observed in this time" : "No data yet"}</strong>
      {there ? (
        <span>
          <code>{metric}</code> is reported; with these filters nothing has happened.
        </span>
      ) : (
        <span>
          Waits for <code>{metric}</code> from {sender(metric)}.
        </span>
      )}
    </div>
  );
}
