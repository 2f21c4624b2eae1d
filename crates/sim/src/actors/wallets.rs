//! Wallets that send raw transactions to one validator each, as clients of JSON-RPC do, and believe what they are told.
//!
//! What a validator acknowledged is never sent again: whatever crashes, it must be executed. One wallet sends one transfer after the other;
//! of each two of the other the second goes first, and waits behind a gap.

use std::sync::Arc;

use ledger::Ledger;
use payments::{
    Address, Bytes,
    chain::{Call, Fees, sign_paying},
};
use protocol::EvmAddress;
use storage::Durable;

use super::validators::Validators;
use crate::{
    draw::{below, draw},
    outcome::Transfer,
    seats,
};

/// So long after it was sent, what was not acknowledged is sent to the next validator.
const AGAIN_MS: u64 = 600;
/// Between two rounds of three transfers.
const ROUND_MS: u64 = 900;
/// Before the first round there is nothing to crash.
const BEGIN_MS: u64 = 300;
/// For how long a gap stays open: through most faults.
const GAP_MS: (u64, u64) = (400, 2_500);
/// So much that no base fee keeps a transfer out.
const FEES: Fees = Fees { gas: 21_000, max_fee_per_gas: 1_000_000_000_000, max_priority_fee_per_gas: 1_000_000_000 };

/// A transfer, and where its wallet is with it.
struct Sending {
    transfer: Transfer,
    raw: Bytes,
    /// The validator that is asked next.
    next: usize,
    again_at_ms: u64,
    /// The validator that has it, and what tells when its disk does.
    asked: Option<(usize, Durable)>,
}

pub(crate) struct Wallets {
    sendings: Vec<Sending>,
    validators: usize,
}

impl Wallets {
    /// So many rounds, sent to so many validators.
    pub fn new(seed: u64, rounds: u64, validators: usize) -> Self {
        let planned = (0..rounds).flat_map(|round| plan(seed, round)).zip(0..);
        let sendings = planned.filter_map(|(planned, number)| sending(seed, planned, (number, validators)));
        Self { sendings: sendings.collect(), validators }
    }

    pub fn work(&mut self, validators: &Validators<'_>) {
        for sending in &mut self.sendings {
            sending.work(validators, self.validators);
        }
    }

    /// What a traitor acknowledged nobody may have: its wallet sends it to another.
    pub fn betrayed(&mut self, by: usize) {
        let transfers = self.sendings.iter_mut().map(|sending| &mut sending.transfer);
        let of_traitor = transfers.filter(|transfer| transfer.acknowledged.is_some_and(|(at, _)| at == by));
        of_traitor.for_each(|transfer| transfer.acknowledged = None);
    }

    /// Whether all is executed on this ledger.
    pub fn are_done(&self, ledger: &Ledger) -> bool {
        self.sendings.iter().all(|sending| ledger.balance(&sending.transfer.to) > 0)
    }

    pub fn transfers(self) -> Vec<Transfer> {
        self.sendings.into_iter().map(|sending| sending.transfer).collect()
    }
}

/// Wallet, nonce and time of the transfers of a round.
fn plan(seed: u64, round: u64) -> [(usize, u64, u64); 3] {
    let begins = BEGIN_MS + ROUND_MS * round;
    let steady = begins + below(seed, "steady", round, ROUND_MS);
    let behind = begins + below(seed, "behind a gap", round, ROUND_MS);
    let missing = behind + GAP_MS.0 + below(seed, "gap", round, GAP_MS.1 - GAP_MS.0);
    [(0, round, steady), (1, 2 * round + 1, behind), (1, 2 * round, missing)]
}

fn sending(
    seed: u64,
    (wallet, nonce, due_at_ms): (usize, u64, u64),
    (number, validators): (u64, usize),
) -> Option<Sending> {
    let key = seats::wallets().into_iter().nth(wallet)?;
    let to = *draw(seed, "payee", number).0.first_chunk::<20>()?;
    let call = Call { to: Address::from(to), data: Bytes::new() };
    let raw = sign_paying(&call, 1, seats::CHAIN_ID, nonce, FEES, &key).raw;
    let next = usize::try_from(below(seed, "asked", number, validators as u64)).ok()?;
    let transfer = Transfer { nonce, to: EvmAddress(to), due_at_ms, acknowledged: None };
    Some(Sending { transfer, raw, next, again_at_ms: 0, asked: None })
}

impl Sending {
    fn work(&mut self, validators: &Validators<'_>, count: usize) {
        let now_ms = validators.now_ms();
        if self.transfer.acknowledged.is_some() || now_ms < self.transfer.due_at_ms {
            return;
        }
        if let Some((validator, durable)) = &mut self.asked {
            match durable.poll() {
                // Its disk is not there yet.
                None => return,
                Some(Ok(())) => {
                    self.transfer.acknowledged = Some((*validator, now_ms));
                    return;
                }
                // It died first: whether it has it nobody knows.
                Some(Err(_)) => self.asked = None,
            }
        }
        if now_ms >= self.again_at_ms {
            self.again_at_ms = now_ms + AGAIN_MS;
            let validator = self.next;
            self.next = (validator + 1) % count.max(1);
            self.asked = self.send(validators, validator).map(|durable| (validator, durable));
        }
    }

    /// `None` where the validator is down or refuses it: it may know it from another, or have executed it.
    fn send(&self, validators: &Validators<'_>, validator: usize) -> Option<Durable> {
        let node = validators.at(validator)?;
        let chain = node.ledger().chain();
        let transaction = evm::Transaction::decode(&self.raw, &chain).ok()?;
        node.submit_wallet(&Arc::new(transaction)).ok()?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_run_without_gaps_and_every_second_of_one_wallet_is_sent_before_the_first() {
        let planned: Vec<_> = (0..4).flat_map(|round| plan(7, round)).collect();
        for wallet in [0, 1] {
            let mut nonces: Vec<u64> =
                planned.iter().filter(|(of, _, _)| *of == wallet).map(|(_, nonce, _)| *nonce).collect();
            nonces.sort_unstable();
            assert_eq!(nonces, (0..4 * (1 + wallet as u64)).collect::<Vec<_>>());
        }
        for round in 0..4 {
            let [_, (_, behind, first_ms), (_, missing, then_ms)] = plan(7, round);
            assert!(missing + 1 == behind && first_ms + GAP_MS.0 <= then_ms);
        }
        assert_eq!(Wallets::new(7, 4, 4).sendings.len(), 12);
    }
}
