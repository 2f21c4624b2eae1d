//! The till: books behind one lock and a journal behind them. Whoever pays gets a [`Reservation`], which is charged or released once.
//!
//! An entry is handed to the journal under the lock that orders the books, and synced outside of it: many payments share one sync, and no
//! request waits for the disk but when its own first byte is about to leave.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{Canonical as _, Digest, Milliseconds};
use storage::{Log, LogError, SyncData, Ticket};
use thiserror::Error;

use crate::{
    books::{Answer, Books, ChargeError, Entry, MATURED_MAX, RecoverError, Wanted, voucher_proof},
    price::{Quote, Tariff, Usage},
    scheme::{Authorised, Offer, Refused, batch::Voucher},
};

/// Tokens between two marks in the journal, and tokens that may be delivered beyond the last mark that is durable.
pub const MARK_TOKENS: u64 = 32;
pub const UNPAID_TOKENS_MAX: u64 = 64;

/// Why a till could not be opened.
#[derive(Debug, Error)]
pub enum TillError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Journal(#[from] RecoverError),
}

/// A gateway's till; shared.
pub struct Till {
    books: Mutex<Books>,
    log: Log,
    /// Size of the journal when it was last begun anew.
    kept_bytes: AtomicU64,
    clock: fn() -> Milliseconds,
}

impl Till {
    /// Opens the journal, which reaches the disk by `sync`, and ends whatever was open when it was closed.
    pub fn open(path: &Path, clock: fn() -> Milliseconds, sync: SyncData) -> Result<Arc<Self>, TillError> {
        let (log, lines) = Log::open_with(path, sync)?;
        let (books, ends) = Books::recover(&lines, clock())?;
        for entry in &ends {
            log.append(&entry.encode())?;
        }
        Ok(Arc::new(Self { books: Mutex::new(books), log, kept_bytes: AtomicU64::new(0), clock }))
    }

    /// The books as they are, for reading. Never held while waiting.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing panics while it holds the lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a payment that was used before, as [`Till::take`] would: for that no chain need be asked.
    pub fn refuse_used(&self, id: &Digest, wanted: &Wanted<'_>) -> Result<(), Refused> {
        let books = self.books();
        if books.purse(id).is_none() {
            return Ok(());
        }
        books.check_name(id, wanted)?;
        Err(Refused::NonceUsed)
    }

    /// Takes a payment out of a payer's balance and lets a call draw on it: both or neither.
    pub fn take(
        self: &Arc<Self>,
        authorised: &Authorised,
        wanted: &Wanted<'_>,
        tariff: Tariff,
    ) -> Result<Reservation, Refused> {
        let mut books = self.books();
        let (purse, opened) = match books.open(authorised, wanted.now_ms) {
            // The same payment under the same name is told what became of it.
            Err(Refused::NonceUsed) => {
                books.check_name(&authorised.id(), wanted)?;
                return Err(Refused::NonceUsed);
            }
            other => other?,
        };
        books.apply(&opened);
        let drawn = books.reserve(&purse, wanted);
        let (call, reserved) = drawn.inspect_err(|_| books.apply(&Entry::Forgotten(purse)))?;
        books.apply(&reserved);
        match self.append_all(&[opened, reserved]) {
            Ok(ticket) => Ok(self.reservation(purse, call, wanted.max, tariff, ticket)),
            Err(error) => {
                books.apply(&Entry::Released(call));
                books.apply(&Entry::Forgotten(purse));
                Err(error)
            }
        }
    }

    /// Lets a call draw on a session's purse.
    pub fn draw(self: &Arc<Self>, purse: &Digest, wanted: &Wanted<'_>, tariff: Tariff) -> Result<Reservation, Refused> {
        let mut books = self.books();
        let (call, reserved) = books.reserve(purse, wanted)?;
        let ticket = self.append_all(std::slice::from_ref(&reserved))?;
        books.apply(&reserved);
        drop(books);
        Ok(self.reservation(*purse, call, wanted.max, tariff, ticket))
    }

    /// Takes a voucher and lets a call draw on its channel: both or neither.
    pub fn take_voucher(
        self: &Arc<Self>,
        voucher: &Voucher,
        offer: &Offer,
        wanted: &Wanted<'_>,
        tariff: Tariff,
    ) -> Result<Reservation, Refused> {
        let proof = voucher_proof(voucher)?;
        let mut books = self.books();
        books.check_name(&voucher.purse(), wanted)?;
        let (purse, mut entries) = books.raise_by(voucher, proof, wanted.max, offer, wanted.now_ms)?;
        let before = books.purse(&purse).cloned();
        entries.iter().for_each(|entry| books.apply(entry));
        let undo = |books: &mut Books| match &before {
            Some(record) => books.apply(&Entry::Purse(record.clone())),
            None => books.apply(&Entry::Forgotten(purse)),
        };
        let (call, reserved) = match books.reserve(&purse, wanted) {
            Ok(drawn) => drawn,
            Err(refused) => {
                undo(&mut books);
                return Err(refused);
            }
        };
        books.apply(&reserved);
        entries.push(reserved);
        match self.append_all(&entries) {
            Ok(ticket) => Ok(self.reservation(purse, call, wanted.max, tariff, ticket)),
            Err(error) => {
                books.apply(&Entry::Released(call));
                undo(&mut books);
                Err(error)
            }
        }
    }

