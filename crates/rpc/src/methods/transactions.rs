//! Transactions, by hash or by their place in a block.

use alloy_eips::BlockId;
use alloy_primitives::B256;
use alloy_rpc_types_eth::Index;

use super::blocks::{by_digest, by_tag};
use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::faces;
use crate::params::Params;
use crate::state::Desk;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_getTransactionByHash", run: Run::Read(by_hash) },
    Method { name: "eth_getTransactionByBlockNumberAndIndex", run: Run::Read(by_number_and_index) },
    Method { name: "eth_getTransactionByBlockHashAndIndex", run: Run::Read(by_hash_and_index) },
    Method { name: "eth_getRawTransactionByHash", run: Run::Read(raw) },
];

fn by_hash(desk: &Desk, params: &mut Params) -> Answer {
    let hash: B256 = params.required("transactionHash", "32 bytes as 0x…")?;
    params.end()?;
    // Asked for first: between the two questions a transaction goes from the waiting ones into a block, never back.
    let waiting = desk.node.waiting(&hash);
    let Some(place) = desk.node.place_of(&hash)? else {
        return answer(&waiting.map(|transaction| faces::transaction_waiting(&transaction)));
    };
    answer(&faces::transaction_at(&*desk.block(place.block)?, place.index))
}

fn at(desk: &Desk, id: BlockId, index: Index) -> Answer {
    let Some(number) = desk.find(id)? else { return answer(&()) };
    answer(&faces::transaction_at(&*desk.block(number)?, index.0))
}

fn by_number_and_index(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_tag(params)?;
    let index = params.required("index", "a number as 0x…")?;
    params.end()?;
    at(desk, id, index)
}

fn by_hash_and_index(desk: &Desk, params: &mut Params) -> Answer {
    let id = by_digest(params)?;
    let index = params.required("index", "a number as 0x…")?;
    params.end()?;
    at(desk, id, index)
}

fn raw(desk: &Desk, params: &mut Params) -> Answer {
    let hash: B256 = params.required("transactionHash", "32 bytes as 0x…")?;
    params.end()?;
    let waiting = desk.node.waiting(&hash);
    let Some(place) = desk.node.place_of(&hash)? else {
        return answer(&waiting.map(|transaction| transaction.raw().clone()));
    };
    answer(&desk.block(place.block)?.transactions.get(place.index).map(|transaction| transaction.raw().clone()))
}
