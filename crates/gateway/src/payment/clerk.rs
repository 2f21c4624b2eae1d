//! The clerk: settles what is due, in the background, whatever its callers do.
//!
//! Payments, channels and what waits for its block are looked after side by side: a claim that waits, or a chain that is asked about many
//! transactions, holds up no payment whose signature ends.

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

use crate::payment::{chain::ChainError, desk::Desk};

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
    tokio::join!(payments(Arc::clone(&desk)), channels(Arc::clone(&desk)), prices(desk));
}

async fn prices(desk: Arc<Desk>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        desk.look_after_prices().await;
    }
}

async fn payments(desk: Arc<Desk>) {
    let (mut retries, mut gas_seen_at) = (Retries::default(), None);
    loop {
        tokio::time::sleep(PAUSE).await;
        desk.tell_rate();
        desk.close_sessions();
        desk.look_after().await;
        settle(&desk, &mut retries).await;
        if gas_seen_at.is_none_or(|at: Instant| at.elapsed() >= GAS_PAUSE) {
            gas_seen_at = Some(Instant::now());
            desk.look_at_contracts().await;
            desk.look_at_gas().await;
        }
        shorten(&desk).await;
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
async fn settle(desk: &Desk, retries: &mut Retries) {
    let now = now_ms();
    let waiting = desk.till.books().waiting();
    retries.keep(waiting.iter().map(|waiting| waiting.purse));
    let waiting = waiting.into_iter().filter(|waiting| retries.may_try(&waiting.purse, now));
    let (past, waiting): (Vec<Waiting>, Vec<Waiting>) = waiting.partition(|one| one.expires_at_s < now / 1_000);
    // What was signed for less by `exact` had its turn when it was taken. What else is dust takes no place of what is worth its gas, and
    // nobody waits for it.
    let had_turn = |one: &Waiting| one.scheme == Scheme::Exact && desk.is_dust(&one.asset, one.cap);
    let (dust, waiting): (Vec<Waiting>, Vec<Waiting>) =
        waiting.into_iter().partition(|one| desk.is_dust(&one.asset, one.fresh) && !had_turn(one));
    let (began_at, count) = (Instant::now(), waiting.len());
    let mut turns: Vec<(Waiting, bool)> = waiting.into_iter().take(A_ROUND).map(|one| (one, false)).collect();
    let dust = dust.into_iter().filter(|one| desk.may_settle(&one.asset, one.fresh));
    turns.extend(dust.take(A_ROUND).map(|one| (one, true)));
    for (one, is_dust) in turns {
        let due = desk.till.books().due_of(&one.purse);
        let sent = match &due {
            Some(due) => desk.settle(due).await,
            None => Ok(None),
        };
        if is_dust && !matches!(sent, Ok(Some(_))) {
            // It has cost nothing.
            desk.put_dust_turn_back();
        }
        let Some(due) = due else { continue };
        let sent = sent.map(|_| ());
        retries.note(&due.purse.id, &sent, now);
        if sent.is_err_and(|error| error.is_refusal()) {
            desk.learn_or_log(&due).await;
        }
    }
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let each = began_at.elapsed().checked_div(number(count.min(A_ROUND))).unwrap_or_default();
    let backlog_ms = each.saturating_mul(number(count.saturating_sub(A_ROUND))).as_millis();
    desk.backlog_ms.store(u64::try_from(backlog_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    for one in past.iter().take(A_ROUND) {
        retries.put_off(&one.purse, now);
        let due = desk.till.books().due_of(&one.purse);
        if let Some(due) = due {
            desk.learn_or_log(&due).await;
        }
    }
}

async fn channels(desk: Arc<Desk>) {
    let (mut retries, mut repayments) = (Retries::default(), Retries::default());
    let idle_ms = Milliseconds::try_from(desk.config.idle.as_millis()).unwrap_or(Milliseconds::MAX);
    let mut claimed_at_ms = now_ms();
    let mut has_swept = false;
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = now_ms();
        let is_time = now.saturating_sub(claimed_at_ms) >= idle_ms;
        let due = desk.till.books().claimable(if is_time { 1 } else { u128::MAX });
        if is_time {
            claimed_at_ms = now;
            retries.keep(due.iter().map(|due| due.purse.id));
            has_swept = has_swept || matches!(desk.sweep_rest().await, Ok(true));
        }
        let is_due = |due: &Due| retries.may_try(&due.purse.id, now) && desk.may_claim(&due.purse.asset, due.fresh);
        let due: Vec<Due> = due.into_iter().filter(is_due).collect();
        for (purse, claimed) in desk.claim(due).await {
            // What came in between may have kept it from being sent on, which is then done later.
            has_swept &= claimed.is_ok();
            retries.note(&purse, &claimed, now);
        }
        desk.look_after_deposits().await;
        desk.look_after_returns().await;
        desk.repay(&mut repayments, now).await;
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