    /// Writes down what `decide` decides of the books, and applies it.
    pub fn note(&self, decide: impl FnOnce(&Books) -> Option<Entry>) -> Result<Option<Ticket>, Refused> {
        let mut books = self.books();
        let Some(entry) = decide(&books) else { return Ok(None) };
        let ticket = self.append_all(std::slice::from_ref(&entry))?;
        books.apply(&entry);
        Ok(Some(ticket))
    }

    /// Frees the shares of all answers whose receipts stand, however many they are, and of those up to a moment that have no receipt.
    pub fn mature(&self, receipts: &[Digest], upto_ms: Milliseconds) -> Result<(), Refused> {
        // A line holds so many. Where no receipt stands, time alone may free something.
        let parts = receipts.chunks(MATURED_MAX).chain(receipts.is_empty().then_some(receipts));
        for part in parts {
            self.note(|books| books.mature(part, upto_ms))?;
        }
        Ok(())
    }

    /// Returns when what was written down survives a crash.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), Refused> {
        self.log.wait(ticket).await.map_err(not_durable)
    }

    /// Begins the journal anew where it is longer than `bytes_max`, and twice as long as what was kept the last time: books that are
    /// large are not written again and again. Forgets what can never matter again; payments that came to nothing also where it is short.
    pub fn compact(&self, bytes_max: u64, keep_s: u64) -> Result<bool, Refused> {
        let now_ms = (self.clock)();
        self.books().forget_used((now_ms / 1_000).saturating_sub(keep_s));
        if self.log.bytes() <= bytes_max.max(self.kept_bytes.load(Ordering::Relaxed).saturating_mul(2)) {
            return Ok(false);
        }
        // Only copied under the lock: it is written out while others go on.
        let (mark, kept) = {
            let mut books = self.books();
            for purse in books.forgettable(now_ms / 1_000, keep_s) {
                books.apply(&Entry::Forgotten(purse));
            }
            books.drop_names(now_ms.saturating_sub(keep_s.saturating_mul(1_000)));
            (self.log.mark(), books.clone())
        };
        let lines: Vec<Vec<u8>> = kept.entries().iter().map(protocol::Canonical::encode).collect();
        let kept =
            lines.iter().fold(0_u64, |sum, line| sum.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)));
        // Also where it fails: it would fail the next moment again.
        self.kept_bytes.store(kept, Ordering::Relaxed);
        self.log.rewrite_since(mark, &lines).map(|_| true).map_err(not_durable)
    }

    fn append_all(&self, entries: &[Entry]) -> Result<Ticket, Refused> {
        let mut last = None;
        for entry in entries {
            last = Some(self.log.append(&entry.encode()).map_err(not_durable)?);
        }
        last.ok_or_else(|| Refused::NotDurable("nothing to write".to_owned()))
    }

    fn reservation(
        self: &Arc<Self>,
        purse: Digest,
        call: u64,
        max: u128,
        tariff: Tariff,
        ticket: Ticket,
    ) -> Reservation {
        Reservation {
            till: Arc::clone(self),
            purse,
            call,
            max,
            tariff,
            ticket,
            usage: Usage::default(),
            marked: 0,
            durable: 0,
            marks: VecDeque::new(),
            is_over: false,
        }
    }
}

fn not_durable(error: LogError) -> Refused {
    Refused::NotDurable(error.to_string())
}

/// A call's right to be answered: once. Dropped without an end, it is charged for what was delivered.
pub struct Reservation {
    till: Arc<Till>,
    purse: Digest,
    call: u64,
    max: u128,
    tariff: Tariff,
    ticket: Ticket,
    usage: Usage,
    /// Tokens at the last mark that was written, and at the last that is durable.
    marked: u64,
    durable: u64,
    marks: VecDeque<(u64, Ticket)>,
    is_over: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub purse: Digest,
    /// In the payer's asset.
    pub charged: u128,
    pub opg: u128,
    /// Charged of the purse in all.
    pub spent: u128,
}

impl Reservation {
    pub fn purse(&self) -> Digest {
        self.purse
    }

