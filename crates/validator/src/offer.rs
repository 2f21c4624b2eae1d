//! Snapshots that others may begin from: which there are, cut into chunks that are named by their digests.
//!
//! All validators take a snapshot after the same epochs, and a snapshot is a function of the chain: honest ones offer the same.

use std::{
    collections::VecDeque,
    fs, io,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::Mutex,
};

use crypto::hash;
use protocol::{Digest, List, Version, record};

use crate::lock::locked;

/// Bytes of a chunk; the last may have fewer.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Chunks of the largest snapshot.
pub(crate) const CHUNKS_MAX: usize = 4_096;
/// Snapshots that are offered at once: who loads one has time until so many newer ones are there.
const OFFERS: usize = 4;
const CHUNK: &str = "og/snapshot/chunk/v1";

record! {
    /// What a snapshot is made of.
    Offer in "og/snapshot/offer/v1" {
        version: Version<1>,
        chain_id: u64,
        /// Newest closed epoch, and its last block.
        epoch: u64,
        height: u64,
        /// Bytes of all chunks together.
        length: u64,
        /// Digest of each chunk, in order.
        chunks: List<Digest, CHUNKS_MAX>,
    }
}

pub(crate) fn chunk_digest(chunk: &[u8]) -> Digest {
    hash(CHUNK, &[chunk])
}

impl Offer {
    /// `None` for what is larger than a snapshot may be.
    pub fn of(chain_id: u64, epoch: u64, height: u64, bytes: &[u8]) -> Option<Self> {
        let chunks = List::new(bytes.chunks(CHUNK_BYTES).map(chunk_digest).collect()).ok()?;
        Some(Self { version: Version, chain_id, epoch, height, length: bytes.len() as u64, chunks })
    }

    /// Bytes of a chunk; `None` where there is no such chunk, or the length does not fit their number.
    pub fn bytes_of(&self, chunk: usize) -> Option<usize> {
        let (length, count) = (usize::try_from(self.length).ok()?, self.chunks.len());
        let fits = length.div_ceil(CHUNK_BYTES) == count;
        let left = length.checked_sub(chunk.checked_mul(CHUNK_BYTES)?)?;
        (fits && chunk < count).then_some(left.min(CHUNK_BYTES))
    }
}

/// The snapshots that this node offers, each a second name of a file that was the newest once.
pub(crate) struct Offers {
    folder: PathBuf,
    offers: Mutex<VecDeque<Offer>>,
}

impl Offers {
    /// In this folder, which is emptied: what it held was for another life.
    pub fn new(folder: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, offers: Mutex::default() })
    }

    /// Offers what lies in `file` now, whatever its name holds later.
    pub fn add(&self, file: &Path, offer: Offer) -> io::Result<()> {
        let mut offers = locked(&self.offers);
        // Executed again, it is the same again.
        if offers.iter().any(|known| known.epoch == offer.epoch) {
            return Ok(());
        }
        fs::hard_link(file, self.path(offer.epoch))?;
        offers.push_back(offer);
        while offers.len() > OFFERS {
            if let Some(old) = offers.pop_front() {
                fs::remove_file(self.path(old.epoch))?;
            }
        }
        Ok(())
    }

    fn path(&self, epoch: u64) -> PathBuf {
        self.folder.join(epoch.to_string())
    }

    /// Newest last.
    pub fn all(&self) -> Vec<Offer> {
        locked(&self.offers).iter().cloned().collect()
    }

    /// A chunk of what is offered.
    pub fn chunk(&self, epoch: u64, chunk: usize) -> Option<Vec<u8>> {
        let length = locked(&self.offers).iter().find(|offer| offer.epoch == epoch)?.bytes_of(chunk)?;
        let mut file = fs::File::open(self.path(epoch)).ok()?;
        file.seek(SeekFrom::Start(chunk.checked_mul(CHUNK_BYTES)? as u64)).ok()?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Canonical as _, Noun as _};

    use super::*;

    fn snapshot(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index / 1_000) as u8).collect()
    }

    #[test]
    fn an_offer_names_every_byte_once() {
        for length in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let offer = Offer::of(1, 31, 900, &snapshot(length)).unwrap();
            let sizes: Vec<usize> = (0..).map_while(|chunk| offer.bytes_of(chunk)).collect();
            assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (offer.chunks.len(), length));
            assert_eq!(Offer::decode(&offer.encode()).unwrap(), offer);
        }
        let offer = Offer::of(1, 31, 900, &snapshot(9)).unwrap();
        for length in [0, CHUNK_BYTES as u64 + 1, u64::MAX] {
            assert_eq!(Offer { length, ..offer.clone() }.bytes_of(0), None, "{length} bytes in one chunk");
        }
    }

    #[test]
    fn a_changed_byte_of_an_offer_is_refused_or_makes_another() {
        let offer = Offer::of(1, 31, 900, &snapshot(9)).unwrap();
        let bytes = offer.encode();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(Offer::decode(&changed).is_err() || Offer::decode(&changed).unwrap().digest() != offer.digest());
            assert!(Offer::decode(&bytes[..place]).is_err());
        }
    }

    #[test]
    fn what_is_offered_stays_while_its_file_is_replaced_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let offers = Offers::new(folder.path().join("offers")).unwrap();
        let file = folder.path().join("ledger.snapshot");
        for epoch in 0..6_u64 {
            let bytes = snapshot(CHUNK_BYTES + 7 + epoch as usize);
            storage::write_file(&file, &bytes).unwrap();
            for _ in 0..2 {
                offers.add(&file, Offer::of(1, epoch, epoch, &bytes).unwrap()).unwrap();
            }
        }
        assert_eq!(offers.all().iter().map(|offer| offer.epoch).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(offers.chunk(3, 1).unwrap(), snapshot(CHUNK_BYTES + 10)[CHUNK_BYTES..]);
        assert_eq!(chunk_digest(&offers.chunk(3, 0).unwrap()), offers.all()[1].chunks[0]);
        assert!(offers.chunk(3, 2).is_none() && offers.chunk(1, 0).is_none());
        assert_eq!(fs::read_dir(folder.path().join("offers")).unwrap().count(), 4);
    }
}
