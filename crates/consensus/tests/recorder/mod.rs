//! An application for tests: it records what it is given, closes an epoch every few blocks and keeps a pool.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};

use consensus::{Application, Block, EpochCertificate, FinalizedBlock, KeyClock, NextKey, Requests, Seat, Turn};

/// How many blocks make an epoch here.
pub const EPOCH_BLOCKS: u64 = 5;

#[derive(Clone, Default)]
pub struct Record {
    pub height: u64,
    pub blocks: BTreeMap<u64, [u8; 32]>,
    pub transactions: Vec<Vec<u8>>,
    pub empty_blocks: u64,
    /// Local clock minus block time at delivery, where the clock is real.
    pub delays_ms: Vec<u64>,
    pub certificates: BTreeMap<u64, EpochCertificate>,
    pub pending: Vec<Vec<u8>>,
    pub shared: Vec<Vec<u8>>,
    pub misbehaviour: Vec<([u8; 32], Vec<u8>)>,
    /// Who sat from which height on.
    pub seated: BTreeMap<u64, Vec<Seat>>,
    /// Transactions that name a committee: the newest of them counts.
    pub named: Vec<Seat>,
    /// After how many blocks a key is old: height is the clock here.
    pub key_blocks: u64,
    /// The network's keys after the first, as transactions brought them.
    pub keys: Vec<NextKey>,
}

/// What a transaction begins with that names who shall sit.
pub const NAMES: &[u8] = b"committee";

/// A transaction that names who shall sit from some term on.
pub fn naming(seats: &[Seat]) -> Vec<u8> {
    let pairs = seats.iter().flat_map(|seat| [seat.key, seat.node].concat());
    NAMES.iter().copied().chain(pairs).collect()
}

fn read_naming(transaction: &[u8]) -> Option<Vec<Seat>> {
    let (pairs, _) = transaction.strip_prefix(NAMES)?.as_chunks::<64>();
    let seat = |pair: &[u8; 64]| Seat { key: pair[..32].try_into().unwrap(), node: pair[32..].try_into().unwrap() };
    Some(pairs.iter().map(seat).collect())
}

/// What a transaction begins with that brings the network's next key.
const KEY: &[u8] = b"next key";

fn bringing(next: &NextKey) -> Vec<u8> {
    [KEY, next.serial.to_be_bytes().as_slice(), &next.key, &next.signature].concat()
}

fn read_key(transaction: &[u8]) -> Option<NextKey> {
    let (serial, rest) = transaction.strip_prefix(KEY)?.split_first_chunk::<8>()?;
    let (key, signature) = rest.split_first_chunk::<96>()?;
    let serial = u64::from_be_bytes(*serial);
    Some(NextKey { serial, key: *key, signature: signature.try_into().ok()? })
}

#[derive(Default)]
pub struct Recorder {
    record: Mutex<Record>,
    requests: Mutex<Option<Requests>>,
    /// Signs other roots than everybody else.
    pub lies_about_roots: bool,
    fails_at: Option<u64>,
}

impl Recorder {
    /// Starts from what was durable before.
    pub fn from_snapshot(record: Record) -> Self {
        Self { record: Mutex::new(record), ..Self::default() }
    }

    /// Cannot go on with the block of this height.
    #[allow(dead_code, reason = "one of the tests that share this file")]
    pub fn failing_at(height: u64) -> Self {
        Self { fails_at: Some(height), ..Self::default() }
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    pub fn height(&self) -> u64 {
        self.record().height
    }

    pub fn certified(&self) -> u64 {
        u64::try_from(self.record().certificates.len()).unwrap()
    }

    /// Takes a transaction in, as a gateway would: keep, wake, pass on.
    pub fn submit(&self, transaction: Vec<u8>) {
        self.record().pending.push(transaction.clone());
        let requests = self.requests.lock().unwrap().clone().unwrap();
        requests.share(transaction).unwrap();
        requests.wake();
    }

    fn close_epoch(&self, block: &FinalizedBlock) {
        let height = block.block.height();
        if !height.is_multiple_of(EPOCH_BLOCKS) {
            return;
        }
        let mut digest = block.digest;
        digest[0] ^= u8::from(self.lies_about_roots);
        let requests = self.requests.lock().unwrap().clone().unwrap();
        requests.certify(height / EPOCH_BLOCKS, digest);
    }
}

impl Application for Recorder {
    fn height(&self) -> u64 {
        self.record().height
    }

    fn attach(&self, requests: Requests) {
        *self.requests.lock().unwrap() = Some(requests);
    }

    fn propose(&self, turn: &Turn<'_>) -> Vec<Vec<u8>> {
        let taken =
            |transaction: &Vec<u8>| turn.unfinalized.iter().any(|block| block.transactions().contains(transaction));
        self.record().pending.iter().filter(|transaction| !taken(transaction)).cloned().collect()
    }

    fn check(&self, block: &Block) -> bool {
        block.transactions().iter().all(|transaction| transaction != b"invalid")
    }

    fn finalized(&self, block: FinalizedBlock) {
        if self.fails_at == Some(block.block.height()) {
            std::panic::panic_any("its state is gone".to_owned());
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut record = self.record();
        assert_eq!(block.block.height(), record.height + 1, "delivery has a gap or repeats");
        record.height = block.block.height();
        record.blocks.insert(block.block.height(), block.digest);
        if let Some(seated) = &block.seated {
            record.seated.insert(block.block.height(), seated.clone());
        }
        let transactions = block.block.transactions();
        if let Some(named) = transactions.iter().rev().find_map(|transaction| read_naming(transaction)) {
            record.named = named;
        }
        for next in transactions.iter().filter_map(|transaction| read_key(transaction)) {
            if next.serial == u64::try_from(record.keys.len()).unwrap() + 1 {
                record.keys.push(next);
            }
        }
        record.empty_blocks += u64::from(transactions.is_empty());
        record.transactions.extend_from_slice(transactions);
        record.pending.retain(|pending| !transactions.contains(pending));
        record.delays_ms.push(u64::try_from(now.as_millis()).unwrap().saturating_sub(block.block.time_ms()));
        drop(record);
        self.close_epoch(&block);
    }

    fn certified(&self, certificate: EpochCertificate) {
        let earlier = self.record().certificates.insert(certificate.epoch, certificate.clone());
        assert!(earlier.is_none_or(|earlier| earlier == certificate), "two certificates for one epoch");
    }

    fn shared(&self, _: [u8; 32], bytes: &[u8]) {
        self.record().shared.push(bytes.to_vec());
        self.record().pending.push(bytes.to_vec());
        let requests = self.requests.lock().unwrap().clone().unwrap();
        requests.wake();
    }

    fn committee(&self, _: u64) -> Vec<Seat> {
        self.record().named.clone()
    }

    fn key_clock(&self) -> KeyClock {
        let record = self.record();
        KeyClock { now: record.height, lasts: record.key_blocks }
    }

    fn next_key(&self, next: NextKey) {
        let is_news = next.serial > u64::try_from(self.record().keys.len()).unwrap();
        if is_news && !self.record().pending.contains(&bringing(&next)) {
            self.submit(bringing(&next));
        }
    }

    fn named_key(&self) -> Option<(u64, [u8; 96])> {
        self.record().keys.last().map(|newest| (newest.serial, newest.key))
    }

    fn addresses(&self) -> Vec<([u8; 32], SocketAddr)> {
        Vec::new()
    }

    fn misbehaviour(&self, culprit: [u8; 32], evidence: Vec<u8>) {
        self.record().misbehaviour.push((culprit, evidence));
    }
}