    pub fn call(&self) -> u64 {
        self.call
    }

    /// The most that will be charged.
    pub fn max(&self) -> u128 {
        self.max
    }

    pub fn tariff(&self) -> &Tariff {
        &self.tariff
    }

    /// Returns when the reservation survives a crash: only then may the answer's first byte leave.
    pub async fn durable(&self) -> Result<(), Refused> {
        self.till.durable(self.ticket).await
    }

    /// Notes what has left so far. Waits where more would be unpaid for after a crash than may be.
    pub async fn delivered(&mut self, usage: Usage) -> Result<(), Refused> {
        self.usage = usage;
        let tokens = tokens_of(usage);
        if tokens.saturating_sub(self.marked) >= MARK_TOKENS {
            self.mark()?;
        }
        while self.marks.front().is_some_and(|(_, ticket)| self.till.log.is_durable(*ticket)) {
            self.durable = self.marks.pop_front().map_or(self.durable, |(tokens, _)| tokens);
        }
        while tokens.saturating_sub(self.durable) >= UNPAID_TOKENS_MAX {
            let Some((tokens, ticket)) = self.marks.pop_front() else { break };
            self.till.durable(ticket).await?;
            self.durable = tokens;
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<(), Refused> {
        let (call, quote) = (self.call, self.quote());
        let ticket = self.till.note(|books| books.deliver(call, quote).ok().flatten())?;
        self.marked = tokens_of(self.usage);
        if let Some(ticket) = ticket {
            self.marks.push_back((self.marked, ticket));
        } else {
            // Nothing to write: a price that tokens do not change.
            self.durable = self.marked;
        }
        Ok(())
    }

    fn quote(&self) -> Quote {
        // What was quoted once for more is quoted for less.
        self.tariff.quote(self.usage).unwrap_or(Quote { amount: self.max, opg: 0 })
    }

    /// Ends the call with what its receipts charge; durable once the ticket is.
    pub fn charge_soon(mut self, answers: Vec<Answer>) -> Result<(Ended, Option<Ticket>), Refused> {
        self.end(|books, call, now_ms| books.charge(call, answers, now_ms))
    }

    /// Ends the call with what its receipts charge, which is nothing where it has none; durable when it returns.
    pub async fn charge(self, answers: Vec<Answer>) -> Result<Ended, Refused> {
        let till = Arc::clone(&self.till);
        let (ended, ticket) = self.charge_soon(answers)?;
        if let Some(ticket) = ticket {
            till.durable(ticket).await?;
        }
        Ok(ended)
    }

    /// Ends the call without a charge: nothing was delivered that is worth one.
    pub fn release(mut self) {
        let _nothing_to_charge =
            self.end(|books, call, _| books.call(call).map(|_| Entry::Released(call)).ok_or(ChargeError::NoCall));
    }

    /// Ends a call whose payer left: what had ended is charged by its receipts, what was cut short by `rest`.
    pub fn leave(mut self, ended: Vec<Answer>, rest: Quote) -> Option<Ended> {
        self.end(|books, call, now_ms| books.leave(call, ended, rest, now_ms)).ok().map(|(ended, _)| ended)
    }

    /// Ends a call that was too late by our own doing: what came of it is charged, and no more.
    pub fn cut_off(mut self, ended: Vec<Answer>, rest: Quote) -> Option<Ended> {
        self.end(|books, call, now_ms| books.cut_off(call, ended, rest, now_ms)).ok().map(|(ended, _)| ended)
    }

    fn end(
        &mut self,
        decide: impl FnOnce(&Books, u64, Milliseconds) -> Result<Entry, ChargeError>,
    ) -> Result<(Ended, Option<Ticket>), Refused> {
        let (call, now_ms, mut amounts) = (self.call, (self.till.clock)(), (0, 0));
        let ticket = self.till.note(|books| {
            let entry = decide(books, call, now_ms).ok()?;
            if let Entry::Charged(charged) = &entry {
                amounts = (charged.amount(), charged.opg());
            }
            Some(entry)
        })?;
        self.is_over = true;
        let spent = self.till.books().purse(&self.purse).map_or(0, |purse| purse.spent);
        Ok((Ended { purse: self.purse, charged: amounts.0, opg: amounts.1, spent }, ticket))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // The payer left. Whatever fails here is charged by the journal after the next start.
        let quote = if self.usage.output == 0 { Quote { amount: 0, opg: 0 } } else { self.quote() };
        let _ended = self.end(|books, call, now_ms| books.leave(call, Vec::new(), quote, now_ms));
    }
}

/// A long prompt is written down with the first token as a long answer would be.
const fn tokens_of(usage: Usage) -> u64 {
    usage.input.saturating_add(usage.output)
}
