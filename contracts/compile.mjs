// Compiles the contracts of src/ into artefacts/, and the interfaces beside this file into abi/, as clients read them; with --check, says
// whether the files there are what the sources compile to.
// Must lie beside its packages (package.json): `cargo xtask test` and `compile.sh` place it there.
// usage: node compile.mjs <folder of the contracts> [--check]
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = process.argv[2];
const check = process.argv.includes("--check");
const packages = join(dirname(fileURLToPath(import.meta.url)), "node_modules");

// What is written down of a contract: what a user needs to call it, what makes it, and what then lies at its address.
const contracts = JSON.parse(readFileSync(join(here, "contracts.json"), "utf8"));

// The interfaces have no code, but whoever includes one must be able to.
const interfaces = readdirSync(here).filter((name) => name.endsWith(".sol")).sort();
const sources = {};
for (const name of readdirSync(join(here, "src")).sort()) {
  sources[`src/${name}`] = { content: readFileSync(join(here, "src", name), "utf8") };
}
for (const name of interfaces) {
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

// A line an entry, so that a change shows as one.
const lines = (abi) => `[\n${abi.map((entry) => JSON.stringify(entry)).join(",\n")}\n]\n`;
const artefacts = {};
for (const [name, source] of Object.entries(contracts)) {
  const made = output.contracts[`src/${source}`]?.[name];
  if (!made) throw new Error(`src/${source} has no contract ${name}`);
  const { bytecode, deployedBytecode } = made.evm;
  if (Object.keys(deployedBytecode.immutableReferences ?? {}).length > 0) {
    throw new Error(`${name} has immutables: a genesis could not place its code`);
  }
  const size = deployedBytecode.object.length / 2;
  if (size > 24576) throw new Error(`${name} has ${size} bytes of code, 24576 at most`);
  artefacts[`${name}.abi.json`] = lines(made.abi);
  artefacts[`${name}.init.hex`] = bytecode.object;
  artefacts[`${name}.code.hex`] = deployedBytecode.object;
}
const abis = {};
for (const source of interfaces) {
  for (const [name, { abi }] of Object.entries(output.contracts[source] ?? {})) {
    if (`${name}.json` in abis) throw new Error(`${source} has an interface ${name}, and so has another file`);
    abis[`${name}.json`] = lines(abi);
  }
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
const folders = { artefacts, abi: abis };
const wrong = [];
for (const [name, files] of Object.entries(folders)) {
  const folder = join(here, name);
  if (check) {
    const found = existsSync(folder) ? readdirSync(folder) : [];
    const stale = Object.keys(files).filter((file) => read(join(folder, file)) !== files[file]);
    const foreign = found.filter((file) => !(file in files));
    wrong.push(...[...stale, ...foreign].map((file) => `${name}/${file}`));
  } else {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  }
}
if (wrong.length > 0) {
  console.error(`not what the sources compile to: ${wrong.join(", ")}`);
  console.error("hint: contracts/compile.sh writes them anew");
  process.exit(1);
}
console.log(`${Object.keys(contracts).length} contracts and ${Object.keys(abis).length} interfaces: ok`);
