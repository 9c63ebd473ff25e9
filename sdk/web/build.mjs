/** `node build.mjs` writes the built files; with --check it only says whether they are current. */
import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const TARGET = new URL("../../app/api/sdk/dist/", import.meta.url);
const MAX_BYTES = 8 * 1024;
const common = { entryPoints: ["src/index.ts"], bundle: true, minify: true, target: "es2019", charset: "utf8", write: false };
const forms = {
  "onefold.js": { ...common, format: "iife", globalName: "onefold" },
  "onefold.mjs": { ...common, format: "esm" },
};

let stale = false;
mkdirSync(TARGET, { recursive: true });
for (const [name, options] of Object.entries(forms)) {
  const built = Buffer.from((await build(options)).outputFiles[0].contents);
  const zipped = gzipSync(built, { level: 9 }).length;
  const integrity = "sha384-" + createHash("sha384").update(built).digest("base64");
  console.log(`${name}: ${built.length} bytes, ${zipped} gzipped of at most ${MAX_BYTES}, ${integrity}`);
  if (zipped > MAX_BYTES) {
    console.error(`${name} is too large`);
    process.exit(1);
  }
  const path = new URL(name, TARGET);
  if (!process.argv.includes("--check")) writeFileSync(path, built);
  else if (!built.equals(readFileSync(path))) stale = true;
}
if (stale) {
  console.error("The built files are not current: npm run build");
  process.exit(1);
}
