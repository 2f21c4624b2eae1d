//! Shares to their holders, on the ledger: what it says that we owe, and what had no receipt; written down, sent, and off the books once
//! the ledger has them.
//!
//! A payment has the number that the ledger takes next, so that it is done once however often it is sent. It is sent again until it is
//! done, by as much less as is due to its payees no more: what they got out of the stake, and a refund that somebody has claimed since. One
//! payment holds some payees; others follow until everybody has been paid, whoever has waited longest first: nobody is kept waiting by those
//! whose addresses are low.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use network::{LedgerClient, NetworkError, Sender};
use payments::{
    books::{PaidShare, PayingOut},
    price::Holder,
    scheme::Refused,
};
use protocol::{
    Action, Digest, EvmAddress, List, ShareRecord,
    transaction::{PayShares, PayeeShare},
};
use storage::Ticket;
use thiserror::Error;

use crate::{credit::Credit, payment::desk::Desk};

/// How long the ledger may take to have a payment. After that it is sent again, by the next round.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
/// Payees that a round reads about.
const PAYEES_A_ROUND: usize = 1 << 16;

/// Why nothing more was paid in this round.
#[derive(Debug, Error)]
enum PayoutError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Journal(#[from] Refused),
    #[error("the operator's account {operator} has {available} of {wanted}; hint: send it OPG")]
    Short { operator: EvmAddress, available: u128, wanted: u128 },
}

/// Works for ever; and at once where we owe nearly as much as we may.
pub async fn run(desk: Arc<Desk>, sender: Sender, ledger: LedgerClient, credit: Arc<Credit>) {
    let mut behind = None;
    loop {
        // Where more are owed than a round reads, the next one goes on behind them.
        if behind.is_none() {
            tokio::select! {
                () = tokio::time::sleep(desk.config.payouts) => {}
                () = credit.is_due() => {}
            }
        }
        behind = round(&desk, &sender, &ledger, behind).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to pay shares; tried again");
            None
        });
    }
}

/// Pays everybody behind `behind` who is owed something, as far as a round reads, a payment after the other; and tells how far that was.
async fn round(
    desk: &Desk,
    sender: &Sender,
    ledger: &LedgerClient,
    behind: Option<EvmAddress>,
) -> Result<Option<EvmAddress>, PayoutError> {
    let gateway = ledger.key(&sender.public_key()).await?.node;
    let mut number = ledger.payments(&gateway).await?;
    durable(desk, desk.till.note(|books| books.paid_out(number))?).await?;
    let (shares, upto) = ledger.shares_behind(&gateway, behind, PAYEES_A_ROUND).await?;
    let mut due = in_order(shares);
    let told = [due.clone(), unread(desk, behind, upto)].concat();
    durable(desk, desk.till.note(|books| books.lower(&told))?).await?;
    loop {
        durable(desk, desk.till.note(|books| books.pay_out(number, &due))?).await?;
        let under_way = desk.till.books().paying_out().cloned();
        let Some(paying) = under_way.filter(|paying| paying.number == number) else { return Ok(upto) };
        send(payment(&paying), &gateway, sender, ledger).await?;
        let Some(next) = taken(ledger, &gateway, number).await? else { return Ok(upto) };
        number = next;
        durable(desk, desk.till.note(|books| books.paid_out(number))?).await?;
        let paid: BTreeSet<Holder> = paying.shares.iter().map(|share| share.holder).collect();
        due.retain(|(payee, _)| !paid.contains(payee));
    }
}

/// What the payment under way has for those who were not read about: as far as anybody knows they are owed that.
fn unread(desk: &Desk, behind: Option<EvmAddress>, upto: Option<EvmAddress>) -> Vec<(Holder, u128)> {
    let is_read = |payee: &Holder| Some(*payee) > behind && upto.is_none_or(|upto| *payee <= upto);
    let books = desk.till.books();
    let shares = books.paying_out().into_iter().flat_map(|paying| paying.shares.iter());
    shares.filter(|share| !is_read(&share.holder)).map(|share| (share.holder, share.due)).collect()
}

async fn durable(desk: &Desk, ticket: Option<Ticket>) -> Result<(), Refused> {
    match ticket {
        Some(ticket) => desk.till.durable(ticket).await,
        None => Ok(()),
    }
}

async fn send(payment: PayShares, gateway: &Digest, sender: &Sender, ledger: &LedgerClient) -> Result<(), PayoutError> {
    let operator = ledger.node(gateway).await?.operator;
    let amounts = payment.shares.iter().map(|share| share.due.saturating_add(share.unreceipted));
    let wanted = amounts.fold(0, u128::saturating_add);
    let available = ledger.wallet(&operator.to_string()).await?.balance;
    if available < wanted {
        return Err(PayoutError::Short { operator, available, wanted });
    }
    sender.send(Action::PayShares(payment)).await?;
    Ok(())
}

/// The number that the ledger takes next, once it has the payment of this one; `None` where that takes long.
async fn taken(ledger: &LedgerClient, gateway: &Digest, number: u64) -> Result<Option<u64>, NetworkError> {
    let began_at = Instant::now();
    loop {
        let next = ledger.payments(gateway).await?;
        if next > number {
            return Ok(Some(next));
        }
        if began_at.elapsed() >= PATIENCE {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whom we owe, and how much: first those whose older part will be late first, then the others, who has waited longest first.
fn in_order(mut shares: Vec<ShareRecord>) -> Vec<(Holder, u128)> {
    shares.sort_by_key(|share| (share.old == 0, share.since, share.payee));
    shares.iter().map(|share| (share.payee, share.due())).collect()
}

/// As the ledger reads it: in order of the payees, each of them once.
fn payment(paying: &PayingOut) -> PayShares {
    let share = |share: &PaidShare| PayeeShare { payee: share.holder, due: share.due, unreceipted: share.unreceipted };
    // As many as there were fit as well.
    let shares = List::new(paying.shares.iter().map(share).collect()).unwrap_or_default();
    PayShares { number: paying.number, shares }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_share_will_be_late_first_is_paid_first() {
        let payee = |index: u8| EvmAddress([index; 20]);
        let share = |index, old, fresh, since| {
            let (gateway, payee) = (Digest::ZERO, payee(index));
            ShareRecord { gateway, payee, old, fresh, since }
        };
        let order = in_order(vec![share(1, 0, 9, 3), share(2, 0, 8, 2), share(3, 7, 1, 9), share(4, 6, 0, 8)]);
        assert_eq!(order, [(payee(4), 6), (payee(3), 8), (payee(2), 8), (payee(1), 9)]);
    }
}
