//! What a crash must not lose: transactions on the disk before anybody is told that they were taken, and taken up again after it.

use std::sync::Arc;

use ledger::{Kind, Ledger, Refusal};
use storage::Durable;

use super::{Node, SubmitError};
use crate::{lock::locked, pool::PoolRefusal, waiting::Found};

/// What there is to be done with a transaction that waited before a restart.
enum Fate {
    /// It waits again, or was executed lately.
    Waits,
    /// Its nonce was used, or another took its place.
    Passed,
    /// What makes it possible may be in blocks that are to be executed first.
    NotYet,
}

impl Node {
    /// Has the disk keep a native transaction that waits here, whoever showed it; what it gives tells when a crash can no longer lose it.
    /// Nothing where there is no disk, where it is in a block already, or where it is receipts, which whoever posts them keeps.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Result<Option<Durable>, SubmitError> {
        if !self.waiting.is_on_disk() {
            return Ok(None);
        }
        // Under the ledger's lock, so that no block comes in between.
        let _ledger = self.ledger();
        let Some(id) = locked(&self.pool).find_entrusted(bytes) else { return Ok(None) };
        let kept = self.waiting.marks().keep((id.0, bytes.to_vec()), [], |changes| self.waiting.write(changes));
        kept.map(Some).ok_or(SubmitError::DiskBehind)
    }

    /// Takes a wallet's transaction, shows it to the other validators and asks for a block. What it gives tells when a crash
    /// can no longer lose it; nothing where there is no disk.
    pub fn submit_wallet(&self, transaction: &Arc<evm::Transaction>) -> Result<Option<Durable>, rpc::SubmitError> {
        let durable = self.ethereum.admit_durably(transaction)?;
        self.show(transaction.raw().to_vec());
        Ok(durable)
    }

    /// Forgets native transactions that have been executed, here and on the disk. The ledger's lock is held meanwhile.
    pub(super) fn forget_executed(&self, ledger: &Ledger) {
        let gone = {
            let mut pool = locked(&self.pool);
            pool.forget(|sender| ledger.nonce(sender));
            pool.take_gone()
        };
        self.waiting.forget(gone.into_iter().map(|id| id.0));
    }

    /// Takes up what waited before this start, as far as the state of now lets it.
    pub(super) fn take_up(&self, found: Found) {
        for (_, bytes) in &found {
            // Looked at again once there are blocks, and others to show it to.
            let _ = self.fate(bytes);
        }
        *locked(&self.later) = found;
    }

    /// Shows to the others what waited before this start, and looks again at what did not fit the state as it was then. Shows to them
    /// again some of what waits still.
    pub(super) fn look_again(&self) {
        let later = std::mem::take(&mut *locked(&self.later));
        let (mut still, mut gone) = (Found::new(), Vec::new());
        for (id, bytes) in later {
            match self.fate(&bytes) {
                // This validator may be without a seat, and nobody else had it from another.
                Fate::Waits => self.show(bytes),
                Fate::Passed => gone.push(id),
                Fate::NotYet => still.push((id, bytes)),
            }
        }
        self.waiting.forget(gone);
        *locked(&self.later) = still;
        // What was entrusted to this validator while it was cut off, and it has no seat to propose it from.
        self.waiting.next_to_show().into_iter().for_each(|bytes| self.show(bytes));
    }

    /// What a restart would find waiting.
    #[cfg(test)]
    pub(crate) fn on_disk(&self) -> Vec<blocks::waiting::Id> {
        self.waiting.on_disk()
    }

    fn fate(&self, bytes: &[u8]) -> Fate {
        match Kind::of(bytes) {
            Kind::Native if locked(&self.pool).find(bytes).is_some() => Fate::Waits,
            Kind::Native => match self.take(bytes.to_vec()) {
                Ok(_) | Err(SubmitError::Pool(PoolRefusal::AlreadyKnown)) => Fate::Waits,
                Err(SubmitError::Ledger(Refusal::NonceTooLow { .. })) => Fate::Passed,
                Err(_) => Fate::NotYet,
            },
            Kind::Ethereum => match self.ethereum.admit_again(bytes) {
                Ok(()) | Err(rpc::SubmitError::AlreadyKnown) => Fate::Waits,
                Err(
                    rpc::SubmitError::Refused(evm::Refusal::NonceTooLow { .. }) | rpc::SubmitError::Underpriced { .. },
                ) => Fate::Passed,
                Err(_) => Fate::NotYet,
            },
        }
    }
}
