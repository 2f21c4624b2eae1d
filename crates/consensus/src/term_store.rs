//! What outlives a crash of the terms: who sat when, this node's shares, and the journal of the round that is under way.
//!
//! Shares and journal are secret and sealed under a key that is derived from the node's own; a share is removed once its term is over
//! and the one after it, so that what leaks later is of no use.

use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, RangeCfg, Read, ReadExt, Write};
use commonware_cryptography::{Hasher, Sha256, sha256::Digest};
use commonware_runtime::buffer::paged::CacheRef;
use commonware_storage::{
    archive::{Archive as _, Identifier, immutable, prunable},
    metadata::{self, Metadata},
    translator::EightCap,
};
use commonware_utils::{NZU64, sequence::U64};
use storage::Sealer;

use crate::{
    CommitteeError, Seat,
    committee::group_key,
    environment::Environment,
    limits::MAX_VALIDATORS,
    reshare::{Committee, KeyState, MAX_MESSAGE_BYTES, TermState},
    seat::Seats,
    store::{StoreError, open_archive, open_prunable},
};

/// Entries that a term's journal may have: a message of each dealer to each seat, and back.
const ENTRIES_PER_TERM: u64 = 1 << 24;
/// The longest public polynomial: 171 points and some header.
const POLYNOMIAL_BYTES_MAX: usize = 17 << 10;
/// Sealed bytes: who, and a message with what sealing adds.
const ENTRY_BYTES_MAX: usize = MAX_MESSAGE_BYTES + 256;
const SHARE_BYTES_MAX: usize = 256;

/// A term as it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TermRecord {
    /// Newest block of the term before, and its digest.
    pub height: u64,
    pub begin: [u8; 32],
    pub seats: Vec<Seat>,
    pub polynomial: Vec<u8>,
    /// Whom the ledger named for the term after it.
    pub next: Vec<Seat>,
    pub key: KeyState,
}

impl TermRecord {
    /// The key after the one that signs in this term, if these seats hold it already, and its number.
    pub fn fresh_key(&self) -> Result<Option<(u64, [u8; 96])>, CommitteeError> {
        if self.key.fresh.is_empty() {
            return Ok(None);
        }
        let key = group_key(&self.key.fresh, Seats::read(&self.seats)?.keys())?;
        Ok(Some((self.key.serial.saturating_add(1), key)))
    }

    /// What the network signs of it.
    pub fn digest(&self, term: u64) -> [u8; 32] {
        Sha256::hash(&[term.to_be_bytes().as_slice(), &self.encode()]).0
    }

    /// What the fold of blocks goes on from.
    pub fn state(&self) -> TermState {
        let keys = |seats: &[Seat]| seats.iter().map(|seat| seat.key).collect();
        let committee = Committee { members: keys(&self.seats), polynomial: self.polynomial.clone() };
        let key = self.key.clone();
        TermState { height: self.height, committee, next: keys(&self.next), key, logs: Vec::new() }
    }
}

impl Write for Seat {
    fn write(&self, out: &mut impl BufMut) {
        self.key.write(out);
        self.node.write(out);
    }
}

impl EncodeSize for Seat {
    fn encode_size(&self) -> usize {
        64
    }
}

impl Read for Seat {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self { key: <[u8; 32]>::read(input)?, node: <[u8; 32]>::read(input)? })
    }
}

impl Write for KeyState {
    fn write(&self, out: &mut impl BufMut) {
        self.serial.write(out);
        self.since.write(out);
        self.fresh.write(out);
        self.is_due.write(out);
    }
}

impl EncodeSize for KeyState {
    fn encode_size(&self) -> usize {
        8 + 8 + self.fresh.encode_size() + 1
    }
}

impl Read for KeyState {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(Self {
            serial: u64::read(input)?,
            since: u64::read(input)?,
            fresh: Vec::read_cfg(input, &(RangeCfg::new(0..=POLYNOMIAL_BYTES_MAX), ()))?,
            is_due: bool::read(input)?,
        })
    }
}

impl Write for TermRecord {
    fn write(&self, out: &mut impl BufMut) {
        self.height.write(out);
        self.begin.write(out);
        self.seats.write(out);
        self.polynomial.write(out);
        self.next.write(out);
        self.key.write(out);
    }
}

impl EncodeSize for TermRecord {
    fn encode_size(&self) -> usize {
        let lists = self.seats.encode_size() + self.polynomial.encode_size() + self.next.encode_size();
        40 + lists + self.key.encode_size()
    }
}

impl Read for TermRecord {
    type Cfg = ();

    fn read_cfg(input: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        let seats = (RangeCfg::new(0..=usize::try_from(MAX_VALIDATORS).unwrap_or(usize::MAX)), ());
        Ok(Self {
            height: u64::read(input)?,
            begin: <[u8; 32]>::read(input)?,
            seats: Vec::read_cfg(input, &seats)?,
            polynomial: Vec::read_cfg(input, &(RangeCfg::new(0..=POLYNOMIAL_BYTES_MAX), ()))?,
            next: Vec::read_cfg(input, &seats)?,
            key: KeyState::read(input)?,
        })
    }
}

