// The observatory's token, where it asks for one. It is kept for this tab only.

const KEY = "candor-token";
const REFUSED = "candor-token-refused";

export const token = (): string | null => sessionStorage.getItem(KEY);

export function setToken(text: string): void {
  sessionStorage.setItem(KEY, text);
}

/** Tells whoever can ask for one that a token is needed. */
export function refused(): void {
  dispatchEvent(new Event(REFUSED));
}

export function onRefused(listen: () => void): () => void {
  addEventListener(REFUSED, listen);
  return () => removeEventListener(REFUSED, listen);
}
