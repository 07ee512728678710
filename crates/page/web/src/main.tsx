import { render } from "preact";

import { App } from "./shell/app";
import "uplot/dist/uPlot.min.css";
import "./style.css";

render(<App />, document.getElementById("app")!);
