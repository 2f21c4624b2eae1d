//! Allocations as a genesis says them. What is not free yet is locked like a stake; it is given out as epochs close, never ahead of
//! the schedule (`protocol::allocation`).

use protocol::{AllocationRecord, Amount, EvmAddress, Milliseconds, Text, record};

use crate::{
    purse::{STAKING, is_nobodys},
    rules::{MILLION, part},
};

record! {
    /// Coins of the genesis for `beneficiary`.
    GenesisAllocation {
        name: Text<64>,
        beneficiary: EvmAddress,
        amount: Amount,
        /// Share that is free from the beginning, in millionths.
        first_share: u32,
        /// From the beginning to when the rest begins to come free.
        cliff_ms: u64,
        /// From then on until all of it is free; zero frees it at the cliff.
        length_ms: u64,
    }
}

impl GenesisAllocation {
    /// As the ledger keeps it from the beginning, when the first share is given out.
    pub fn record(&self, start_ms: Milliseconds) -> AllocationRecord {
        let first = part(self.amount, self.first_share);
        AllocationRecord {
            beneficiary: self.beneficiary,
            name: self.name.clone(),
            amount: self.amount,
            first,
            released: first,
            start_ms,
            cliff_ms: self.cliff_ms,
            length_ms: self.length_ms,
        }
    }

    pub(crate) fn is_meant(&self) -> bool {
        let is_for_somebody = self.beneficiary == STAKING || !is_nobodys(&self.beneficiary);
        self.amount > 0 && self.first_share <= MILLION && is_for_somebody
    }
}
