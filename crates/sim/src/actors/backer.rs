//! Puts stake behind validators, so that they take others' seats.

use alloy_sol_types::SolCall as _;
use evm::modules::staking::IStaking;
use ledger::{OPG, STAKING};
use protocol::{Action, Amount, Bytes, transaction::Call};

use super::{sender::Sender, validators::Validators};
use crate::seats;

/// More than what one validator has more than another.
const STAKE: Amount = 5_000 * OPG;
/// Its number when it chooses a validator.
const ACTOR: u64 = 5;

pub(crate) struct Backer {
    sender: Sender,
    /// Validators that wait for stake, in order.
    wanted: Vec<usize>,
}

impl Backer {
    pub fn new() -> Self {
        Self { sender: Sender::new(seats::treasury()), wanted: Vec::new() }
    }

    pub fn back(&mut self, validator: usize) {
        self.wanted.push(validator);
    }

    pub fn work(&mut self, validators: &Validators<'_>) {
        let now_ms = validators.now_ms();
        let Some(node) = validators.asked(ACTOR).filter(|node| self.sender.is_idle(node, now_ms)) else { return };
        if self.wanted.is_empty() {
            return;
        }
        let backed = seats::node(&seats::validator(self.wanted.remove(0)));
        let call = IStaking::delegateCall { node: backed.0.into() };
        // A method and one word fit.
        let input = Bytes::new(call.abi_encode()).unwrap_or_default();
        self.sender.send(node, now_ms, Action::Call(Call { module: STAKING, value: STAKE, input }));
    }
}
