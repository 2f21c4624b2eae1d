//! The outbox on disk: a log of receipts that came and of places that are done with, begun anew when most of it is.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use protocol::{Canonical as _, SignedReceipt};
use storage::{Log, LogError, Mark, Ticket};
use thiserror::Error;

/// First byte of an entry: a receipt and its place, or places that are done with.
const CAME: u8 = 0;
const GONE: u8 = 1;
/// A log that is shorter is never begun anew.
const SHORT_BYTES: u64 = 16 << 20;
/// A log is begun anew where what is left is a smaller share of it than this one.
const LEFT_SHARE: u64 = 4;

/// Why what was waiting could not be read.
#[derive(Debug, Error)]
pub enum KeptError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("failed to read a waiting receipt: {0}")]
    Receipt(#[from] protocol::DecodeError),
    #[error(
        "failed to read entry {entry} of the outbox: {found}, a receipt with its place or places of 8 bytes expected"
    )]
    Entry { entry: usize, found: String },
}

/// A handle on the log; clones share it.
#[derive(Clone)]
pub struct Kept(Log);

/// A receipt on its way to the disk.
#[must_use]
pub struct Keeping {
    log: Log,
    ticket: Ticket,
}

impl Keeping {
    /// Returns when it survives a crash.
    pub async fn wait(self) -> Result<(), LogError> {
        self.log.wait(self.ticket).await
    }
}

impl Kept {
    /// Opens or makes the file; what waits, by its place.
    pub fn open(path: &Path) -> Result<(Self, BTreeMap<u64, SignedReceipt>), KeptError> {
        let (log, entries) = Log::open(path)?;
        let mut waiting = BTreeMap::new();
        for (entry, bytes) in entries.iter().enumerate() {
            apply(&mut waiting, entry, bytes)?;
        }
        Ok((Self(log), waiting))
    }

    /// The entry of a receipt that came.
    pub fn came(place: u64, receipt: &SignedReceipt) -> Vec<u8> {
        [&[CAME], &place.to_be_bytes()[..], &receipt.encode()].concat()
    }

    pub fn append(&self, entry: &[u8]) -> Result<Keeping, LogError> {
        let ticket = self.0.append(entry)?;
        Ok(Keeping { log: self.0.clone(), ticket })
    }

    /// These places are done with.
    pub fn forget(&self, places: &[u64]) -> Result<(), LogError> {
        let places = places.iter().flat_map(|place| place.to_be_bytes());
        let entry: Vec<u8> = std::iter::once(GONE).chain(places).collect();
        self.0.append(&entry).map(drop)
    }

    /// True where the log is long and few receipts of it are left.
    pub fn is_to_be_begun_anew(&self, left: usize) -> bool {
        let length = self.0.bytes();
        // A receipt has about a kilobyte.
        let left_bytes = (left as u64).saturating_mul(1 << 10);
        length > SHORT_BYTES && left_bytes.saturating_mul(LEFT_SHARE) < length
    }

    /// To be made together with the list of what is left.
    pub fn mark(&self) -> Mark {
        self.0.mark()
    }

    /// Begins the log anew with what was left at the mark, and what came since.
    pub fn begin_anew(&self, mark: Mark, left: &[(u64, Arc<SignedReceipt>)]) -> Result<(), LogError> {
        let entries: Vec<Vec<u8>> = left.iter().map(|(place, receipt)| Self::came(*place, receipt)).collect();
        self.0.rewrite_since(mark, &entries).map(drop)
    }
}

