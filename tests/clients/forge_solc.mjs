#!/usr/bin/env node
// The compiler of npm as forge calls one: its version, or standard JSON in and out.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
const solc = createRequire(join(process.env.SOLC_PACKAGES, "x.js"))("solc");
if (process.argv.includes("--version")) console.log(`solc, the solidity compiler\nVersion: ${solc.version()}`);
else process.stdout.write(solc.compile(readFileSync(0, "utf8")));
