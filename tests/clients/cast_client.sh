#!/bin/sh
# cast, unmodified: deploy, call, estimate, send, logs, receipt, re-execution, errors, fees.
# Arguments: cast, URL, key, folder of Meter.json, id of the chain.
set -eu
cast=$1 url=$2 key=$3 folder=$4 chain=$5
export ETH_RPC_URL="$url"

fail() {
  echo "cast: $1" >&2
  exit 1
}
bytecode=$(sed -n 's/.*"bytecode": "\(0x[0-9a-f]*\)".*/\1/p' "$folder/Meter.json")
start=$("$cast" abi-encode "f(uint256)" 5)
field() { sed -n "s/.*\"$1\":\"\(0x[0-9a-fA-F]*\)\".*/\1/p"; }

made=$("$cast" send --private-key "$key" --json --create "$bytecode${start#0x}")
meter=$(echo "$made" | field contractAddress)
[ "$("$cast" call "$meter" "count()(uint256)")" = 5 ] || fail "call"
[ "$("$cast" estimate "$meter" "add(uint256,string)" 7 seven)" -gt 21000 ] || fail "estimate"
sent=$("$cast" send --private-key "$key" --json "$meter" "add(uint256,string)" 7 seven | field transactionHash)
[ "$("$cast" call "$meter" "count()(uint256)")" = 12 ] || fail "count after a transaction"
[ "$("$cast" receipt "$sent" status)" = true ] || fail "receipt"
"$cast" logs --from-block 0 --address "$meter" | grep -q "$sent" || fail "logs"
# By id and time cast guesses the rules of a chain that it knows; the test's time is no real one.
# Alone: a block of the ledger may begin with the ledger's own transaction, which has no gas and cannot be executed again.
"$cast" run --quick --evm-version osaka "$sent" | grep -qi "success" || fail "re-execution"
"$cast" call "$meter" "add(uint256,string)" 101 x 2>&1 | grep -q "0x[0-9a-f]*\|TooMuch\|revert" || fail "custom error"
"$cast" send --private-key "$key" --gas-limit 100000 --nonce 0 "$meter" "pay()" 2>&1 | grep -q "nonce too low" || fail "nonce"
[ "$("$cast" chain-id)" = "$chain" ] || fail "chain id"
"$cast" client | grep -q og || fail "client"
"$cast" gas-price > /dev/null
"$cast" block latest --full > /dev/null
"$cast" storage "$meter" 0 | grep -q "c$" || fail "storage"
"$cast" balance "$("$cast" wallet address --private-key "$key")" > /dev/null
"$cast" rpc debug_traceTransaction "$sent" '{"tracer":"callTracer"}' | grep -q '"type":"CALL"' || fail "trace"
echo "cast: ok"
