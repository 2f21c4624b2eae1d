//! What is written down of errands, in canonical bytes.

use protocol::{Bytes, Digest, Milliseconds, Text};

use crate::price::Holder;

/// Longest signed transaction: a claim of a hundred channels.
pub const RAW_BYTES_MAX: usize = 128 << 10;
/// Longest address of a resource that is listed.
pub const URL_BYTES_MAX: usize = 512;
/// Most bytes of what is listed of a resource.
pub const TERMS_BYTES_MAX: usize = 8 << 10;

protocol::words! {
    /// How far an errand is.
    ErrandState {
        /// Signed and perhaps sent: its chain is to be asked.
        Sent = 1, "sent";
        Done = 2, "done";
        /// Its transaction can never succeed: the same may be asked for anew.
        Failed = 3, "failed";
    }
}

protocol::record! {
    /// A settlement for another server.
    ErrandRecord {
        id: Digest,
        /// Digest of what was asked for.
        asked: Digest,
        network: u64,
        payer: Holder,
        amount: u128,
        transaction: Digest,
        /// Of our key, in that transaction.
        nonce: u64,
        /// The signed transaction, for as long as it may have to be sent again.
        raw: Bytes<RAW_BYTES_MAX>,
        begun_at_ms: Milliseconds,
        state: ErrandState,
    }
}

protocol::record! {
    /// What became of it, under the hash that its chain has taken, if it has.
    ErrandEnd { id: Digest, transaction: Digest, has_succeeded: bool, at_ms: Milliseconds, }
}

protocol::record! {
    /// An errand's transaction, and the same at a higher price under the same number: their chain takes one of them.
    ErrandRepriced { id: Digest, transaction: Digest, again: Digest, raw: Bytes<RAW_BYTES_MAX>, }
}

protocol::record! {
    /// A resource that was paid for through this facilitator and wants to be found.
    Listed { url: Text<URL_BYTES_MAX>, terms: Bytes<TERMS_BYTES_MAX>, at_ms: Milliseconds, }
}

protocol::choice! {
    /// One line of the facilitator's journal.
    ErrandEntry {
        /// An errand as it stands: begun before its transaction is sent, or kept from a journal before.
        Errand(ErrandRecord) = 1, "errand";
        Ended(ErrandEnd) = 2, "ended";
        Listed(Listed) = 3, "listed";
        /// An errand's transaction is about to be sent again at a higher price.
        Repriced(ErrandRepriced) = 4, "repriced";
    }
}
