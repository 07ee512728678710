// Who should send what a panel waits for.

const SENDERS: [RegExp, string][] = [
  [/^(request_(full_mode|query_prefix|calc_prefix|prefix_cache|max_prefix)|scheduler_|instance_(cms|lrs|status|schedulable|kv)|selected_instance_)/, "candor scheduler (/metrics, port 8088)"],
  [/^(request_|gateway_|mirror_|upstream_|client_|stream_|slow_client)/, "candor gateway (/metrics, port 8089)"],
  [/^(pd_proxy_|llm_d_)/, "candor sidecar (/metrics, port 9464)"],
  [/^observatory_/, "candor observatory (/metrics)"],
  [/^vllm:/, "vLLM instances (/metrics, port 8000)"],
  [/^sglang:/, "SGLang instances (/metrics)"],
  [/^(uptime_|process_|tokio_|go_|telemetry_|build_info)/, "every Candor process (/metrics)"],
];

/** Who exposes a metric. */
export function sender(metric: string): string {
  return SENDERS.find(([pattern]) => pattern.test(metric))?.[1] ?? "a scraped process";
}

/** The metrics that a PromQL expression selects. */
export function metrics(expr: string): string[] {
  const found = new Set<string>();
  for (const match of expr.matchAll(/([a-zA-Z_:][\w:]*)\{/g)) found.add(match[1]!.replace(/_(bucket|sum|count)$/, ""));
  return [...found];
}

/** The spans that a TraceQL query selects: their name and their service. */
export function spans(query: string): { name: string; service: string } {
  const name = /(?<![.\w])name\s*=~?\s*"([^"]+)"/.exec(query)?.[1] ?? "any";
  const service = /resource\.service\.name\s*=~?\s*"([^"]+)"/.exec(query)?.[1] ?? "any service";
  return { name, service };
}
