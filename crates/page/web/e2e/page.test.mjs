// The page in a real browser, over a running demo.

import { after, before } from "node:test";

import { begin, end } from "./support.mjs";

before(begin, { timeout: 300_000 });
after(end);

await import("./boards.mjs");
await import("./traces.mjs");
await import("./states.mjs");
await import("./keyboard.mjs");
await import("./day.mjs");
