// Compiles the contracts of src/ into artefacts/; with --check, says whether the files there are what the sources compile to.
// Must lie beside its packages (package.json): `cargo xtask test` and `compile.sh` place it there.
// usage: node compile.mjs <folder of the contracts> [--check]
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = process.argv[2];
const check = process.argv.includes("--check");
const packages = join(dirname(fileURLToPath(import.meta.url)), "node_modules");

// What is written down of a contract: what a user needs to call it, what makes it, and what then lies at its address.
const contracts = JSON.parse(readFileSync(join(here, "contracts.json"), "utf8"));

const sources = {};
for (const name of readdirSync(join(here, "src")).sort()) {
  sources[`src/${name}`] = { content: readFileSync(join(here, "src", name), "utf8") };
}
// The modules' interfaces have no code, but whoever includes one must be able to.
for (const name of readdirSync(here).filter((name) => name.endsWith(".sol")).sort()) {
  sources[name] = { content: readFileSync(join(here, name), "utf8") };
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    optimizer: { enabled: true, runs: 10000 },
    viaIR: true,
    evmVersion: "prague",
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: {
      "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] },
    },
  },
};
function found(path) {
  const file = path.startsWith("@openzeppelin/") ? join(packages, path) : join(here, path);
  try {
    return { contents: readFileSync(file, "utf8") };
  } catch (error) {
    return { error: `${path}: ${error.message}` };
  }
}
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
// 2394: transient storage, which OpenZeppelin's guard clears as it should.
const bad = (output.errors ?? []).filter((note) => note.severity !== "info" && note.errorCode !== "2394");
if (bad.length > 0) {
  console.error(bad.map((note) => note.formattedMessage).join("\n"));
  process.exit(1);
}

const files = {};
for (const [name, source] of Object.entries(contracts)) {
  const made = output.contracts[`src/${source}`]?.[name];
  if (!made) throw new Error(`src/${source} has no contract ${name}`);
  const { bytecode, deployedBytecode } = made.evm;
  if (Object.keys(deployedBytecode.immutableReferences ?? {}).length > 0) {
    throw new Error(`${name} has immutables: a genesis could not place its code`);
  }
  const size = deployedBytecode.object.length / 2;
  if (size > 24576) throw new Error(`${name} has ${size} bytes of code, 24576 at most`);
  files[`${name}.abi.json`] = `[\n${made.abi.map((entry) => JSON.stringify(entry)).join(",\n")}\n]\n`;
  files[`${name}.init.hex`] = bytecode.object;
  files[`${name}.code.hex`] = deployedBytecode.object;
}

const folder = join(here, "artefacts");
if (check) {
  const stale = Object.keys(files).filter((file) => {
    try {
      return readFileSync(join(folder, file), "utf8") !== files[file];
    } catch {
      return true;
    }
  });
  const foreign = readdirSync(folder).filter((file) => !(file in files));
  if (stale.length + foreign.length > 0) {
    console.error(`not what the sources compile to: ${[...stale, ...foreign].join(", ")}`);
    console.error("hint: contracts/compile.sh writes them anew");
    process.exit(1);
  }
} else {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
}
console.log(`${Object.keys(contracts).length} contracts: ok`);
