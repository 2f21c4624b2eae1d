#!/bin/sh
# Compiles the contracts into artefacts/ and the interfaces into abi/, with the compiler that package-lock.json pins, installed under the build folder.
# usage: contracts/compile.sh [--check]
set -e
here=$(cd "$(dirname "$0")" && pwd)
packages=$here/../target/contracts-npm
mkdir -p "$packages"
if ! cmp -s "$here/package-lock.json" "$packages/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$packages"
    (cd "$packages" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$here/package-lock.json" "$packages/installed.json"
fi
cp "$here/compile.mjs" "$packages/compile.mjs"
node "$packages/compile.mjs" "$here" "$@"
