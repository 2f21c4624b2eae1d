//! The clerk: settles what is due, in the background, whatever its callers do.
//!
//! A settlement is written down with its transaction's hash before it is sent, so that a crash in between is noticed and never pays
//! twice; it counts as settled only when its chain has it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use network::now_ms;
use payments::{
    B256,
    books::{Due, Entry},
    chain::{self, Call, ClaimLine},
    scheme::Scheme,
};
use protocol::{Digest, Milliseconds};

use crate::payment::{
    chain::ChainError,
    desk::{Desk, SESSION_MARGIN_S, lock},
};

const PAUSE: Duration = Duration::from_millis(500);
/// How long an answer waits for the settlement that its header names.
const SOON: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);
/// Channels of one claim: far below a transaction's gas.
const LINES_MAX: usize = 100;
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Payments are remembered for so long beyond their time.
const KEEP_S: u64 = 3_600;
const RETRY_MS_MAX: Milliseconds = 60_000;

/// Works for ever.
pub async fn run(desk: Arc<Desk>) {
    let mut clerk = Clerk { desk, retries: BTreeMap::new(), claimed_at_ms: now_ms() };
    loop {
        tokio::time::sleep(PAUSE).await;
        clerk.work().await;
    }
}

struct Clerk {
    desk: Arc<Desk>,
    /// Purses whose settlement failed: how often, and when to try again.
    retries: BTreeMap<Digest, (u32, Milliseconds)>,
    claimed_at_ms: Milliseconds,
}

impl Clerk {
    async fn work(&mut self) {
        self.desk.tell_rate();
        self.desk.close_sessions();
        self.desk.look_after().await;
        let now = now_ms();
        let idle_ms = Milliseconds::try_from(self.desk.config.idle.as_millis()).unwrap_or(Milliseconds::MAX);
        let is_time = now.saturating_sub(self.claimed_at_ms) >= idle_ms;
        let due = self.desk.till.books().due(if is_time { 1 } else { u128::MAX });
        if is_time {
            self.claimed_at_ms = now;
        }
        let (channels, payments): (Vec<Due>, Vec<Due>) =
            due.into_iter().filter(|due| self.may_try(due, now)).partition(|due| due.purse.scheme == Scheme::Batch);
        for due in payments {
            let settled = self.desk.settle(&due).await.map(|_| ());
            self.note(&due.purse.id, settled, now);
        }
        for lines in channels.chunks(LINES_MAX) {
            let claimed = self.desk.claim(lines).await;
            for due in lines {
                self.note(&due.purse.id, claimed.clone(), now);
            }
        }
        self.desk.look_after_deposits().await;
        self.desk.repay(now).await;
        if let Err(error) = self.desk.till.compact(JOURNAL_BYTES_MAX, KEEP_S) {
            tracing::error!(%error, "failed to shorten the payment journal");
        }
    }

    /// What its chain refused is tried again later and later, and no more once its signature is of no use.
    fn may_try(&self, due: &Due, now: Milliseconds) -> bool {
        let is_past = due.purse.expires_at_s < now / 1_000;
        !is_past && self.retries.get(&due.purse.id).is_none_or(|(_, at_ms)| *at_ms <= now)
    }

    fn note(&mut self, purse: &Digest, settled: Result<(), ChainError>, now: Milliseconds) {
        let Err(error) = settled else {
            self.retries.remove(purse);
            return;
        };
        let (count, at_ms) = self.retries.entry(*purse).or_insert((0, now));
        tracing::warn!(%purse, %error, count = *count, "failed to settle a payment");
        *count = count.saturating_add(1);
        let pause = 1_000_u64.saturating_mul(1 << (*count).min(6)).min(RETRY_MS_MAX);
        *at_ms = now.saturating_add(pause);
    }
}

impl Desk {
    /// Ends sessions that are idle, used up or near their deadline: their purses take no more calls and are settled.
    fn close_sessions(&self) {
        let now = now_ms();
        let expiring = self.till.books().expiring(now / 1_000, SESSION_MARGIN_S);
        let is_over = |purse: &Digest| self.till.books().left(purse) == 0 || expiring.contains(purse);
        let ended = lock(&self.sessions).take_ended(now, is_over);
        for purse in ended.into_iter().map(|session| session.purse).chain(expiring.iter().copied()) {
            let _closed = self.till.note(|books| books.purse(&purse).map(|_| Entry::Closed(purse)));
        }
    }

