//! The clerk: settles what is due, in the background, whatever its callers do.
//!
//! Each chain is looked after by itself: one that is away keeps nothing on the others waiting. Payments, channels and what waits for its
//! block are looked after side by side: a claim that waits, or a chain that is asked about many transactions, holds up no payment whose
//! signature ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use network::now_ms;
use payments::{
    books::{Due, Waiting},
    scheme::Scheme,
};
use protocol::{Digest, Milliseconds};

use crate::payment::{cashier::Cashier, chain::ChainError, desk::Desk};

const PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at what there is for gas, and at contracts as long as nobody has told of them.
const GAS_PAUSE: Duration = Duration::from_secs(5);
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
/// Payments are remembered for so long beyond their time.
const KEEP_S: u64 = 3_600;
const RETRY_MS_MAX: Milliseconds = 60_000;
/// Settlements that leave in one round, before sessions and what was sent are looked after again.
const A_ROUND: usize = 32;

/// Works for ever.
pub async fn run(desk: Arc<Desk>) {
    let cashiers = desk.cashiers.iter().cloned().map(|cashier| async move {
        tokio::join!(payments(&cashier), channels(&cashier), prices(&cashier), looks(&cashier));
    });
    let cashiers = futures::future::join_all(cashiers);
    tokio::join!(shared(&desk), cashiers);
}

/// What all chains have in common.
async fn shared(desk: &Desk) {
    loop {
        tokio::time::sleep(PAUSE).await;
        desk.tell_rate();
        desk.close_sessions();
        shorten(desk).await;
    }
}

async fn prices(cashier: &Cashier) {
    loop {
        tokio::time::sleep(PAUSE).await;
        cashier.look_after_prices().await;
    }
}

/// Beside everything else: how long that takes says nothing of whether a chain answers.
async fn looks(cashier: &Cashier) {
    tokio::time::sleep(PAUSE).await;
    loop {
        cashier.look_at_contracts().await;
        cashier.look_at_gas().await;
        tokio::time::sleep(GAS_PAUSE).await;
    }
}

async fn payments(cashier: &Cashier) {
    let mut retries = Retries::default();
    loop {
        tokio::time::sleep(PAUSE).await;
        cashier.look_after().await;
        settle(cashier, &mut retries).await;
    }
}

/// Begins a long journal anew, on a thread that nobody waits for.
async fn shorten(desk: &Desk) {
    let till = Arc::clone(&desk.till);
    let shortened = tokio::task::spawn_blocking(move || till.compact(JOURNAL_BYTES_MAX, KEEP_S));
    match shortened.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(%error, "failed to shorten the payment journal"),
        Err(_) => tracing::error!("shortening the payment journal failed inside"),
    }
}

