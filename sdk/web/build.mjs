/** `node build.mjs` writes the built files; with --check it only says whether they are current. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const TARGET = new URL("../../app/api/sdk/dist/", import.meta.url);
const MAX_BYTES = 8 * 1024;
const common = { entryPoints: ["src/index.ts"], bundle: true, minify: true, target: "es2019", charset: "utf8", write: false };
const forms = {
  "onefold.js": { ...common, format: "iife", globalName: "onefold" },
  "onefold.mjs": { ...common, format: "esm" },
};
/** Modules whose types can be met from outside, those that need none of the others in front. */
const TYPED = ["values", "options", "user", "index"];

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
  keep(name, built);
}
keep("onefold.d.ts", Buffer.from(types()));
if (stale) {
  console.error("The built files are not current: make sdk");
  process.exit(1);
}

function keep(name, content) {
  const path = new URL(name, TARGET);
  if (!process.argv.includes("--check")) writeFileSync(path, content);
  else if (!content.equals(readFileSync(path))) stale = true;
}

/** The declarations of all modules as one file, for modules and for pages where `onefold` is a global name. */
function types() {
  const folder = mkdtempSync(join(tmpdir(), "onefold-"));
  try {
    const flags = ["--noEmit", "false", "--emitDeclarationOnly", "--stripInternal", "--rootDir", "src", "--outDir", folder];
    execFileSync("npx", ["tsc", ...flags], { stdio: ["ignore", "inherit", "inherit"] });
    const parts = TYPED.map((module) => {
      const text = readFileSync(join(folder, `${module}.d.ts`), "utf8").replace(/^import .*\n/gm, "");
      const isEntry = module === "index";
      return isEntry ? text.replace(/(^export type \{.*\}) from .*/gm, "$1;") : text.replace(/^export (?!\{)/gm, "");
    });
    return ["export as namespace onefold;\n", ...parts].join("\n").replace(/^export \{\};\n/gm, "");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
