//! Settlements: sent one after the other, waited for together, and looked into where their chain does not take them.
//!
//! A settlement is written down with its transaction's hash before it is sent, so that a crash in between is noticed and never pays
//! twice; it counts as settled only when its chain has it. Only signing and sending are done in order: nobody waits for another's block.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::StreamExt as _;
use network::now_ms;
use payments::{
    B256,
    books::{Due, Entry, SendingOn},
    chain::{self, Call, Signature, WalletAsk},
};
use protocol::Digest;

use crate::payment::{cashier::Cashier, chain::ChainError, crowd::lock, desk::Desk};

/// How long an answer waits for the settlement that its header names.
const SOON: Duration = Duration::from_secs(3);
/// Transactions that are asked about at the same time.
const AT_ONCE: usize = 16;
/// Sessions that are looked up under one taking of the books' lock.
const LOOKED_UP_AT_ONCE: usize = 64;
/// By how much a chain's time must be over a signature's end before that is given up.
const PAST_S: u64 = 60;

impl Desk {
    /// Ends sessions that are idle, used up or near their deadline: their purses take no more calls and are settled.
    pub fn close_sessions(&self) {
        let now = now_ms();
        let expiring = self.till.books().expiring(now / 1_000, self.pace.session_margin.as_secs());
        let mut over: BTreeSet<Digest> = expiring.iter().copied().collect();
        // Never both locks, and the books for a few sessions at a time: every call of a session takes both.
        let purses = lock(&self.sessions).purses();
        for purses in purses.chunks(LOOKED_UP_AT_ONCE) {
            let books = self.till.books();
            over.extend(purses.iter().filter(|purse| books.left(purse) == 0));
        }
        let ended = lock(&self.sessions).take_ended(now, |purse| over.contains(purse));
        for purse in ended.into_iter().map(|session| session.purse).chain(expiring.iter().copied()) {
            let _closed = self.till.note(|books| books.purse(&purse).map(|_| Entry::Closed(purse)));
        }
    }
}

impl Cashier {
    /// Asks what became of settlements that were sent: whether they lie deep enough, or are gone.
    pub async fn look_after(&self) {
        let unsure = self.till.books().unsure(self.config.network);
        let of = |due: &Due| due.purse.settling.as_ref().map(|settling| settling.transaction);
        let transactions: BTreeSet<Digest> = unsure.iter().filter_map(of).collect();
        let asked = transactions.into_iter().map(|transaction| async move {
            let hashes = self.hashes_of(&transaction);
            let outcome = match self.chain.outcome_of_any(&hashes, self.config.confirmations).await {
                // Neither in a block nor waiting for one: a reorganisation took it, or it never arrived. Tried again; its nonce on the
                // chain keeps it from paying twice.
                Ok(None) if self.is_lost(&transaction).await => Some(false),
                Ok(outcome) => outcome,
                Err(_) => None,
            };
            (transaction, outcome)
        });
        let outcomes: BTreeMap<Digest, Option<bool>> =
            futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        for due in &unsure {
            let Some(transaction) = of(due) else { continue };
            match outcomes.get(&transaction) {
                Some(Some(true)) => self.note_settled(&due.purse.id, transaction),
                Some(Some(false)) => self.note_unsettled(&due.purse.id, transaction),
                Some(None) | None => {}
            }
        }
    }

    async fn is_lost(&self, transaction: &Digest) -> bool {
        // Whoever has written one down and not sent it yet holds the lock.
        if self.sending.try_lock().is_err() {
            return false;
        }
        let hashes = self.hashes_of(transaction);
        for hash in &hashes {
            if !matches!(self.chain.is_known(*hash).await, Ok(false)) {
                return false;
            }
        }
        // Else it was sent again meanwhile, and has its own place.
        self.hashes_of(transaction) == hashes
    }

    /// All hashes of a transaction that was written down.
    fn hashes_of(&self, transaction: &Digest) -> Vec<B256> {
        let hashes = self.till.books().hashes_of(transaction);
        hashes.iter().map(|hash| B256::from(hash.0)).collect()
    }

    /// Waits until so many blocks lie on a transaction that was written down, at whichever price its chain takes it: the hash of that, and
    /// what came of it.
    pub async fn wait_for(
        &self,
        transaction: &Digest,
        confirmations: u64,
        patience: Duration,
    ) -> Result<Option<(B256, bool)>, ChainError> {
        self.chain.wait_for_any(|| self.hashes_of(transaction), confirmations, patience).await
    }

    /// What became of a transaction that was written down with its bytes, at whichever price.
    pub async fn fate_of(&self, transaction: &Digest, raw: &[u8]) -> Result<Option<bool>, ChainError> {
        self.chain.fate(&self.hashes_of(transaction), raw, self.config.confirmations).await
    }

    pub fn note_settled(&self, purse: &Digest, transaction: Digest) {
        let _noted = self.till.note(|books| books.settled(purse, transaction, now_ms()));
    }

    pub fn note_unsettled(&self, purse: &Digest, transaction: Digest) {
        let _noted = self.till.note(|books| books.unsettled(purse, transaction));
    }

