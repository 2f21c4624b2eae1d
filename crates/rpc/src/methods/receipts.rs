//! What transactions came to.

use alloy_eips::BlockId;
use alloy_primitives::B256;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::EXPECTED;
use crate::faces;
use crate::params::Params;
use crate::state::Desk;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_getTransactionReceipt", run: Run::Read(one) },
    Method { name: "eth_getBlockReceipts", run: Run::Read(of_block) },
];

/// `null` while a transaction waits, as clients that wait expect.
fn one(desk: &Desk, params: &mut Params) -> Answer {
    let hash: B256 = params.required("transactionHash", "32 bytes as 0x…")?;
    params.end()?;
    let Some(place) = desk.node.place_of(&hash)? else { return answer(&()) };
    answer(&faces::receipt_at(&*desk.block(place.block)?, place.index))
}

fn of_block(desk: &Desk, params: &mut Params) -> Answer {
    let id: BlockId = params.required("block", EXPECTED)?;
    params.end()?;
    let Some(number) = desk.find(id)? else { return answer(&()) };
    let block = desk.block(number)?;
    let receipts: Vec<_> = (0..block.receipts.len()).filter_map(|index| faces::receipt_at(&block, index)).collect();
    answer(&receipts)
}
