// Dark and light: the machine's choice, until the reader makes one.

import { createContext } from "preact";
import { useContext, useLayoutEffect, useState } from "preact/hooks";

import type { Theme } from "../model/theme";

const KEY = "candor-theme";

export const ThemeContext = createContext<Theme>("light");
export const useTheme = () => useContext(ThemeContext);

function initial(): Theme {
  const kept = localStorage.getItem(KEY);
  if (kept === "dark" || kept === "light") return kept;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** The theme, and how to change it. */
export function useThemeChoice(): [Theme, () => void] {
  const [theme, setTheme] = useState(initial);
  // Before any chart is drawn: it asks the style sheet for its colours.
  useLayoutEffect(() => {
    document.documentElement.dataset["theme"] = theme;
  }, [theme]);
  const toggle = () => {
    const next = theme === "dark" ? "light" : "dark";
    localStorage.setItem(KEY, next);
    setTheme(next);
  };
  return [theme, toggle];
}
