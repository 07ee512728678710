// Recent requests, for lists to choose from.

import type { Range } from "../model/time";
import { type Found, search } from "../query/tempo";

/** What is asked first, and what where there is no gateway. */
export const GATEWAY_REQUESTS =
  '{name="gateway.request"} | select(span.candor.gateway.ttft_ms, span.candor.gateway.e2e_ms, span.candor.gateway.outcome, span.gen_ai.request.model)';
export const COORDINATOR_REQUESTS =
  '{name="llm_d.pd_proxy.decode"} | select(span.llm_d.pd_proxy.true_ttft_ms, span.llm_d.pd_proxy.total_duration_ms, span.llm_d.pd_proxy.outcome, span.gen_ai.request.model)';

/** One request. */
export interface Summary {
  traceId: string;
  start: number;
  ttft: number | undefined;
  total: number | undefined;
  outcome: string;
  model: string;
}

function summary({ traceId, start, attributes, durationMs }: Found): Summary {
  const number = (...keys: string[]) => keys.map((key) => attributes[key]).find((value): value is number => typeof value === "number");
  return {
    traceId,
    start,
    ttft: number("candor.gateway.ttft_ms", "llm_d.pd_proxy.true_ttft_ms"),
    total: number("candor.gateway.e2e_ms", "llm_d.pd_proxy.total_duration_ms") ?? durationMs,
    outcome: String(attributes["candor.gateway.outcome"] ?? attributes["llm_d.pd_proxy.outcome"] ?? ""),
    model: String(attributes["gen_ai.request.model"] ?? ""),
  };
}

/** The latest requests, newest first. */
export async function recent(range: Range, limit: number, signal: AbortSignal): Promise<Summary[]> {
  const found = await search(GATEWAY_REQUESTS, range, limit, signal);
  const rows = found.length > 0 ? found : await search(COORDINATOR_REQUESTS, range, limit, signal);
  return rows.map(summary);
}
