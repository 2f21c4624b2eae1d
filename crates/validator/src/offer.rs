//! Snapshots that others may begin from: which there are, the small tables cut into chunks that are named by their digests, the EVM's state and
//! the ledger's tree in pages that are named by their roots, and the epochs in groups and pieces.
//!
//! All validators take a snapshot after the same epochs, and a snapshot is a function of the chain: honest ones offer the same. Each
//! is read from the state's file as it was when the snapshot was written.

use std::{collections::VecDeque, sync::Mutex};

use crypto::hash;
use evm::{STATE_CODES, STATE_PAGES};
use ledger::{EPOCHS, EPOCHS_A_GROUP, PIECES, ROW_PAGES, Snapshot};
use protocol::{Bytes, Canonical as _, Digest, EpochRecord, List, Version, record};
use storage::Moment;

use crate::lock::locked;

/// What lies beside the EVM's state in its file: a snapshot's chunks.
pub(crate) const LEDGER: &str = "ledger";
/// Bytes of a chunk; the last may have fewer.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Chunks of the largest snapshot.
pub(crate) const CHUNKS_MAX: usize = 4_096;
/// Snapshots that are offered at once: who loads one has time until so many newer ones are there.
const OFFERS: usize = 4;
const CHUNK: &str = "og/snapshot/chunk/v1";
const PAGE_BYTES: usize = evm::PAGE_BYTES_MAX;
const ROW_PAGE_BYTES: usize = ledger::PAGE_BYTES_MAX;
/// Of a century.
const GROUPS_MAX: usize = 1 << 20;
const PIECE_KEY_BYTES: usize = 16;
/// Bytes of the largest piece of an epoch, and more.
const PIECE_BYTES: usize = 1 << 20;
/// Pages of one answer.
pub(crate) const RUN_MAX: usize = 16_384;
/// Their bytes, but for one more page.
const RUN_BYTES: usize = 1 << 20;
pub(crate) const RUN_BYTES_MAX: usize = RUN_BYTES + RUN_MAX * 4 + (16 << 10);
pub(crate) const ROW_RUN_BYTES_MAX: usize = RUN_BYTES_MAX + ROW_PAGE_BYTES;
pub(crate) const PIECE_RUN_BYTES_MAX: usize = RUN_BYTES_MAX + PIECE_BYTES + RUN_MAX * (4 + PIECE_KEY_BYTES);
pub(crate) const GROUP_RUN_BYTES_MAX: usize = EPOCHS_A_GROUP * 512;

record! {
    /// What a snapshot is made of.
    Offer in "og/snapshot/offer/v3" {
        version: Version<3>,
        chain_id: u64,
        /// Newest closed epoch, and its last block.
        epoch: u64,
        height: u64,
        /// Root of the EVM's state, and how many accounts and slots it has.
        state_root: Digest,
        state_leaves: u64,
        /// Root of the ledger's state, and how many rows it has.
        ledger_root: Digest,
        ledger_rows: u64,
        /// What commits to each whole group of epochs' records.
        groups: List<Digest, GROUPS_MAX>,
        /// Bytes of all chunks together: the small tables.
        length: u64,
        /// Digest of each chunk, in order.
        chunks: List<Digest, CHUNKS_MAX>,
    }
}

record! {
    /// Pages of the ledger's tree, in the same way.
    RowRun {
        version: Version<1>,
        pages: List<Bytes<ROW_PAGE_BYTES>, RUN_MAX>,
    }
}

record! {
    /// Records of epochs that follow one another: a whole group.
    GroupRun {
        version: Version<1>,
        records: List<EpochRecord, EPOCHS_A_GROUP>,
    }
}

record! {
    /// A row of an epoch: some of its receipts, or of its verdicts.
    PieceRow { key: Bytes<PIECE_KEY_BYTES>, value: Bytes<PIECE_BYTES>, }
}

record! {
    /// Rows of epochs, in order.
    PieceRun {
        version: Version<1>,
        pieces: List<PieceRow, RUN_MAX>,
    }
}

record! {
    /// Pages of the EVM's state, one after the other as a walk from the root meets them.
    PageRun {
        version: Version<1>,
        pages: List<Bytes<PAGE_BYTES>, RUN_MAX>,
    }
}

/// Where a chunk lies.
pub(crate) fn chunk_key(chunk: usize) -> Vec<u8> {
    [b"chunk".as_slice(), &u32::try_from(chunk).unwrap_or(u32::MAX).to_be_bytes()].concat()
}

