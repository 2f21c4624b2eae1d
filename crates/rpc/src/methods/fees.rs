//! What gas costs, and did.

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U256};
use alloy_rpc_types_eth::{FeeHistory, TxGasAndReward};
use serde::Deserialize;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::EXPECTED;
use crate::error::RpcError;
use crate::params::Params;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_gasPrice", run: Run::Read(price) },
    Method { name: "eth_maxPriorityFeePerGas", run: Run::Read(tip) },
    Method { name: "eth_blobBaseFee", run: Run::Read(blob) },
    Method { name: "eth_feeHistory", run: Run::Compute(Work::Search, history) },
];

/// Where blocks have room nobody has to be overbid. One gwei is what wallets show without rounding to zero.
const TIP: u128 = 1_000_000_000;
/// Blocks that a suggestion looks back on.
const LOOK_BACK: u64 = 4;
const BLOCKS_MAX: u64 = 1_024;
const PERCENTILES_MAX: usize = 100;

fn next_base_fee(desk: &Desk) -> Result<u128, RpcError> {
    Ok(desk.upcoming()?.base_fee_per_gas.unwrap_or_default().into())
}

fn price(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U256::from(next_base_fee(desk)?.saturating_add(suggested(desk)?)))
}

fn tip(desk: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U256::from(suggested(desk)?))
}

/// A tenth more than the least that got into a crowded block, of the newest ones.
fn suggested(desk: &Desk) -> Result<u128, RpcError> {
    let mut suggested = TIP;
    let head = desk.node.head();
    for number in head.saturating_sub(LOOK_BACK.saturating_sub(1))..=head {
        let Some(header) = desk.node.header(number)? else { continue };
        if header.gas_used.saturating_mul(2) <= header.gas_limit {
            continue;
        }
        let least = rewards(desk, &header, &[0.0])?.first().copied().unwrap_or_default();
        suggested = suggested.max(least.saturating_mul(11).div_ceil(10));
    }
    Ok(suggested)
}

/// The least there is; no blob was ever sold here.
fn blob(_: &Desk, params: &mut Params) -> Answer {
    params.end()?;
    answer(&U64::from(1))
}

/// A count as clients write it: a quantity or a plain number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Quantity(U64),
}

fn history(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let count = match params.required("blockCount", "a number from 1 to 1024")? {
        Count::Number(number) => number,
        Count::Quantity(number) => number.to(),
    };
    let newest: BlockNumberOrTag = params.required("newestBlock", EXPECTED)?;
    let percentiles: Option<Vec<f64>> =
        params.optional("rewardPercentiles", "a rising list of numbers from 0 to 100")?;
    params.end()?;
    check_percentiles(percentiles.as_deref().unwrap_or_default())?;
    let newest = desk.number(newest);
    if newest > desk.node.head() {
        let words = format!("request beyond head block: requested {newest}, head {}", desk.node.head());
        return Err(RpcError::server(words));
    }
    let count = count.min(BLOCKS_MAX).min(newest.saturating_add(1));
    answer(&told(desk, newest, count, percentiles.filter(|list| !list.is_empty()), deadline)?)
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    let rising = percentiles.windows(2).all(|pair| matches!(pair, [one, next] if one <= next));
    if percentiles.len() > PERCENTILES_MAX || !rising || percentiles.iter().any(|p| !(0.0..=100.0).contains(p)) {
        let words = format!(
            "invalid argument 3, `rewardPercentiles`: expected at most {PERCENTILES_MAX} rising numbers from 0 to 100"
        );
        return Err(RpcError::params(words));
    }
    Ok(())
}

fn told(
    desk: &Desk,
    newest: u64,
    count: u64,
    percentiles: Option<Vec<f64>>,
    deadline: &Deadline,
) -> Result<FeeHistory, RpcError> {
    let oldest = newest.saturating_add(1).saturating_sub(count);
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    if count == 0 {
        return Ok(history);
    }
    for number in oldest..=newest {
        if !deadline.is_wanted() {
            return Err(RpcError::limit(format!("query took too long at block {number}: ask for fewer blocks")));
        }
        let header = desk.header(number)?;
        history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
        history.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit.max(1) as f64);
        history.base_fee_per_blob_gas.push(1);
        history.blob_gas_used_ratio.push(0.0);
        if let Some(percentiles) = &percentiles {
            history.reward.get_or_insert_default().push(rewards(desk, &header, percentiles)?);
        }
    }
    let after = match desk.node.header(newest.saturating_add(1))? {
        Some(header) => header.base_fee_per_gas.unwrap_or_default().into(),
        None => next_base_fee(desk)?,
    };
    history.base_fee_per_gas.push(after);
    history.base_fee_per_blob_gas.push(1);
    Ok(history)
}

/// Tips at these shares of the block's gas; zero where there was none.
fn rewards(desk: &Desk, header: &Header, percentiles: &[f64]) -> Result<Vec<u128>, RpcError> {
    if header.gas_used == 0 {
        return Ok(vec![0; percentiles.len()]);
    }
    let block = desk.block(header.number)?;
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let both = block.transactions.iter().zip(&block.receipts);
    let mut paid: Vec<TxGasAndReward> = both
        .map(|(transaction, receipt)| TxGasAndReward {
            gas_used: receipt.gas_used,
            reward: transaction.envelope().effective_tip_per_gas(base_fee).unwrap_or_default(),
        })
        .collect();
    paid.sort_unstable();
    Ok(percentiles.iter().map(|percentile| at(&paid, header.gas_used, *percentile)).collect())
}

fn at(paid: &[TxGasAndReward], gas_used: u64, percentile: f64) -> u128 {
    let threshold = gas_used as f64 * percentile / 100.0;
    let mut sum = 0.0;
    for one in paid {
        sum += one.gas_used as f64;
        if sum >= threshold {
            return one.reward;
        }
    }
    paid.last().map_or(0, |one| one.reward)
}
