//! Whether a receipt can still be challenged.

use protocol::{EpochRecord, ReceiptStatus};

/// True once the receipt's window closed before the newest certified epoch.
pub fn is_closed(status: &ReceiptStatus, latest: &EpochRecord) -> bool {
    latest.epoch >= status.epoch.saturating_add(u64::from(latest.challenge_window))
}

/// The newest certified epoch, with a window of 15 epochs.
#[cfg(test)]
pub fn latest(epoch: u64) -> EpochRecord {
    EpochRecord {
        version: protocol::Version,
        chain_id: 1,
        epoch,
        first_height: 0,
        last_height: 0,
        time_ms: 0,
        history_root: protocol::Digest::ZERO,
        receipts_root: protocol::Digest::ZERO,
        receipts_count: 0,
        receipts_sum: 0,
        verdicts_root: protocol::Digest::ZERO,
        state_root: protocol::Digest::ZERO,
        challenge_window: 15,
    }
}