pub(crate) fn chunk_digest(chunk: &[u8]) -> Digest {
    hash(CHUNK, &[chunk])
}

impl Offer {
    /// `None` for what is larger than a snapshot may be.
    pub fn of(chain_id: u64, epoch: u64, snapshot: &Snapshot) -> Option<Self> {
        let (height, world) = (snapshot.height(), snapshot.world());
        let (ledger_root, ledger_rows) = snapshot.kept().state();
        let of_bytes = Self::of_bytes(chain_id, (epoch, height), snapshot.bytes())?;
        let (state_root, state_leaves) = (Digest(world.root().0), world.leaves());
        let groups = List::new(snapshot.groups().to_vec()).ok()?;
        Some(Self { state_root, state_leaves, ledger_root, ledger_rows, groups, ..of_bytes })
    }

    /// Beside an empty state.
    pub fn of_bytes(chain_id: u64, (epoch, height): (u64, u64), bytes: &[u8]) -> Option<Self> {
        let chunks = List::new(bytes.chunks(CHUNK_BYTES).map(chunk_digest).collect()).ok()?;
        let (length, none) = (bytes.len() as u64, (Digest::ZERO, 0));
        let ((state_root, state_leaves), (ledger_root, ledger_rows)) = (none, none);
        Some(Self {
            version: Version,
            chain_id,
            epoch,
            height,
            state_root,
            state_leaves,
            ledger_root,
            ledger_rows,
            groups: List::default(),
            length,
            chunks,
        })
    }

    /// Bytes of a chunk; `None` where there is no such chunk, or the length does not fit their number.
    pub fn bytes_of(&self, chunk: usize) -> Option<usize> {
        let (length, count) = (usize::try_from(self.length).ok()?, self.chunks.len());
        let fits = length.div_ceil(CHUNK_BYTES) == count;
        let left = length.checked_sub(chunk.checked_mul(CHUNK_BYTES)?)?;
        (fits && chunk < count).then_some(left.min(CHUNK_BYTES))
    }
}

/// The snapshots that this node offers, each with the moment in which the file had it.
#[derive(Default)]
pub(crate) struct Offers(Mutex<VecDeque<(Offer, Moment)>>);

impl Offers {
    /// Offers what a moment shows.
    pub fn add(&self, offer: Offer, moment: Moment) {
        let mut offers = locked(&self.0);
        // Executed again, it is the same again.
        if offers.iter().any(|(known, _)| known.epoch == offer.epoch) {
            return;
        }
        offers.push_back((offer, moment));
        if offers.len() > OFFERS {
            offers.pop_front();
        }
    }

    /// Newest last.
    pub fn all(&self) -> Vec<Offer> {
        locked(&self.0).iter().map(|(offer, _)| offer.clone()).collect()
    }

    fn moment(&self, epoch: u64) -> Option<Moment> {
        locked(&self.0).iter().find(|(offer, _)| offer.epoch == epoch).map(|(_, moment)| moment.clone())
    }

    /// A chunk of what is offered.
    pub fn chunk(&self, epoch: u64, chunk: usize) -> Option<Vec<u8>> {
        self.moment(epoch)?.get(LEDGER, &chunk_key(chunk)).ok().flatten()
    }

    /// Pages of what is offered, from the one with this name on.
    pub fn pages(&self, epoch: u64, name: &[u8]) -> Option<PageRun> {
        let entries = self.moment(epoch)?.scan(STATE_PAGES, name, RUN_MAX, RUN_BYTES).ok()?;
        entries.first().filter(|(first, _)| first == name)?;
        let pages = entries.into_iter().map(|(_, page)| Bytes::new(page)).collect::<Result<_, _>>().ok()?;
        Some(PageRun { version: Version, pages: List::new(pages).ok()? })
    }

    /// Pages of the ledger's tree, in the same way.
    pub fn rows(&self, epoch: u64, name: &[u8]) -> Option<RowRun> {
        let entries = self.moment(epoch)?.scan(ROW_PAGES, name, RUN_MAX, RUN_BYTES).ok()?;
        entries.first().filter(|(first, _)| first == name)?;
        let pages = entries.into_iter().map(|(_, page)| Bytes::new(page)).collect::<Result<_, _>>().ok()?;
        Some(RowRun { version: Version, pages: List::new(pages).ok()? })
    }

    /// A whole group of records.
    pub fn group(&self, epoch: u64, group: u64) -> Option<GroupRun> {
        let first = group.checked_mul(EPOCHS_A_GROUP as u64)?;
        let entries = self.moment(epoch)?.scan(EPOCHS, &first.to_be_bytes(), EPOCHS_A_GROUP, usize::MAX).ok()?;
        let records = entries.iter().map(|(_, record)| EpochRecord::decode(record).ok()).collect::<Option<_>>()?;
        Some(GroupRun { version: Version, records: List::new(records).ok()? })
    }

