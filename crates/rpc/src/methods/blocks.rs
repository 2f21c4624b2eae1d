//! Blocks, by number or hash.

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64};
use evm::Block;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::EXPECTED;
use crate::error::RpcError;
use crate::faces;
use crate::params::Params;
use crate::state::Desk;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_blockNumber", run: Run::Read(number) },
    Method { name: "eth_getBlockByNumber", run: Run::Read(by_number) },
    Method { name: "eth_getBlockByHash", run: Run::Read(by_hash) },
    Method { name: "eth_getBlockTransactionCountByNumber", run: Run::Read(count_by_number) },
    Method { name: "eth_getBlockTransactionCountByHash", run: Run::Read(count_by_hash) },
    Method { name: "eth_getUncleCountByBlockNumber", run: Run::Read(uncles_by_number) },
    Method { name: "eth_getUncleCountByBlockHash", run: Run::Read(uncles_by_hash) },
    Method { name: "eth_getUncleByBlockNumberAndIndex", run: Run::Read(uncle) },
    Method { name: "eth_getUncleByBlockHashAndIndex", run: Run::Read(uncle) },
];

fn number(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U64::from(desk.node.head()))
}

pub(super) fn by_tag(params: &mut Params) -> Result<BlockId, RpcError> {
    Ok(BlockId::Number(params.required::<BlockNumberOrTag>("block", EXPECTED)?))
}

pub(super) fn by_digest(params: &mut Params) -> Result<BlockId, RpcError> {
    Ok(BlockId::from(params.required::<B256>("blockHash", "32 bytes as 0x…")?))
}

fn by_number(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_tag(params)?;
    let whole = params.optional::<bool>("fullTransactions", "true or false")?.unwrap_or_default();
    params.end()?;
    if id.is_pending() { answer(&pending(desk, whole)?) } else { one(desk, id, whole) }
}

fn by_hash(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_digest(params)?;
    let whole = params.optional::<bool>("fullTransactions", "true or false")?.unwrap_or_default();
    params.end()?;
    one(desk, id, whole)
}

fn one(desk: &Desk, id: BlockId, whole: bool) -> Answer {
    let Some(number) = desk.find(id)? else { return answer(&()) };
    answer(&faces::block(&*desk.block(number)?, whole))
}

/// The next block as if it held nothing: what waits is not executed to be looked at.
fn pending(desk: &Desk, whole: bool) -> Result<serde_json::Value, RpcError> {
    use alloy_consensus::{EMPTY_ROOT_HASH, Header, Sealable as _};
    let header = Header { transactions_root: EMPTY_ROOT_HASH, receipts_root: EMPTY_ROOT_HASH, ..desk.upcoming()? };
    let block = Block { header: header.seal_slow(), transactions: Vec::new(), receipts: Vec::new() };
    let mut face =
        serde_json::to_value(faces::block(&block, whole)).map_err(|error| RpcError::internal(error.to_string()))?;
    if let Some(fields) = face.as_object_mut() {
        // A hash would change with every transaction: there is none yet.
        for unknown in ["hash", "nonce"] {
            fields.insert(unknown.to_owned(), serde_json::Value::Null);
        }
    }
    Ok(face)
}

fn count(desk: &Desk, id: BlockId) -> Answer {
    let Some(number) = desk.find(id)? else { return answer(&()) };
    answer(&U64::from(desk.block(number)?.transactions.len()))
}

fn count_by_number(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_tag(params)?;
    params.end()?;
    count(desk, id)
}

fn count_by_hash(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_digest(params)?;
    params.end()?;
    count(desk, id)
}

fn uncles(desk: &Desk, id: BlockId) -> Answer {
    answer(&desk.find(id)?.map(|_| U64::ZERO))
}

fn uncles_by_number(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_tag(params)?;
    params.end()?;
    uncles(desk, id)
}

fn uncles_by_hash(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_digest(params)?;
    params.end()?;
    uncles(desk, id)
}

/// No block has any.
fn uncle(_: &Desk, _: &mut Params) -> Answer {
    answer(&())
}
