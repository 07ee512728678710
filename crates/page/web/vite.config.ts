/// <reference types="vitest/config" />
import { defineConfig } from "vite";

// While developing, the APIs of a running observatory: OBSERVATORY=http://127.0.0.1:3100 npm run dev
const observatory = process.env["OBSERVATORY"] ?? "http://127.0.0.1:3100";

export default defineConfig({
  base: "./",
  build: { target: "es2022", outDir: process.env["PAGE_OUT"] ?? "dist", emptyOutDir: true, assetsInlineLimit: 0 },
  server: { proxy: { "/api": observatory, "/page": observatory, "/dashboards": observatory } },
  test: { include: ["test/**/*.test.ts"] },
});
