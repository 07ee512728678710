// Asks a panel's queries again whenever what they depend on changes, and keeps the last good answer.

import { useEffect, useState } from "preact/hooks";

import type { Panel } from "../model/dashboard";
import { type Context, type Frame, run } from "../query/frame";

export interface Result {
  frame?: Frame;
  /** Why the last question has no answer. */
  error?: string;
  /** When the frame was true: Unix seconds. */
  at?: number;
  loading: boolean;
}

export function useFrame(panel: Panel, context: Context, width: number, seen: boolean): Result {
  const [result, setResult] = useState<Result>({ loading: true });
  const { range, chosen, scrape } = context;
  // A few pixels more do not need other data.
  const columns = Math.ceil(width / 100) * 100;
  useEffect(() => {
    if (!seen || columns === 0) return undefined;
    const stop = new AbortController();
    setResult((last) => ({ ...last, loading: true }));
    run(panel, context, columns, stop.signal).then(
      (frame) => setResult({ frame, at: range.to, loading: false }),
      (error: Error) => {
        if (!stop.signal.aborted) setResult((last) => ({ ...last, error: error.message, loading: false }));
      },
    );
    return () => stop.abort();
  }, [panel, range.from, range.to, JSON.stringify(chosen), scrape, columns, seen]);
  return result;
}