    /// Rows of epochs, from the one with this key on.
    pub fn pieces(&self, epoch: u64, key: &[u8]) -> Option<PieceRun> {
        let entries = self.moment(epoch)?.scan(PIECES, key, RUN_MAX, RUN_BYTES).ok()?;
        entries.first().filter(|(first, _)| first == key)?;
        let row = |(key, value)| Some(PieceRow { key: Bytes::new(key).ok()?, value: Bytes::new(value).ok()? });
        let pieces = entries.into_iter().map(row).collect::<Option<_>>()?;
        Some(PieceRun { version: Version, pieces: List::new(pieces).ok()? })
    }

    /// Code that the state of what is offered names.
    pub fn code(&self, epoch: u64, hash: &Digest) -> Option<Vec<u8>> {
        self.moment(epoch)?.get(STATE_CODES, &hash.0).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use blocks::StateFile;
    use evm::{Account, Changes, World};
    use protocol::Noun as _;

    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index / 1_000) as u8).collect()
    }

    fn offer(epoch: u64, bytes: &[u8]) -> Offer {
        Offer::of_bytes(1, (epoch, 900), bytes).unwrap()
    }

    #[test]
    fn an_offer_names_every_byte_once() {
        for length in [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let offer = offer(31, &bytes(length));
            let sizes: Vec<usize> = (0..).map_while(|chunk| offer.bytes_of(chunk)).collect();
            assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (offer.chunks.len(), length));
            assert_eq!(Offer::decode(&offer.encode()).unwrap(), offer);
        }
        let offer = offer(31, &bytes(9));
        for length in [0, CHUNK_BYTES as u64 + 1, u64::MAX] {
            assert_eq!(Offer { length, ..offer.clone() }.bytes_of(0), None, "{length} bytes in one chunk");
        }
    }

    #[test]
    fn a_changed_byte_of_an_offer_is_refused_or_makes_another() {
        let offer = offer(31, &bytes(9));
        let bytes = offer.encode();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            assert!(Offer::decode(&changed).is_err() || Offer::decode(&changed).unwrap().digest() != offer.digest());
            assert!(Offer::decode(&bytes[..place]).is_err());
        }
    }

    #[test]
    fn what_is_offered_stays_while_its_file_moves_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::open(&folder.path().join("state.redb"), &[LEDGER], 1 << 20).unwrap();
        let (offers, mut world) = (Offers::default(), World::default());
        for epoch in 0..6_u64 {
            let account = Account { nonce: epoch + 1, ..Account::default() };
            let accounts = (0..100_u8).map(|number| ([number; 20].into(), Some(account)));
            world.apply(&Changes { accounts: accounts.collect(), ..Changes::default() }).unwrap();
            let bytes = bytes(CHUNK_BYTES + 7 + epoch as usize);
            let chunks = bytes.chunks(CHUNK_BYTES).enumerate();
            let chunks = chunks.map(|(chunk, bytes)| storage::Change::put(LEDGER, chunk_key(chunk), bytes)).collect();
            let (base, moment) = file.write(&world.mark(), chunks).unwrap();
            world.rest_on(&base);
            for _ in 0..2 {
                offers.add(offer(epoch, &bytes), moment.clone());
            }
        }
        assert_eq!(offers.all().iter().map(|offer| offer.epoch).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(offers.chunk(3, 1).unwrap(), bytes(CHUNK_BYTES + 10)[CHUNK_BYTES..]);
        assert_eq!(chunk_digest(&offers.chunk(3, 0).unwrap()), offers.all()[1].chunks[0]);
        assert!(offers.chunk(3, 2).is_none() && offers.chunk(1, 0).is_none());
        let root = evm::Arriving::new(world.root(), world.leaves()).wanted().unwrap().1;
        let (newest, older) = (offers.pages(5, &root).unwrap(), offers.pages(2, &root).unwrap());
        assert_eq!(newest.pages.len(), 17, "a branch and its buckets");
        assert!(newest != older && PageRun::decode(&newest.encode()).unwrap() == newest);
        assert!(newest.encode().len() <= RUN_BYTES_MAX);
        assert!(offers.pages(5, b"nothing").is_none() && offers.pages(1, &root).is_none());
        assert!(offers.code(5, &Digest([1; 32])).is_none());
    }
}