/// A seat's share in a term.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OwnShare {
    pub seat: [u8; 32],
    pub share: Vec<u8>,
}

/// This node's shares in a term: of the key that signs, and of the one after it, if there is one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnShares {
    pub present: Vec<OwnShare>,
    pub fresh: Vec<OwnShare>,
}

/// What one of our seats did in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub round: u64,
    pub seat: [u8; 32],
    pub entry: Vec<u8>,
}

pub(crate) struct TermStore<E: Environment> {
    terms: immutable::Archive<E, Digest, TermRecord>,
    shares: Metadata<E, U64, Vec<u8>>,
    journal: prunable::Archive<EightCap, E, Digest, Vec<u8>>,
    entries: u64,
    sealer: Sealer,
}

const NAME: &str = "terms";
const JOURNAL: &str = "round";
/// Shares of one key that one node may have in one term.
const SEATS_MAX: u64 = 1 << 9;
/// Shares in one term: the present key's, then the fresh one's.
const SHARES_MAX: u64 = 2 * SEATS_MAX;

fn failed(source: commonware_storage::archive::Error) -> StoreError {
    StoreError::Archive { name: NAME, source }
}

impl<E: Environment> TermStore<E> {
    /// `secret` is this node's signing key, from which the sealing key is made.
    pub async fn open(context: E, prefix: &str, secret: &[u8; 32], cache: CacheRef) -> Result<Self, StoreError> {
        let terms = open_archive(context.child("terms"), prefix, NAME, cache.clone(), ()).await?;
        let config = metadata::Config {
            partition: format!("{prefix}shares"),
            codec_config: (RangeCfg::new(0..=SHARE_BYTES_MAX), ()),
        };
        let shares = Metadata::init(context.child("shares"), config).await?;
        let (files, bytes) = (format!("{prefix}{JOURNAL}"), (RangeCfg::new(0..=ENTRY_BYTES_MAX), ()));
        let journal =
            open_prunable(context.child("round"), &files, NAME, NZU64!(ENTRIES_PER_TERM), cache, bytes).await?;
        let key = Sha256::hash(&[b"og_TERM_SEAL".as_slice(), secret.as_slice()]);
        Ok(Self { terms, shares, journal, entries: 0, sealer: Sealer::new(key.0) })
    }

    /// The newest term that has begun here.
    pub fn newest(&self) -> Option<u64> {
        self.terms.last_index()
    }

    pub async fn record(&self, term: u64) -> Result<Option<TermRecord>, StoreError> {
        self.terms.get(Identifier::Index(term)).await.map_err(failed)
    }

    /// Durable when it returns. The shares of the term are, before it begins.
    pub async fn begin(mut self, term: u64, record: &TermRecord, shares: &OwnShares) -> Result<Self, StoreError> {
        let oldest = term.saturating_sub(1).saturating_mul(SHARES_MAX);
        self.shares.retain(|place, _| u64::from(place) >= oldest);
        let first = term.saturating_mul(SHARES_MAX);
        for (first, shares) in [(first, &shares.present), (first.saturating_add(SEATS_MAX), &shares.fresh)] {
            for (index, share) in (0..SEATS_MAX).zip(shares) {
                let place = first.saturating_add(index);
                let bytes = [share.seat.as_slice(), &share.share].concat();
                self.shares.put(U64::from(place), self.seal(&format!("share {place}"), &bytes)?);
            }
        }
        self.shares = self.shares.sync().await?;
        let digest = Sha256::hash(&[&record.encode()]);
        self.terms = self.terms.put_sync(term, digest, record).await.map_err(failed)?;
        self.journal = self.journal.prune(term.saturating_mul(ENTRIES_PER_TERM)).await.map_err(failed)?;
        self.entries = 0;
        Ok(self)
    }

    /// This node's shares in a term.
    pub fn shares(&self, term: u64) -> Result<OwnShares, StoreError> {
        let first = term.saturating_mul(SHARES_MAX);
        Ok(OwnShares { present: self.shares_from(first)?, fresh: self.shares_from(first.saturating_add(SEATS_MAX))? })
    }

    fn shares_from(&self, first: u64) -> Result<Vec<OwnShare>, StoreError> {
        let mut shares = Vec::new();
        for place in first..first.saturating_add(SEATS_MAX) {
            let Some(sealed) = self.shares.get(&U64::from(place)) else { break };
            let bytes = self.unseal(&format!("share {place}"), sealed)?;
            if let Some((seat, share)) = bytes.split_first_chunk::<32>() {
                shares.push(OwnShare { seat: *seat, share: share.to_vec() });
            }
        }
        Ok(shares)
    }

