//! What an operator keeps of its node's rewards, how fast that may change, and how it changed.

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::IStaking;
use super::records::Node;
use crate::modules::layout::{List, split};
use crate::modules::{Frame, Method, Stop};

pub(super) const SET: Method = Method::write::<IStaking::setCommissionCall>(set);
pub(super) const HISTORY: Method = Method::view::<IStaking::commissionHistoryCall>(history);

const DAY_SECONDS: u64 = 86_400;

fn set(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::setCommissionCall>()?;
    let mut node = Node::get(frame, call.node)?.operated_by_caller(frame)?;
    let (before, commission) = (node.commission, call.commission);
    if commission > node.commission_max {
        return Err(Stop::revert(&IStaking::CommissionOutOfBounds { commission, most: node.commission_max }));
    }
    if commission.abs_diff(before) > node.commission_step {
        let step = node.commission_step;
        return Err(Stop::revert(&IStaking::CommissionStepTooLarge { before, commission, step }));
    }
    let not_before = node.commission_changed.saturating_add(DAY_SECONDS);
    if frame.now() < not_before {
        return Err(Stop::revert(&IStaking::CommissionTooSoon { notBefore: U256::from(not_before) }));
    }
    node.commission = commission;
    node.commission_changed = frame.now();
    node.save(frame)?;
    node.commissions().set(frame, U256::from(commission))?;
    frame.log(IStaking::CommissionSet { node: node.id, before, commission }.encode_log_data())?;
    Ok(Bytes::new())
}

fn history(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStaking::commissionHistoryCall>()?;
    let node = Node::get(frame, call.node)?;
    let page = List(node.commissions().0).page(frame, call.from, call.count)?;
    let told = |element| {
        let (since, commission) = split(element);
        let since = alloy_primitives::Uint::from(since);
        IStaking::CommissionChange { since, commission: commission.saturating_to() }
    };
    frame.returns::<IStaking::commissionHistoryCall>(&page.into_iter().map(told).collect())
}
