#!/bin/sh
# Builds tract and rten outside of the workspace and runs the standard's node cases in both.
#
#     models/onnx/peers/peers.sh CASES      # as models/onnx/cases.py wrote them; writes target/peers/{tract,rten}.txt
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
cases=$(cd "$1" && pwd)
mkdir -p "$root/target/peers/src"
cat > "$root/target/peers/Cargo.toml" <<END
[package]
name = "peers"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
graph = { path = "$root/crates/graph" }
rten = { version = "0.27", features = ["all-ops"] }
rten-tensor = "0.27"
tract-onnx = "0.23"
[profile.dev]
opt-level = 0
debug = false
[profile.dev.package."*"]
opt-level = 1
END
cp "$root/models/onnx/peers/main.rs" "$root/target/peers/src/main.rs"
cd "$root/target/peers"
cargo build
for peer in tract rten; do
    target/debug/peers "$peer" "$cases" > "$peer.txt" 2> /dev/null || true
    echo "$peer: $(grep -c '^pass ' "$peer.txt") of $(grep -c . "$peer.txt")"
done
