//! What a crash must not lose: transactions on the disk before anybody is told that they were taken, and taken up again after it.

use std::sync::Arc;

use blocks::waiting::Id;
use ledger::{Kind, Ledger, Ordered, Refusal};
use protocol::Digest;
use storage::Durable;

use super::{Node, SubmitError};
use crate::{
    ethereum::LIMITS,
    lock::locked,
    pool::{POOL_BYTES_MAX, POOL_MAX, PoolRefusal},
    waiting::Found,
};

/// Blocks from a start to the first look at what waited before it; to each further one twice as many, up to the second number. What waits
/// for blocks that are long in coming costs little meanwhile, and nobody is shown the same in each block.
const FIRST_LOOK: u64 = 16;
const LOOKS_APART_MAX: u64 = 4_096;

/// What waited before this start, is kept on the disk, and is not known to be executed.
#[derive(Default)]
pub(super) struct Later {
    pub transactions: Vec<(Id, Waited)>,
    /// The height of the next look, and the blocks from it to the one after.
    due: u64,
    apart: u64,
}

impl Later {
    /// Whether this block brings a look.
    pub fn take_due(&mut self, height: u64) -> bool {
        let is_due = height >= self.due && !self.transactions.is_empty();
        if is_due {
            self.due = height.saturating_add(self.apart);
            self.apart = self.apart.saturating_mul(2).min(LOOKS_APART_MAX);
        }
        is_due
    }
}

/// A transaction that waited, a wallet's with its sender recovered: once.
pub(super) enum Waited {
    Native(Vec<u8>),
    Wallet(Arc<evm::Transaction>),
}

impl Waited {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Native(bytes) => bytes,
            Self::Wallet(transaction) => transaction.raw(),
        }
    }
}

/// Room for what fits no state yet: as much as waits at most, so that no number of restarts fills memory and disk.
pub(super) struct Room {
    pub count: usize,
    pub bytes: usize,
}

impl Room {
    const WHOLE: Self = Self { count: POOL_MAX + LIMITS.transactions, bytes: POOL_BYTES_MAX + LIMITS.bytes };

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.count.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        let Some((count, bytes)) = left else { return false };
        (self.count, self.bytes) = (count, bytes);
        true
    }
}

/// What there is to be done with a transaction that waited before a restart.
enum Fate {
    /// It waits again, or was executed lately.
    Waits,
    /// Its nonce was used, another took its place, or nothing of its kind is executed any more.
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
        let kept = self.waiting.marks().keep((id.0, bytes), [], |changes| self.waiting.write(changes));
        kept.map(Some).ok_or(SubmitError::DiskBehind)
    }

    /// Whether a native transaction with this id waits here.
    pub(crate) fn waits(&self, id: &Digest) -> bool {
        locked(&self.pool).waits(id)
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
        let (natives, wallets): (Found, Found) =
            found.into_iter().partition(|(_, bytes)| Kind::of(bytes) == Kind::Native);
        let mut transactions: Vec<(Id, Waited)> =
            natives.into_iter().map(|(id, bytes)| (id, Waited::Native(bytes))).collect();
        let read = self.ethereum.read(&wallets.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>());
        let mut unreadable = Vec::new();
        for ((id, _), ordered) in wallets.into_iter().zip(read) {
            match ordered {
                Ordered::Ethereum(transaction) => transactions.push((id, Waited::Wallet(transaction))),
                Ordered::Native(_) | Ordered::Unreadable(_) => unreadable.push(id),
            }
        }
        for (_, waited) in &transactions {
            // Looked at again once there are blocks, and others to show it to.
            let _ = self.fate(waited);
        }
        self.waiting.forget(unreadable);
        let due = self.ledger().height().saturating_add(FIRST_LOOK);
        *locked(&self.later) = Later { transactions, due, apart: FIRST_LOOK };
    }

    /// After a block: shows to the others some of what waits, and looks again at what waited before this start and did not fit the state.
    pub(super) fn look_again(&self, height: u64) {
        if height.is_multiple_of(FIRST_LOOK) {
            // This validator may be without a seat to propose it from, and whom it was shown may have been nobody.
            self.waiting.next_to_show().into_iter().for_each(|bytes| self.show(bytes));
        }
        if locked(&self.later).take_due(height) {
            self.look_within(Room::WHOLE);
        }
    }

    /// The same now, with so much room for what does not fit the state yet.
    pub(super) fn look_within(&self, mut room: Room) {
        let later = std::mem::take(&mut locked(&self.later).transactions);
        let (mut still, mut gone, mut left_out) = (Vec::new(), Vec::new(), 0_usize);
        // What the disk was told to forget was executed, or went for another.
        for (id, waited) in later.into_iter().filter(|(id, _)| self.waiting.keeps(id)) {
            let stays = match self.fate(&waited) {
                // As all that the disk keeps, it is shown again in its turn.
                Fate::Waits => true,
                Fate::Passed => false,
                Fate::NotYet => {
                    let fits = room.take(waited.bytes().len());
                    left_out += usize::from(!fits);
                    fits
                }
            };
            if stays {
                still.push((id, waited));
            } else {
                gone.push(id);
            }
        }
        if left_out > 0 {
            tracing::warn!(
                left_out,
                "more than a pool holds waited before the start and fits no state yet: the rest is forgotten"
            );
        }
        self.waiting.forget(gone);
        locked(&self.later).transactions = still;
    }

    /// As if the disk failed from now on.
    #[cfg(test)]
    pub(crate) fn break_disk(&self) {
        self.waiting.is_broken.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// What a restart would find waiting.
    #[cfg(test)]
    pub(crate) fn on_disk(&self) -> Vec<Id> {
        self.waiting.on_disk()
    }

    fn fate(&self, waited: &Waited) -> Fate {
        match waited {
            Waited::Native(bytes) if locked(&self.pool).find(bytes).is_some() => Fate::Waits,
            Waited::Native(bytes) => match self.take(bytes.clone()) {
                Ok(_) | Err(SubmitError::Pool(PoolRefusal::AlreadyKnown)) => Fate::Waits,
                Err(SubmitError::Ledger(Refusal::NonceTooLow { .. } | Refusal::TransfersEnded)) => Fate::Passed,
                Err(_) => Fate::NotYet,
            },
            Waited::Wallet(transaction) => match self.ethereum.admit_again(transaction) {
                Ok(()) | Err(rpc::SubmitError::AlreadyKnown) => Fate::Waits,
                Err(
                    rpc::SubmitError::Refused(evm::Refusal::NonceTooLow { .. }) | rpc::SubmitError::Underpriced { .. },
                ) => Fate::Passed,
                Err(_) => Fate::NotYet,
            },
        }
    }
}
