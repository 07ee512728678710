// The page: navigation above, one view below.

import { useEffect, useState } from "preact/hooks";

import { type Config, config as loadConfig } from "../query/config";
import { AnatomyView } from "../traces/anatomy-view";
import { TraceView } from "../traces/trace-view";
import { TracesView } from "../traces/traces-view";
import { Board } from "./board";
import { Help, useKeys } from "./keys";
import { Nav } from "./nav";
import { useRoute } from "./route";
import { TokenForm } from "./token-form";
import { ThemeContext, useThemeChoice } from "./theme";

export function App() {
  const route = useRoute();
  const [theme, toggle] = useThemeChoice();
  const [help, setHelp] = useState(false);
  const [config, setConfig] = useState<Config>();
  useEffect(() => {
    void loadConfig().then(setConfig);
  }, []);
  useKeys(route);
  return (
    <ThemeContext.Provider value={theme}>
      <Nav route={route} theme={theme} toggle={toggle} help={() => setHelp(true)} />
      <main>
        <TokenForm />
        {config === undefined ? null : route.view === "traces" ? (
          <TracesView route={route} config={config} />
        ) : route.view === "trace" ? (
          <TraceView key={route.id} route={route} />
        ) : route.view === "anatomy" ? (
          <AnatomyView route={route} config={config} />
        ) : (
          <Board key={route.id} route={route} config={config} />
        )}
      </main>
      {help && <Help close={() => setHelp(false)} />}
    </ThemeContext.Provider>
  );
}
