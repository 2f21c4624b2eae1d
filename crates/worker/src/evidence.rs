//! What a worker keeps: its receipts for good, the sealed openings for as long as they can be challenged.
//!
//! See `specs/evidence.md`.

use std::path::Path;

use crypto::Digest;
use protocol::{Canonical as _, Noun as _, Opening, SignedReceipt};
use storage::{Change, Durable, Sealer, Store, StoreError};
use thiserror::Error;

use crate::chain::Chain;

const RECEIPTS: &str = "receipts";
const OPENINGS: &str = "openings";
/// End of the receipt in ms ‖ its id, so that what ended first comes first.
const ENDS: &str = "ends";
const PURPOSE: &str = "og/evidence/v1";
/// Openings deleted in one step.
const SWEEP: usize = 256;
/// Most answers that are looked through for jobs that must not be served again.
const RECENT_MAX: usize = 65_536;

/// Why the evidence store failed.
#[derive(Debug, Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] storage::SealError),
    #[error("the store holds bytes that are no {0}")]
    Foreign(&'static str),
}

/// The store; clones share it.
#[derive(Clone)]
pub(crate) struct Evidence {
    store: Store,
    sealer: Sealer,
}

impl Evidence {
    pub fn open(path: &Path, sealer: Sealer) -> Result<Self, EvidenceError> {
        Ok(Self { store: Store::open(path, &[RECEIPTS, OPENINGS, ENDS])?, sealer })
    }

    /// Where the chain of receipts stands.
    pub fn chain(&self) -> Result<Chain, EvidenceError> {
        let Some((_, bytes)) = self.store.last(RECEIPTS)? else { return Ok(Chain::START) };
        let last = SignedReceipt::decode(&bytes).map_err(|_| EvidenceError::Foreign("receipt"))?;
        Ok(Chain::after(&last.receipt))
    }

    /// Hands receipt and opening to the disk together; they lie in the order of their sequence numbers.
    pub async fn keep(&self, receipt: &SignedReceipt, opening: &Opening) -> Result<Durable, EvidenceError> {
        let id = receipt.receipt.id();
        let sealed = self.sealer.seal(PURPOSE, &opening.encode())?;
        let changes = vec![
            Change::put(RECEIPTS, receipt.receipt.sequence.to_be_bytes(), receipt.encode()),
            Change::put(OPENINGS, id.0, sealed),
            Change::put(ENDS, end_key(receipt.receipt.finished_at_ms, &id), []),
        ];
        Ok(self.store.submit(changes).await?)
    }

    /// The opening of a receipt, while it is kept.
    pub fn opening(&self, id: &Digest) -> Result<Option<Opening>, EvidenceError> {
        let Some(sealed) = self.store.get(OPENINGS, &id.0)? else { return Ok(None) };
        let opened = self.sealer.open(PURPOSE, &sealed)?;
        Opening::decode(&opened).map(Some).map_err(|_| EvidenceError::Foreign("opening"))
    }

    /// Digests of the requests that were answered since `since_ms`.
    pub fn answered_since(&self, since_ms: u64) -> Result<Vec<Digest>, EvidenceError> {
        let ends = self.store.scan(ENDS, &since_ms.to_be_bytes(), RECENT_MAX)?;
        let ids = ends.iter().filter_map(|(key, _)| Some(Digest(key.get(8..)?.try_into().ok()?)));
        let openings = ids.filter_map(|id| self.opening(&id).transpose());
        openings.map(|opening| Ok(opening?.request.digest())).collect()
    }

    /// When the oldest answer ended whose opening is kept.
    pub fn oldest_ms(&self) -> Result<Option<u64>, EvidenceError> {
        let oldest = self.store.scan(ENDS, &[], 1)?;
        Ok(oldest.first().map(|(key, _)| end_ms(key)))
    }

    /// Deletes the openings of answers that ended before `before_ms`, as many as one step may; returns how many.
    pub async fn sweep(&self, before_ms: u64) -> Result<usize, EvidenceError> {
        let oldest = self.store.scan(ENDS, &[], SWEEP)?;
        let over = oldest.into_iter().take_while(|(key, _)| end_ms(key) < before_ms);
        let changes: Vec<Change> = over
            .flat_map(|(key, _)| {
                let id = key.get(8..).unwrap_or_default().to_vec();
                [Change::remove(OPENINGS, id), Change::remove(ENDS, key)]
            })
            .collect();
        let count = changes.len() / 2;
        if count > 0 {
            self.store.commit(changes).await?;
        }
        Ok(count)
    }
}

fn end_key(finished_at_ms: u64, id: &Digest) -> Vec<u8> {
    [&finished_at_ms.to_be_bytes()[..], &id.0].concat()
}

fn end_ms(key: &[u8]) -> u64 {
    // Only `keep` writes here; a key of another shape would count as old.
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
