//! What a worker keeps: its receipts for good, the sealed openings for as long as they can be challenged.
//!
//! See `specs/evidence.md`.

use std::path::Path;

use crypto::Digest;
use protocol::{Canonical as _, Opening, SignedReceipt};
use storage::{Change, Durable, Sealer, Store, StoreError};
use thiserror::Error;

use crate::chain::Chain;

const RECEIPTS: &str = "receipts";
const OPENINGS: &str = "openings";
/// Expiry time ‖ receipt id, so that what expires first comes first.
const EXPIRIES: &str = "expiries";
const PURPOSE: &str = "og/evidence/v1";
/// Openings deleted in one step.
const SWEEP: usize = 256;

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
        Ok(Self { store: Store::open(path, &[RECEIPTS, OPENINGS, EXPIRIES])?, sealer })
    }

    /// Where the chain of receipts stands.
    pub fn chain(&self) -> Result<Chain, EvidenceError> {
        let Some((_, bytes)) = self.store.last(RECEIPTS)? else { return Ok(Chain::START) };
        let last = SignedReceipt::decode(&bytes).map_err(|_| EvidenceError::Foreign("receipt"))?;
        Ok(Chain::after(&last.receipt))
    }

    /// Hands receipt and opening to the disk together; they lie in the order of their sequence numbers.
    pub async fn keep(
        &self,
        receipt: &SignedReceipt,
        opening: &Opening,
        expires_at_ms: u64,
    ) -> Result<Durable, EvidenceError> {
        let id = receipt.receipt.id();
        let sealed = self.sealer.seal(PURPOSE, &opening.encode())?;
        let changes = vec![
            Change::put(RECEIPTS, receipt.receipt.sequence.to_be_bytes(), receipt.encode()),
            Change::put(OPENINGS, id.0, sealed),
            Change::put(EXPIRIES, expiry_key(expires_at_ms, &id), []),
        ];
        Ok(self.store.submit(changes).await?)
    }

    /// The opening of a receipt, while it is kept.
    pub fn opening(&self, id: &Digest) -> Result<Option<Opening>, EvidenceError> {
        let Some(sealed) = self.store.get(OPENINGS, &id.0)? else { return Ok(None) };
        let opened = self.sealer.open(PURPOSE, &sealed)?;
        Opening::decode(&opened).map(Some).map_err(|_| EvidenceError::Foreign("opening"))
    }

    /// Deletes what has expired; returns how many openings.
    pub async fn sweep(&self, now_ms: u64) -> Result<usize, EvidenceError> {
        let expired = self.store.scan(EXPIRIES, &[], SWEEP)?;
        let due = expired.into_iter().take_while(|(key, _)| expiry_ms(key).is_none_or(|at| at <= now_ms));
        let changes: Vec<Change> = due
            .flat_map(|(key, _)| {
                let id = key.get(8..).unwrap_or_default().to_vec();
                [Change::remove(OPENINGS, id), Change::remove(EXPIRIES, key)]
            })
            .collect();
        let count = changes.len() / 2;
        if count > 0 {
            self.store.commit(changes).await?;
        }
        Ok(count)
    }
}

fn expiry_key(expires_at_ms: u64, id: &Digest) -> Vec<u8> {
    [&expires_at_ms.to_be_bytes()[..], &id.0].concat()
}

fn expiry_ms(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