fn apply(waiting: &mut BTreeMap<u64, SignedReceipt>, entry: usize, bytes: &[u8]) -> Result<(), KeptError> {
    let refuse = |found: String| KeptError::Entry { entry, found };
    let (kind, rest) = bytes.split_first().ok_or_else(|| refuse("nothing".to_owned()))?;
    let (places, left) = rest.as_chunks::<8>();
    match (*kind, places) {
        (CAME, [place, ..]) => {
            waiting.insert(u64::from_be_bytes(*place), SignedReceipt::decode(&rest[place.len()..])?);
        }
        (GONE, places) if left.is_empty() => {
            places.iter().for_each(|place| drop(waiting.remove(&u64::from_be_bytes(*place))));
        }
        _ => return Err(refuse(format!("kind {kind} with {} bytes", rest.len()))),
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn receipt() -> SignedReceipt {
        let vector: serde_json::Value =
            serde_json::from_str(include_str!("../../protocol/vectors/signed_receipt.json")).unwrap();
        let hex = vector["cases"][0]["bytes"].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        SignedReceipt::decode(&(0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()).unwrap()
    }

    fn reopen(path: &Path) -> Result<(Kept, BTreeMap<u64, SignedReceipt>), KeptError> {
        for _ in 0..200 {
            match Kept::open(path) {
                // The last handle's writer closes the file just after it.
                Err(KeptError::Log(LogError::InUse { .. })) => std::thread::sleep(std::time::Duration::from_millis(5)),
                other => return other,
            }
        }
        Kept::open(path)
    }

    fn places(waiting: &BTreeMap<u64, SignedReceipt>) -> Vec<u64> {
        waiting.keys().copied().collect()
    }

    #[tokio::test]
    async fn what_came_and_is_not_done_with_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.log");
        let (kept, waiting) = reopen(&path).unwrap();
        assert!(waiting.is_empty());
        let receipt = receipt();
        for place in [3, 4, 1 << 40] {
            kept.append(&Kept::came(place, &receipt)).unwrap().wait().await.unwrap();
        }
        assert!(!kept.is_to_be_begun_anew(1), "it is short");
        kept.forget(&[3, 1 << 40, 77]).unwrap();
        drop(kept);
        let (_kept, waiting) = reopen(&path).unwrap();
        assert_eq!((places(&waiting), &waiting[&4]), (vec![4], &receipt));
    }

    #[tokio::test]
    async fn a_long_log_of_which_little_is_left_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox.log");
        let (kept, _) = reopen(&path).unwrap();
        let receipt = receipt();
        let entry = Kept::came(0, &receipt);
        for _ in 0..SHORT_BYTES as usize / entry.len() {
            let _keeping = kept.append(&entry).unwrap();
        }
        kept.append(&entry).unwrap().wait().await.unwrap();
        assert!(kept.0.bytes() > SHORT_BYTES);
        assert!(kept.is_to_be_begun_anew(1) && !kept.is_to_be_begun_anew(SHORT_BYTES as usize >> 11));
        let mark = kept.mark();
        // Comes while what is left is written down.
        drop(kept.append(&Kept::came(10, &receipt)).unwrap());
        kept.begin_anew(mark, &[(9, Arc::new(receipt.clone()))]).unwrap();
        kept.append(&Kept::came(11, &receipt)).unwrap().wait().await.unwrap();
        assert!(kept.0.bytes() < 4 * entry.len() as u64, "{} bytes", kept.0.bytes());
        drop(kept);
        assert_eq!(places(&reopen(&path).unwrap().1), [9, 10, 11]);
    }

    #[test]
    fn an_entry_of_another_kind_or_length_is_refused_and_none_makes_it_panic() {
        let receipt = receipt();
        let read = |bytes: &[u8]| apply(&mut BTreeMap::new(), 5, bytes);
        let told = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(told(&[]).starts_with("failed to read entry 5 of the outbox: nothing"), "{}", told(&[]));
        assert!(told(&[7, 1]).contains("kind 7 with 1 bytes"), "{}", told(&[7, 1]));
        assert!(told(&[CAME, 1]).contains("kind 0 with 1 bytes"));
        assert!(told(&[GONE, 1]).contains("kind 1 with 1 bytes"));
        let whole = Kept::came(6, &receipt);
        assert!(read(&whole).is_ok());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            let _read_or_refused = read(&changed);
        }
    }
}
