//! What this auditor has settled, durably: a restart within a challenge window audits nothing twice.

use std::path::Path;

use crypto::Digest;
use storage::{Change, Store, StoreError};

const SETTLED: &str = "settled";
/// How far the ledger was when it was last looked at.
const FURTHEST: &str = "furthest";
const TIME: &str = "time_ms";
/// Marks removed in one step.
const STEP: usize = 1_024;

/// Settled receipts by the epoch that anchored them; clones share them.
#[derive(Clone)]
pub(crate) struct Marks(Store);

impl Marks {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Store::open(path, &[SETTLED, FURTHEST]).map(Self)
    }

    pub fn contains(&self, epoch: u64, receipt: &Digest) -> Result<bool, StoreError> {
        Ok(self.0.get(SETTLED, &key(epoch, receipt))?.is_some())
    }

    pub async fn set(&self, epoch: u64, receipt: &Digest) -> Result<(), StoreError> {
        self.0.commit(vec![Change::put(SETTLED, key(epoch, receipt), [])]).await
    }

    /// The time of the newest epoch that was looked at, in milliseconds since 1970; 0 before the first.
    pub fn furthest_ms(&self) -> Result<u64, StoreError> {
        let kept = self.0.get(FURTHEST, TIME.as_bytes())?;
        Ok(kept.and_then(|bytes| bytes.first_chunk().copied()).map_or(0, u64::from_be_bytes))
    }

    pub async fn reach(&self, time_ms: u64) -> Result<(), StoreError> {
        self.0.commit(vec![Change::put(FURTHEST, TIME, time_ms.to_be_bytes())]).await
    }

    /// Forgets what lies before `epoch`: no receipt of then will be looked at again.
    pub async fn forget_before(&self, epoch: u64) -> Result<(), StoreError> {
        loop {
            let oldest = self.0.scan(SETTLED, &[], STEP)?;
            let old = oldest.into_iter().map(|(key, _)| key).take_while(|key| epoch_of(key) < epoch);
            let changes: Vec<Change> = old.map(|key| Change::remove(SETTLED, key)).collect();
            let is_last = changes.len() < STEP;
            if !changes.is_empty() {
                self.0.commit(changes).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

fn key(epoch: u64, receipt: &Digest) -> Vec<u8> {
    [&epoch.to_be_bytes()[..], &receipt.0].concat()
}

fn epoch_of(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn marks_stay_until_their_epoch_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::open(&folder.path().join("marks.redb")).unwrap();
        let receipts: Vec<Digest> = (0..2_000_u32).map(|i| crypto::hash("og/test", &[&i.to_be_bytes()])).collect();
        for receipt in &receipts[..3] {
            marks.set(7, receipt).await.unwrap();
        }
        marks.0.commit(receipts.iter().map(|id| Change::put(SETTLED, key(6, id), [])).collect()).await.unwrap();
        assert!(marks.contains(6, &receipts[1_999]).unwrap() && marks.contains(7, &receipts[0]).unwrap());
        assert!(!marks.contains(7, &receipts[3]).unwrap());
        marks.forget_before(7).await.unwrap();
        assert!(receipts.iter().all(|id| !marks.contains(6, id).unwrap()), "more than one step holds");
        assert!(marks.contains(7, &receipts[2]).unwrap());
        assert_eq!(marks.furthest_ms().unwrap(), 0);
        marks.reach(1_700_000_000_000).await.unwrap();
        assert_eq!(marks.furthest_ms().unwrap(), 1_700_000_000_000);
    }
}