    /// Settles one payment now, if its chain is quick; else the clerk sees to it.
    pub async fn settle_soon(&self, purse: &Digest) -> Option<B256> {
        let due = self.till.books().due_of(purse)?;
        let settled = async {
            let Some(hash) = self.settle(&due).await? else { return Ok(None) };
            let outcome = self.chain.wait(hash, SOON).await?;
            self.note_outcome(std::slice::from_ref(&due), Digest(hash.0), outcome);
            Ok::<_, ChainError>(outcome.filter(|has_succeeded| *has_succeeded).map(|_| hash))
        };
        match tokio::time::timeout(SOON, settled).await {
            Ok(Ok(hash)) => hash,
            Ok(Err(error)) => {
                tracing::warn!(%purse, %error, "failed to settle a payment; the clerk tries again");
                None
            }
            Err(_) => None,
        }
    }

    /// Sends the transaction that settles a payment. `None` where another one is on its way.
    pub async fn settle(&self, due: &Due) -> Result<Option<B256>, ChainError> {
        let call = chain::payment(&due.purse, due.amount).map_err(|_| ChainError::Journal)?;
        self.send_settlement(&call, std::slice::from_ref(due)).await
    }

    /// Sends one transaction that settles all of `due`, and does not wait for its block: the next one can leave.
    pub async fn send_settlement(&self, call: &Call, due: &[Due]) -> Result<Option<B256>, ChainError> {
        let fees = self.chain.weigh(call, self.key.address()).await?;
        let _sending = self.sending.lock().await;
        let signed = self.chain.sign(call, 0, fees, &self.key).await?;
        let transaction = Digest(signed.hash.0);
        let mut ticket = None;
        for due in due {
            let noted = self.till.note(|books| books.settling(&due.purse.id, due.amount, transaction));
            ticket = noted.map_err(|_| ChainError::Journal)?.or(ticket);
        }
        // Somebody else settles all of it.
        let Some(ticket) = ticket else { return Ok(None) };
        self.till.durable(ticket).await.map_err(|_| ChainError::Journal)?;
        match self.chain.send(&signed).await {
            Err(error) if error.is_refusal() => {
                // Refused by the RPC itself, it was never sent.
                due.iter().for_each(|due| self.note_unsettled(&due.purse.id, transaction));
                Err(error)
            }
            // Perhaps it arrived: whoever looks after it finds out.
            Ok(()) | Err(_) => Ok(Some(signed.hash)),
        }
    }

    /// Sends coins, or a call that nothing in the books depends on but the turn of what comes behind it. It is known after a crash all the
    /// same: one that is too cheap would keep all others from their blocks.
    pub async fn send_alone(&self, call: &Call, value: u128) -> Result<B256, ChainError> {
        let fees = self.chain.weigh(call, self.key.address()).await?;
        let _sending = self.sending.lock().await;
        let signed = self.chain.sign(call, value, fees, &self.key).await?;
        let (network, transaction) = (self.config.network.chain_id(), Digest(signed.hash.0));
        let noted = self.till.note(|_| Some(Entry::SendingOn(SendingOn { network, transaction })));
        if let Some(ticket) = noted.map_err(|_| ChainError::Journal)? {
            self.till.durable(ticket).await.map_err(|_| ChainError::Journal)?;
        }
        let sent = self.chain.send(&signed).await;
        if sent.as_ref().is_err_and(ChainError::is_refusal) {
            // Refused by the RPC itself, it was never sent.
            self.note_sent(&transaction);
        }
        sent.map(|()| signed.hash)
    }

    pub fn note_sent(&self, transaction: &Digest) {
        let _noted = self.till.note(|books| books.sent(transaction));
    }

    /// Notes what came of a transaction where blocks are final; else whoever looks after it does when it lies deep enough.
    pub fn note_outcome(&self, due: &[Due], transaction: Digest, outcome: Option<bool>) {
        if self.config.confirmations > 0 {
            return;
        }
        for due in due {
            match outcome {
                Some(true) => self.note_settled(&due.purse.id, transaction),
                Some(false) => self.note_unsettled(&due.purse.id, transaction),
                None => {}
            }
        }
    }

    pub async fn learn_or_log(&self, due: &Due) {
        if let Err(error) = self.learn(due).await {
            tracing::debug!(purse = %due.purse.id, %error, "failed to learn what became of a payment");
        }
    }

    /// Learns what became of a payment that its chain does not take: somebody else had it settled, which is as good; or its signature has
    /// ended, or its nonce was used for something else, and it never will be.
    async fn learn(&self, due: &Due) -> Result<(), ChainError> {
        let (purse, broken) = (&due.purse, |_| ChainError::Journal);
        let signed = Signature::of(purse, self.config.network).map_err(broken)?;
        let facts = self.chain.wallet(&WalletAsk::new(signed.question.clone())).await?;
        if facts.nonce_is_used
            && let Some(hash) = self.chain.settlement_of(&signed, purse.opened_at_ms / 1_000).await?
        {
            let transaction = Digest(hash.0);
            tracing::warn!(purse = %purse.id, %hash, "somebody else had a payment settled");
            let _noted = self.till.note(|books| books.settling(&purse.id, due.amount, transaction));
            // Counts when it lies deep enough, as our own do.
            return Ok(());
        }
        if self.chain.time_s().await? > purse.expires_at_s.saturating_add(PAST_S) {
            let noted = self.till.note(|books| books.write_off(&purse.id, now_ms()));
            if matches!(noted, Ok(Some(_))) {
                tracing::warn!(purse = %purse.id, amount = due.fresh, "a payment that can never be settled is written off");
            }
        }
        Ok(())
    }
}
