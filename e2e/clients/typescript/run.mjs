// Makes the client's types from the document that the API serves, has the compiler check a program written on them, and
// runs it. Everything that is made lies in a folder of its own: stories run side by side.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import openapiTS, { astToString } from "openapi-typescript";

const here = dirname(fileURLToPath(import.meta.url));
const settingsPath = process.argv[2];
const settings = JSON.parse(readFileSync(settingsPath, "utf8"));
const folder = join(dirname(settingsPath), "typescript");
mkdirSync(folder);
for (const file of ["package.json", "tsconfig.json", "story.ts"]) {
  cpSync(join(here, file), join(folder, file));
}
symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));

const answer = await fetch(`${settings.api}/openapi.json`);
if (!answer.ok) throw new Error(`the document: ${answer.status}`);
writeFileSync(join(folder, "api.ts"), astToString(await openapiTS(await answer.json())));

const tsc = join(here, "node_modules/typescript/bin/tsc");
execFileSync(process.execPath, [tsc, "--project", folder], { cwd: folder, stdio: "inherit" });
execFileSync(process.execPath, [join(folder, "made/story.js"), settingsPath], { cwd: folder, stdio: "inherit" });
