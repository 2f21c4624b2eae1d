#!/bin/sh
# cast, unmodified, and the ledger's modules, which have code at the node alone: read, estimated, sent to, found by their logs, traced.
# Arguments: cast, URL, key.
set -eu
cast=$1 url=$2 key=$3
export ETH_RPC_URL="$url"
opg=0x0000000000000000000000000000000000000a00 to=0x00000000000000000000000000000000c0ffee01

fail() {
  echo "modules: $1" >&2
  exit 1
}
field() { sed -n "s/.*\"$1\":\"\(0x[0-9a-fA-F]*\)\".*/\1/p"; }
own=$("$cast" wallet address --private-key "$key")

[ "$("$cast" code "$opg")" = 0xfe ] || fail "code"
[ "$("$cast" call "$opg" "balanceOf(address)(uint256)" "$to")" = 0 ] || fail "call"
[ "$("$cast" estimate --from "$own" "$opg" "transfer(address,uint256)" "$to" 7)" -gt 21000 ] || fail "estimate"
sent=$("$cast" send --private-key "$key" --json "$opg" "transfer(address,uint256)" "$to" 7 | field transactionHash)
[ "$("$cast" receipt "$sent" status)" = true ] || fail "receipt"
[ "$("$cast" call "$opg" "balanceOf(address)(uint256)" "$to")" = 7 ] || fail "call after a transaction"
"$cast" logs --from-block 0 --address "$opg" "Transfer(address,address,uint256)" | grep -q "$sent" || fail "logs"
"$cast" rpc debug_traceTransaction "$sent" '{"tracer":"callTracer"}' | grep -q '"type":"CALL"' || fail "trace"
"$cast" call --from "$own" "$opg" "transfer(address,uint256)" "$opg" 1 2>&1 | grep -qi "revert\|0x[0-9a-f]" || fail "refusal"
echo "modules: ok"