    /// Writes down what one of our seats did in a round of a term; durable when it returns.
    pub async fn note(mut self, term: u64, noted: &Noted) -> Result<Self, StoreError> {
        let index = term.saturating_mul(ENTRIES_PER_TERM).saturating_add(self.entries);
        let bytes = [noted.round.to_be_bytes().as_slice(), &noted.seat, &noted.entry].concat();
        let sealed = self.seal(&format!("entry {index}"), &bytes)?;
        let digest = Sha256::hash(&[&sealed]);
        self.journal = self.journal.put_sync(index, digest, &sealed).await.map_err(failed)?;
        self.entries = self.entries.saturating_add(1);
        Ok(self)
    }

    /// What was written down in a term's rounds, in order.
    pub async fn noted(&mut self, term: u64) -> Result<Vec<Noted>, StoreError> {
        let first = term.saturating_mul(ENTRIES_PER_TERM);
        let mut entries = Vec::new();
        self.entries = 0;
        while let Some(sealed) =
            self.journal.get(Identifier::Index(first.saturating_add(self.entries))).await.map_err(failed)?
        {
            let index = first.saturating_add(self.entries);
            let bytes = self.unseal(&format!("entry {index}"), &sealed)?;
            if let Some((round, bytes)) = bytes.split_first_chunk::<8>()
                && let Some((seat, entry)) = bytes.split_first_chunk::<32>()
            {
                entries.push(Noted { round: u64::from_be_bytes(*round), seat: *seat, entry: entry.to_vec() });
            }
            self.entries = self.entries.saturating_add(1);
        }
        Ok(entries)
    }

    fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.sealer.seal_again(purpose, secret).map_err(StoreError::Sealed)
    }

    fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.sealer.open(purpose, sealed).map_err(StoreError::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::page_cache;
    use commonware_codec::{Copying, Decode as _};
    use commonware_runtime::{Runner, Supervisor, deterministic};

    fn record(height: u64) -> TermRecord {
        let seat = |byte| Seat { key: [byte; 32], node: [byte ^ 1; 32] };
        let (seats, next) = (vec![seat(1), seat(2)], vec![seat(3)]);
        let key = KeyState { serial: 7, since: 8, fresh: vec![1, 2], is_due: true };
        TermRecord { height, begin: [9; 32], seats, polynomial: vec![4, 5, 6], next, key }
    }

    fn read(bytes: &[u8]) -> Result<TermRecord, CodecError> {
        TermRecord::decode_cfg(Copying(bytes), &())
    }

    #[test]
    fn a_changed_byte_of_a_record_is_refused_or_makes_another() {
        let bytes = record(7).encode().to_vec();
        assert_eq!(read(&bytes).unwrap(), record(7));
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            if let Ok(other) = read(&changed) {
                assert_eq!(other.encode().to_vec(), changed, "byte {at}");
            }
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_old_shares_and_journals_are_gone() {
        let open = |context: deterministic::Context, secret: u8| async move {
            TermStore::open(context, "v-", &[secret; 32], page_cache()).await.unwrap()
        };
        let share = |seat: u8| OwnShare { seat: [seat; 32], share: vec![seat; 40] };
        let shares = |seat| OwnShares { present: vec![share(seat), share(seat + 50)], fresh: vec![share(seat + 100)] };
        let noted = |round, seat, entry: &[u8]| Noted { round, seat: [seat; 32], entry: entry.to_vec() };
        let (_, checkpoint) = deterministic::Runner::default().start_and_recover(|context| async move {
            let mut store = open(context.child("store"), 1).await;
            assert_eq!(store.newest(), None);
            for term in 1..=3u8 {
                let height = u64::from(term) * 10;
                store = store.begin(term.into(), &record(height), &shares(term)).await.unwrap();
                store = store.note(term.into(), &noted(6, term, &[term; 99])).await.unwrap();
                store = store.note(term.into(), &noted(7, 0, b"closed")).await.unwrap();
            }
        });
        deterministic::Runner::from(checkpoint).start(|context| async move {
            let mut store = open(context.child("store"), 1).await;
            assert_eq!(store.newest(), Some(3));
            assert_eq!(store.record(1).await.unwrap(), Some(record(10)));
            assert!(store.shares(1).unwrap() == OwnShares::default());
            assert!(store.shares(2).unwrap() == shares(2) && store.shares(3).unwrap() == shares(3));
            assert!(store.noted(1).await.unwrap().is_empty() && store.noted(2).await.unwrap().is_empty());
            assert_eq!(store.noted(3).await.unwrap(), [noted(6, 3, &[3; 99]), noted(7, 0, b"closed")]);
            store = store.note(3, &noted(6, 3, b"more")).await.unwrap();
            assert_eq!(store.noted(3).await.unwrap().len(), 3);
            drop(store);
            let foreign = open(context.child("other"), 2).await;
            assert!(matches!(foreign.shares(3), Err(StoreError::Sealed(_))), "another node's key opens nothing");
        });
    }
}
