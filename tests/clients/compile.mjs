// Compiles Meter.sol into Meter.json; with --check, says whether the file is what the source compiles to.
import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const here = process.argv[2];
const source = readFileSync(`${here}/Meter.sol`, "utf8");
const input = {
  language: "Solidity",
  sources: { "Meter.sol": { content: source } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "osaka",
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
const { abi, evm } = output.contracts["Meter.sol"].Meter;
const made = JSON.stringify({ abi, bytecode: `0x${evm.bytecode.object}` }, null, 1) + "\n";
if (process.argv.includes("--check")) {
  if (readFileSync(`${here}/Meter.json`, "utf8") !== made) throw new Error("Meter.json is not what Meter.sol compiles to");
} else {
  writeFileSync(`${here}/Meter.json`, made);
}