    /// Asks what became of settlements that were sent: whether they lie deep enough, or are gone.
    async fn look_after(&self) {
        let unsure = self.till.books().unsure();
        for due in unsure {
            let Some(settling) = &due.purse.settling else { continue };
            let hash = B256::from(settling.transaction.0);
            match self.chain.outcome(hash, self.config.confirmations).await {
                Ok(Some(true)) => self.note_settled(&due.purse.id, settling.transaction),
                // Reverted, or neither in a block nor waiting for one: a reorganisation took it, or it never arrived. Tried again; its
                // nonce on the chain keeps it from paying twice.
                Ok(Some(false)) => self.note_unsettled(&due.purse.id, settling.transaction),
                Ok(None) if self.is_lost(hash).await => self.note_unsettled(&due.purse.id, settling.transaction),
                Ok(None) | Err(_) => {}
            }
        }
    }

    async fn is_lost(&self, transaction: B256) -> bool {
        // Whoever sends holds the lock for as long as it waits.
        self.sending.try_lock().is_ok() && matches!(self.chain.is_known(transaction).await, Ok(false))
    }

    fn note_settled(&self, purse: &Digest, transaction: Digest) {
        let _noted = self.till.note(|books| books.settled(purse, transaction, now_ms()));
    }

    fn note_unsettled(&self, purse: &Digest, transaction: Digest) {
        let _noted = self.till.note(|books| books.unsettled(purse, transaction));
    }

    /// Settles one payment now, if its chain is quick; else the clerk does later.
    pub async fn settle_soon(&self, purse: &Digest) -> Option<B256> {
        let due = self.till.books().due_of(purse)?;
        match tokio::time::timeout(SOON, self.settle(&due)).await {
            Ok(Ok(hash)) => Some(hash),
            Ok(Err(error)) => {
                tracing::warn!(%purse, %error, "failed to settle a payment; the clerk tries again");
                None
            }
            Err(_) => None,
        }
    }

    async fn settle(&self, due: &Due) -> Result<B256, ChainError> {
        let call = chain::payment(&due.purse, due.amount).map_err(|_| ChainError::Answer("the journal"))?;
        self.settle_by(&call, std::slice::from_ref(due)).await
    }

    /// Claims from many channels at once, then has what was claimed sent to us.
    async fn claim(&self, due: &[Due]) -> Result<(), ChainError> {
        let lines: Result<Vec<ClaimLine>, _> = due.iter().map(|due| ClaimLine::of(&due.purse, due.amount)).collect();
        let lines = lines.map_err(|_| ChainError::Answer("the journal"))?;
        let domain = payments::signing::channel::domain(self.config.network.chain_id());
        self.settle_by(&chain::claim(&lines, &domain, &self.key), due).await?;
        let mut tokens: Vec<_> = lines.iter().map(|line| line.config.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            let sending = self.sending.lock().await;
            let signed = self.chain.prepare(&chain::sweep(self.recipient.pay_to, token), &self.key).await?;
            self.chain.send(&signed).await?;
            drop(sending);
        }
        Ok(())
    }

    /// One transaction that settles all of `due`.
    async fn settle_by(&self, call: &Call, due: &[Due]) -> Result<B256, ChainError> {
        let _sending = self.sending.lock().await;
        let signed = self.chain.prepare(call, &self.key).await?;
        let transaction = Digest(signed.hash.0);
        let mut ticket = None;
        for due in due {
            let noted = self.till.note(|books| books.settling(&due.purse.id, due.amount, transaction));
            ticket = noted.map_err(|_| ChainError::Answer("the journal"))?.or(ticket);
        }
        // Somebody else settles all of it.
        let Some(ticket) = ticket else { return Ok(signed.hash) };
        self.till.durable(ticket).await.map_err(|_| ChainError::Answer("the journal"))?;
        let sent = match self.chain.send(&signed).await {
            Ok(()) => self.chain.wait(signed.hash, PATIENCE).await,
            Err(error) => Err(error),
        };
        for due in due {
            match &sent {
                // Where blocks may still be taken back, the clerk notes it when it lies deep enough.
                Ok(Some(_)) if self.config.confirmations > 0 => {}
                Ok(Some(true)) => self.note_settled(&due.purse.id, transaction),
                Ok(Some(false)) => self.note_unsettled(&due.purse.id, transaction),
                // Refused by the RPC itself, it was never sent.
                Err(error) if error.is_refusal() => self.note_unsettled(&due.purse.id, transaction),
                Ok(None) | Err(_) => {}
            }
        }
        match sent? {
            Some(true) => Ok(signed.hash),
            Some(false) | None => Err(ChainError::Answer("a settlement")),
        }
    }
}