/// Sends what is due, what ends first first; tells for how long the rest will wait.
async fn settle(cashier: &Cashier, retries: &mut Retries) {
    let now = now_ms();
    let waiting = cashier.till.books().waiting(cashier.config.network);
    cashier.waiting.store(waiting.len(), Ordering::Relaxed);
    retries.keep(waiting.iter().map(|waiting| waiting.purse));
    let waiting = waiting.into_iter().filter(|waiting| retries.may_try(&waiting.purse, now));
    let (past, waiting): (Vec<Waiting>, Vec<Waiting>) = waiting.partition(|one| one.expires_at_s < now / 1_000);
    // What was signed for less by `exact` had its turn when it was taken. What else is dust takes no place of what is worth its gas, and
    // nobody waits for it.
    let had_turn = |one: &Waiting| one.scheme == Scheme::Exact && cashier.is_dust(&one.asset, one.cap);
    let (dust, waiting): (Vec<Waiting>, Vec<Waiting>) =
        waiting.into_iter().partition(|one| cashier.is_dust(&one.asset, one.fresh) && !had_turn(one));
    let (began_at, count) = (Instant::now(), waiting.len());
    let mut turns: Vec<(Waiting, bool)> = waiting.into_iter().take(A_ROUND).map(|one| (one, false)).collect();
    let dust = dust.into_iter().filter(|one| cashier.may_settle(&one.asset, one.fresh));
    turns.extend(dust.take(A_ROUND).map(|one| (one, true)));
    for (one, is_dust) in turns {
        let due = cashier.till.books().due_of(&one.purse);
        let sent = match &due {
            Some(due) => cashier.settle(due).await,
            None => Ok(None),
        };
        if is_dust && !matches!(sent, Ok(Some(_))) {
            // It has cost nothing.
            cashier.put_dust_turn_back();
        }
        let Some(due) = due else { continue };
        let sent = sent.map(|_| ());
        retries.note(&due.purse.id, &sent, now);
        if sent.is_err_and(|error| error.is_refusal()) {
            cashier.learn_or_log(&due).await;
        }
    }
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let each = began_at.elapsed().checked_div(number(count.min(A_ROUND))).unwrap_or_default();
    let backlog_ms = each.saturating_mul(number(count.saturating_sub(A_ROUND))).as_millis();
    cashier.backlog_ms.store(u64::try_from(backlog_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    for one in past.iter().take(A_ROUND) {
        retries.put_off(&one.purse, now);
        let due = cashier.till.books().due_of(&one.purse);
        if let Some(due) = due {
            cashier.learn_or_log(&due).await;
        }
    }
}

async fn channels(cashier: &Cashier) {
    let (mut retries, mut repayments) = (Retries::default(), Retries::default());
    let idle_ms = Milliseconds::try_from(cashier.idle.as_millis()).unwrap_or(Milliseconds::MAX);
    let mut claimed_at_ms = now_ms();
    let mut has_swept = false;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = now_ms();
        let is_time = now.saturating_sub(claimed_at_ms) >= idle_ms;
        let due = cashier.till.books().claimable(cashier.config.network, if is_time { 1 } else { u128::MAX });
        if is_time {
            claimed_at_ms = now;
            retries.keep(due.iter().map(|due| due.purse.id));
            has_swept = has_swept || matches!(cashier.sweep_rest().await, Ok(true));
        }
        let is_due = |due: &Due| retries.may_try(&due.purse.id, now) && cashier.may_claim(&due.purse.asset, due.fresh);
        let due: Vec<Due> = due.into_iter().filter(is_due).collect();
        for (purse, claimed) in cashier.claim(due).await {
            // What came in between may have kept it from being sent on, which is then done later.
            has_swept &= claimed.is_ok();
            retries.note(&purse, &claimed, now);
        }
        cashier.look_after_deposits().await;
        cashier.look_after_returns().await;
        cashier.repay(&mut repayments, now).await;
    }
}

/// Purses whose settlement failed, and payers who could not be paid back: how often, and when to try again. What its chain refused is tried
/// again later and later.
#[derive(Default)]
pub struct Retries(BTreeMap<Digest, (u32, Milliseconds)>);

impl Retries {
    pub fn may_try(&self, purse: &Digest, now: Milliseconds) -> bool {
        self.0.get(purse).is_none_or(|(_, at_ms)| *at_ms <= now)
    }

    /// Forgets purses that are due no more.
    fn keep(&mut self, due: impl Iterator<Item = Digest>) {
        if !self.0.is_empty() {
            let due: BTreeSet<Digest> = due.collect();
            self.0.retain(|purse, _| due.contains(purse));
        }
    }

    pub fn note(&mut self, purse: &Digest, settled: &Result<(), ChainError>, now: Milliseconds) {
        match settled {
            Ok(()) => drop(self.0.remove(purse)),
            Err(error) => {
                let count = self.put_off(purse, now);
                tracing::warn!(%purse, %error, count, "failed to settle a payment, or to pay one back");
            }
        }
    }

    fn put_off(&mut self, purse: &Digest, now: Milliseconds) -> u32 {
        let (count, at_ms) = self.0.entry(*purse).or_insert((0, now));
        *count = count.saturating_add(1);
        let pause = 1_000_u64.saturating_mul(1 << (*count).min(6)).min(RETRY_MS_MAX);
        *at_ms = now.saturating_add(pause);
        *count
    }
}
