// What the observatory says of itself, and the dashboards that it serves.

import type { Dashboard } from "../model/dashboard";
import { get } from "./http";

export interface Config {
  /** Seconds between scrapes. */
  scrape: number;
  /** Unix seconds since which it takes data in; absent where the stores are somebody else's. */
  since?: number;
  version: string;
  /** Whose APIs are asked. */
  prometheus: string;
  tempo: string;
}

const FALLBACK: Config = { scrape: 15, version: "", prometheus: "this observatory", tempo: "this observatory" };

/** The observatory's settings; those of a stock Prometheus where nobody tells. */
export async function config(): Promise<Config> {
  try {
    return { ...FALLBACK, ...(await get<Partial<Config>>("/page/config.json", {})) };
  } catch {
    return FALLBACK;
  }
}

/** A dashboard, as its file is. */
export function dashboard(uid: string, signal?: AbortSignal): Promise<Dashboard> {
  return get<Dashboard>(`/dashboards/${uid}.json`, {}, signal);
}
