//! Epochs: about a second of blocks, closed by one record that the validators certify together.

use crypto::{
    Digest,
    threshold::{GroupKey, GroupSignature},
};

use crate::{
    Amount, Milliseconds,
    canonical::{Noun as _, Version},
    nouns::record,
};

record! {
    /// What an epoch commits to: everything before it, what was executed in it, what was verified, and the state.
    EpochRecord in "og/epoch/v1" {
        version: Version<1>,
        chain_id: u64,
        epoch: u64,
        first_height: u64,
        last_height: u64,
        /// Time of the last block.
        time_ms: Milliseconds,
        /// Root of the history tree over the digests of epochs `0..epoch`.
        history_root: Digest,
        /// Root, count and sum of charges of the tree over the receipts anchored in this epoch.
        receipts_root: Digest,
        receipts_count: u64,
        receipts_sum: Amount,
        /// Root of the tree over the verdicts given in this epoch.
        verdicts_root: Digest,
        /// Root of the ledger's state after the last block.
        state_root: Digest,
        /// Epochs after an anchoring in which a receipt can be challenged.
        challenge_window: u32,
    }
}

record! {
    /// The network's threshold signature over an epoch record's digest.
    Certificate {
        epoch: u64,
        signature: GroupSignature,
    }
}

impl EpochRecord {
    /// The last epoch in which a receipt that this epoch anchored can be challenged: a state as of that epoch, or a
    /// later one, has seen every challenge there will be.
    pub fn last_challenge_epoch(&self) -> u64 {
        self.epoch.saturating_add(u64::from(self.challenge_window))
    }
}

impl Certificate {
    /// True only if a quorum of the network's validators signed exactly this record.
    pub fn certifies(&self, record: &EpochRecord, network_key: &GroupKey) -> bool {
        let namespace = certificate_namespace(record.chain_id);
        self.epoch == record.epoch && network_key.verifies(namespace.as_bytes(), &record.digest().0, &self.signature)
    }
}

/// The namespace in front of every certified digest.
pub fn certificate_namespace(chain_id: u64) -> String {
    format!("og-{chain_id}_EPOCH")
}
