//! An income is divided over contributors, parents and publisher, to the last unit.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};

use super::IModels;
use super::records::Model;
use crate::modules::layout::{AMOUNT_MAX, proportion};
use crate::modules::parameters::MILLION;
use crate::modules::{Frame, Method, Stop};

pub(super) const PAYOUTS: Method = Method::view::<IModels::payoutsCall>(payouts);

fn payouts(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::payoutsCall>()?;
    let most = U256::from(AMOUNT_MAX);
    if call.amount > most {
        return Err(Stop::revert(&IModels::AmountTooLarge { amount: call.amount, most }));
    }
    let divided = divide(frame, call.root, call.amount.saturating_to())?;
    let payout = |(payee, amount)| IModels::Payout { payee, amount: U256::from(amount) };
    frame.returns::<IModels::payoutsCall>(&divided.into_iter().map(payout).collect())
}

/// Who gets how much of an income, in order of addresses. What shares round down is the publisher's, so nothing is left over.
fn divide(frame: &mut Frame<'_>, root: B256, income: u128) -> Result<BTreeMap<Address, u128>, Stop> {
    let mut divided: BTreeMap<Address, u128> = BTreeMap::new();
    let mut pay = |payee: Address, amount: u128| {
        if amount > 0 {
            let sum = divided.entry(payee).or_default();
            *sum = sum.saturating_add(amount);
        }
    };
    let mut waiting = vec![(root, income)];
    while let Some((root, income)) = waiting.pop() {
        let model = Model::get(frame, root)?;
        let mut left = income;
        for split in model.splits(frame)? {
            let amount = proportion(income, u128::from(split.share), MILLION);
            left = left.saturating_sub(amount);
            pay(split.payee, amount);
        }
        for parent in model.parents(frame)? {
            let amount = proportion(income, u128::from(parent.share), MILLION);
            left = left.saturating_sub(amount);
            if amount > 0 {
                waiting.push((parent.root, amount));
            }
        }
        pay(model.publisher, left);
    }
    Ok(divided)
}
