// When to ask, and for which time.

import { useEffect, useState } from "preact/hooks";

import { type Range, range as rangeOf, seconds } from "../model/time";

/** The range of two texts; it moves with the clock every `refresh`, while the page is looked at. */
export function useRange(from: string, to: string, refresh: string): { range: Range; again: () => void } {
  const [now, setNow] = useState(() => Date.now() / 1000);
  const again = () => setNow(Date.now() / 1000);
  useEffect(() => {
    const every = seconds(refresh);
    if (every === undefined) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, every * 1000);
    return () => clearInterval(timer);
  }, [refresh]);
  useEffect(again, [from, to]);
  return { range: rangeOf(from, to, now), again };
}

/** The smallest range on offer that holds everything there is: a store of five minutes is not shown as an empty hour. */
export function fitting(since: number | undefined, standard: string, now: number): string {
  const wanted = seconds(standard.replace(/^now-/, ""));
  if (since === undefined || wanted === undefined) return standard;
  const age = now - since;
  const fits = ["5m", "15m", "30m"].find((range) => seconds(range)! >= age && seconds(range)! < wanted);
  return fits === undefined ? standard : `now-${fits}`;
}
