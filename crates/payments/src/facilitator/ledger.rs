//! The errands of one facilitator: the fold of its journal, behind one lock.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use protocol::{Bytes, Canonical as _, Digest, Milliseconds, Text};
use storage::{Log, Ticket};

use crate::{
    TillError,
    books::{REPRICED_MAX, RecoverError},
    facilitator::{
        ErrandEnd, ErrandEntry, ErrandRecord, ErrandRepriced, ErrandState, LISTED_FOR_MS, Listed, RAW_BYTES_MAX,
        URL_BYTES_MAX,
    },
    scheme::Refused,
};

/// Errands that are over and still answered for: beyond them the chain's own nonces refuse what was settled before.
pub const KEPT_MAX: usize = 65_536;
pub const LISTED_MAX: usize = 4_096;
/// Of one host: nobody fills the list.
pub const LISTED_A_HOST: usize = 64;
const JOURNAL_BYTES_MAX: u64 = 64 << 20;

/// What is known of an errand that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Nothing,
    Same(Box<ErrandRecord>),
    /// The same payment, to be settled in another way.
    Other,
}

/// All errands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Errands {
    by_id: BTreeMap<Digest, ErrandRecord>,
    by_asked: BTreeMap<Digest, Digest>,
    /// What errands under way were sent again as, the newest last.
    repriced: BTreeMap<Digest, Vec<ErrandRepriced>>,
    listed: BTreeMap<Text<URL_BYTES_MAX>, Listed>,
}

impl Errands {
    pub fn recover(lines: &[Vec<u8>]) -> Result<Self, RecoverError> {
        let mut errands = Self::default();
        for (line, bytes) in lines.iter().enumerate() {
            errands.apply(&ErrandEntry::decode(bytes).map_err(|source| RecoverError { line, source })?);
        }
        Ok(errands)
    }

    pub fn apply(&mut self, entry: &ErrandEntry) {
        match entry {
            ErrandEntry::Errand(record) => {
                if let Some(before) = self.by_id.insert(record.id, record.clone()) {
                    self.by_asked.remove(&before.asked);
                }
                self.by_asked.insert(record.asked, record.id);
                self.repriced.remove(&record.id);
            }
            ErrandEntry::Ended(end) => self.end(end),
            ErrandEntry::Repriced(repriced) => {
                if self.may_reprice(repriced) {
                    self.repriced.entry(repriced.id).or_default().push(repriced.clone());
                }
            }
            ErrandEntry::Listed(listed) => self.put_listed(listed),
        }
    }

    /// The oldest make room: of the same host, then of all.
    fn put_listed(&mut self, listed: &Listed) {
        self.listed.insert(listed.url.clone(), listed.clone());
        let origin = listed.origin();
        self.drop_oldest(LISTED_A_HOST, |kept| kept.is_at(origin));
        self.drop_oldest(LISTED_MAX, |_| true);
    }

    fn drop_oldest(&mut self, most: usize, counts: impl Fn(&Listed) -> bool) {
        while self.listed.values().filter(|kept| counts(kept)).count() > most {
            let oldest = self.listed.values().filter(|kept| counts(kept)).min_by_key(|kept| kept.at_ms);
            let Some(url) = oldest.map(|kept| kept.url.clone()) else { return };
            self.listed.remove(&url);
        }
    }

    fn end(&mut self, end: &ErrandEnd) {
        let Some(record) = self.by_id.get_mut(&end.id) else { return };
        let repriced = self.repriced.get(&end.id).into_iter().flatten();
        let is_it = repriced.map(|repriced| repriced.again).chain([record.transaction]).any(|it| it == end.transaction);
        if is_it {
            // Asked again, it is told by the one that its chain has.
            record.transaction = end.transaction;
            record.state = if end.has_succeeded { ErrandState::Done } else { ErrandState::Failed };
            // Never sent again.
            record.raw = Default::default();
            self.repriced.remove(&end.id);
        }
    }

    /// Whether an errand is under way as this transaction, and was not sent again as the other one, nor too often.
    fn may_reprice(&self, repriced: &ErrandRepriced) -> bool {
        let is_it = |record: &&ErrandRecord| record.transaction == repriced.transaction;
        let record = self.by_id.get(&repriced.id).filter(is_it);
        record.is_some_and(|record| {
            let hashes = self.hashes_of(record);
            record.state == ErrandState::Sent && hashes.len() <= REPRICED_MAX && !hashes.contains(&repriced.again)
        })
    }

    /// All hashes under which an errand was sent, the first one first; also where its end has come meanwhile.
    pub fn hashes_of(&self, record: &ErrandRecord) -> Vec<Digest> {
        // What failed may have been asked for anew, in another way.
        let is_same = |now: &&ErrandRecord| now.asked == record.asked;
        let now = self.by_id.get(&record.id).filter(is_same);
        let repriced = now.and_then(|now| self.repriced.get(&now.id)).into_iter().flatten();
        let mut hashes: Vec<Digest> = [record.transaction].into_iter().chain(now.map(|now| now.transaction)).collect();
        hashes.dedup();
        hashes.extend(repriced.map(|repriced| repriced.again));
        hashes
    }

    /// An errand's newest transaction, and how often it was sent again at a higher price.
    pub fn newest(&self, record: &ErrandRecord) -> (Bytes<RAW_BYTES_MAX>, usize) {
        let repriced = self.repriced.get(&record.id);
        let newest = repriced.and_then(|repriced| repriced.last()).map_or(&record.raw, |newest| &newest.raw);
        (newest.clone(), repriced.map_or(0, Vec::len))
    }

