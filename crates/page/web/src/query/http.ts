// Asking an API of this machine, with errors that a person can act on.

import { refused, token } from "./token";

/** An answer that is not one. */
export class QueryError extends Error {}

/** Parameters of a request; an array repeats its name. */
export type Parameters = Record<string, string | number | string[] | undefined>;

const SIMULTANEOUS = 6;
let running = 0;
const waiting: (() => void)[] = [];

/** At most six at once, in the order of asking: what is seen first is asked first. */
async function turn(): Promise<void> {
  if (running >= SIMULTANEOUS) await new Promise<void>((go) => waiting.push(go));
  running += 1;
}

function done(): void {
  running -= 1;
  waiting.shift()?.();
}

/** The JSON that `path` answers with. */
export async function get<T>(path: string, parameters: Parameters, signal?: AbortSignal): Promise<T> {
  await turn();
  try {
    signal?.throwIfAborted();
    const shown = token();
    const headers = { accept: "application/json", ...(shown === null ? {} : { authorization: `Bearer ${shown}` }) };
    const response = await fetch(`${path}?${query(parameters)}`, { signal: signal ?? null, headers });
    const body = await response.text();
    if (response.status === 401) refused();
    if (!response.ok) throw new QueryError(reason(body) || `${path} answered ${response.status}`);
    return JSON.parse(body) as T;
  } catch (error) {
    if (error instanceof TypeError) throw new QueryError("the observatory does not answer; is it still running?");
    if (error instanceof SyntaxError) throw new QueryError(`${path} answered something that is not JSON`);
    throw error;
  } finally {
    done();
  }
}

function query(parameters: Parameters): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) value.forEach((item) => search.append(name, item));
    else if (value !== undefined) search.set(name, String(value));
  }
  return search.toString();
}

/** What an error body says: Prometheus' `error`, or Tempo's plain text. */
function reason(body: string): string {
  try {
    const parsed = JSON.parse(body) as { error?: string; message?: string };
    return parsed.error ?? parsed.message ?? "";
  } catch {
    return body.trim().slice(0, 300);
  }
}
