#!/bin/sh
# forge, unmodified: compiles, deploys one contract, broadcasts a script of three transactions, tests against a fork.
# Arguments: forge, URL, key, folder of the sources, folder of the packages (with solc), an empty folder to work in.
set -eu
forge=$1 url=$2 key=$3 sources=$4 packages=$5 project=$6
export SOLC_PACKAGES="$packages" FOUNDRY_SOLC="$sources/forge_solc.mjs"

fail() {
  echo "forge: $1" >&2
  exit 1
}
mkdir "$project/src" "$project/script" "$project/test"
cp "$sources/Meter.sol" "$project/src"
cp "$sources/Move.s.sol" "$project/script"
cp "$sources/Fork.t.sol" "$project/test"
printf '[profile.default]\noffline = true\nevm_version = "osaka"\n' > "$project/foundry.toml"
cd "$project"

"$forge" create src/Meter.sol:Meter --rpc-url "$url" --private-key "$key" --broadcast --constructor-args 5 > create.txt 2>&1 || fail "create: $(cat create.txt)"
METER=$(sed -n 's/^Deployed to: //p' create.txt)
[ -n "$METER" ] || fail "create names no address: $(cat create.txt)"
"$forge" script script/Move.s.sol --rpc-url "$url" --private-key "$key" --broadcast --slow > script.txt 2>&1 || fail "script: $(cat script.txt)"
grep -q "ONCHAIN EXECUTION COMPLETE & SUCCESSFUL" script.txt || fail "script did not end on the chain: $(cat script.txt)"
export METER
"$forge" test --fork-url "$url" > test.txt 2>&1 || fail "fork: $(cat test.txt)"
grep -q "1 passed; 0 failed" test.txt || fail "fork ran no test: $(cat test.txt)"
echo "forge: ok"