    pub fn find(&self, id: &Digest, asked: &Digest) -> Found {
        match self.by_id.get(id) {
            None => Found::Nothing,
            // What failed on the chain took nothing: it may be tried anew, in any way.
            Some(record) if record.state == ErrandState::Failed => Found::Nothing,
            Some(record) if record.asked == *asked => Found::Same(Box::new(record.clone())),
            Some(_) => Found::Other,
        }
    }

    /// What was asked for in the very same words, unless it failed.
    pub fn same(&self, asked: &Digest) -> Option<ErrandRecord> {
        let record = self.by_id.get(self.by_asked.get(asked)?)?;
        (record.state != ErrandState::Failed).then(|| record.clone())
    }

    pub fn get(&self, id: &Digest) -> Option<&ErrandRecord> {
        self.by_id.get(id)
    }

    /// Those whose chain is to be asked.
    pub fn sent(&self) -> Vec<ErrandRecord> {
        self.by_id.values().filter(|record| record.state == ErrandState::Sent).cloned().collect()
    }

    /// How much was paid for lately, and `count` of it from the `first` on. Entries are large, and what is not asked for is not copied.
    pub fn listed_from(&self, first: usize, count: usize, now_ms: Milliseconds) -> (Vec<Listed>, usize) {
        let page = self.listed(now_ms).skip(first).take(count).cloned().collect();
        (page, self.listed(now_ms).count())
    }

    /// What was paid for lately.
    pub fn listed(&self, now_ms: Milliseconds) -> impl Iterator<Item = &Listed> {
        self.listed.values().filter(move |listed| now_ms.saturating_sub(listed.at_ms) < LISTED_FOR_MS)
    }

    fn is_listed(&self, listed: &Listed) -> bool {
        self.listed.get(&listed.url).is_some_and(|kept| kept.is_repeated_by(listed))
    }

    /// The state as entries: applied to none they give these.
    pub fn entries(&self) -> Vec<ErrandEntry> {
        let errands = self.by_id.values().cloned().map(ErrandEntry::Errand);
        let repriced = self.repriced.values().flatten().cloned().map(ErrandEntry::Repriced);
        errands.chain(repriced).chain(self.listed.values().cloned().map(ErrandEntry::Listed)).collect()
    }

    /// Forgets the oldest of those that are over, beyond `kept`.
    pub fn forget(&mut self, kept: usize) {
        let mut over: Vec<(Milliseconds, Digest)> = self
            .by_id
            .values()
            .filter(|record| record.state != ErrandState::Sent)
            .map(|record| (record.begun_at_ms, record.id))
            .collect();
        over.sort_unstable();
        let count = over.len().saturating_sub(kept);
        for (_, id) in over.into_iter().take(count) {
            if let Some(record) = self.by_id.remove(&id) {
                self.by_asked.remove(&record.asked);
            }
        }
    }
}

/// Errands and their journal; shared.
pub struct ErrandBook {
    errands: Mutex<Errands>,
    log: Log,
}

impl ErrandBook {
    pub fn open(path: &Path) -> Result<Self, TillError> {
        let (log, lines) = Log::open(path)?;
        Ok(Self { errands: Mutex::new(Errands::recover(&lines)?), log })
    }

    /// Never held while waiting.
    pub fn errands(&self) -> MutexGuard<'_, Errands> {
        // Nothing panics while it holds the lock.
        self.errands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an errand down; its transaction may be sent once this has returned.
    pub async fn begin(&self, record: ErrandRecord) -> Result<(), Refused> {
        let ticket = self.note(&ErrandEntry::Errand(record))?;
        self.log.wait(ticket).await.map_err(|error| Refused::NotDurable(error.to_string()))
    }

    /// Writes down that an errand is sent again at a higher price, which may be done once this has returned true; false where its end came
    /// meanwhile, or it was often enough.
    pub async fn reprice(&self, repriced: ErrandRepriced) -> Result<bool, Refused> {
        let ticket = {
            let mut errands = self.errands();
            if !errands.may_reprice(&repriced) {
                return Ok(false);
            }
            self.append(&mut errands, &ErrandEntry::Repriced(repriced))?
        };
        self.log.wait(ticket).await.map(|()| true).map_err(|error| Refused::NotDurable(error.to_string()))
    }

    /// Writes down what became of one. Its chain knows it better than the disk, so nobody waits.
    pub fn end(&self, end: ErrandEnd) {
        let _noted = self.note(&ErrandEntry::Ended(end));
        self.shorten();
    }

    /// Lists a resource that was found to be its payee's own.
    pub fn list(&self, listed: Listed) {
        let is_known = self.errands().is_listed(&listed);
        if !is_known {
            let _noted = self.note(&ErrandEntry::Listed(listed));
        }
    }

    fn note(&self, entry: &ErrandEntry) -> Result<Ticket, Refused> {
        self.append(&mut self.errands(), entry)
    }

    fn append(&self, errands: &mut Errands, entry: &ErrandEntry) -> Result<Ticket, Refused> {
        let ticket = self.log.append(&entry.encode()).map_err(|error| Refused::NotDurable(error.to_string()))?;
        errands.apply(entry);
        Ok(ticket)
    }

    fn shorten(&self) {
        let mut errands = self.errands();
        errands.forget(KEPT_MAX);
        if self.log.bytes() > JOURNAL_BYTES_MAX {
            let lines: Vec<Vec<u8>> = errands.entries().iter().map(protocol::Canonical::encode).collect();
            let _rewritten = self.log.rewrite(&lines);
        }
    }
}
