//! Shares to their holders, on the ledger: what it says that we owe, and what had no receipt; written down, sent, and off the books once
//! the ledger has them.
//!
//! A payment has the number that the ledger takes next, so that it is done once however often it is sent. It is sent again until it is
//! done: what is in it never becomes wrong, because what is due to a payee only ever grows until it is paid.

use std::sync::Arc;

use network::{LedgerClient, NetworkError, Sender};
use payments::{
    books::{PaidShare, PayingOut},
    price::Holder,
    scheme::Refused,
};
use protocol::{
    Action, Digest, EvmAddress, List,
    transaction::{PayShares, PayeeShare},
};
use thiserror::Error;

use crate::payment::desk::Desk;

/// Why nothing was paid in this round.
#[derive(Debug, Error)]
enum PayoutError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Journal(#[from] Refused),
    #[error("the operator's account {operator} has {available} of {wanted}; hint: send it OPG")]
    Short { operator: EvmAddress, available: u128, wanted: u128 },
}

/// Works for ever.
pub async fn run(desk: Arc<Desk>, sender: Sender, ledger: LedgerClient) {
    loop {
        tokio::time::sleep(desk.config.payouts).await;
        if let Err(error) = round(&desk, &sender, &ledger).await {
            tracing::warn!(%error, "failed to pay shares; tried again");
        }
    }
}

async fn round(desk: &Desk, sender: &Sender, ledger: &LedgerClient) -> Result<(), PayoutError> {
    let gateway = ledger.key(&sender.public_key()).await?.node;
    let expected = ledger.dues(&gateway).await?.payments;
    if let Some(ticket) = desk.till.note(|books| books.paid_out(expected))? {
        desk.till.durable(ticket).await?;
    }
    let due = due(ledger, &gateway).await?;
    if let Some(ticket) = desk.till.note(|books| books.lower(&due))? {
        desk.till.durable(ticket).await?;
    }
    if let Some(ticket) = desk.till.note(|books| books.pay_out(expected, &due))? {
        desk.till.durable(ticket).await?;
    }
    let under_way = desk.till.books().paying_out().cloned();
    let Some(paying) = under_way.filter(|paying| paying.number == expected) else { return Ok(()) };
    let payment = payment(&paying);
    let operator = ledger.node(&gateway).await?.operator;
    let amounts = payment.shares.iter().map(|share| share.due.saturating_add(share.unreceipted));
    let wanted = amounts.fold(0, u128::saturating_add);
    let available = ledger.wallet(&operator.to_string()).await?.balance;
    if available < wanted {
        return Err(PayoutError::Short { operator, available, wanted });
    }
    sender.send(Action::PayShares(payment)).await?;
    Ok(())
}

/// Whom the ledger says that we owe, the first ones of them: the others are paid by the next payment.
async fn due(ledger: &LedgerClient, gateway: &Digest) -> Result<Vec<(Holder, u128)>, NetworkError> {
    let page = ledger.shares(gateway, None).await?;
    Ok(page.iter().map(|share| (share.payee, share.due())).collect())
}

/// As the ledger reads it: in order of the payees, each of them once.
fn payment(paying: &PayingOut) -> PayShares {
    let share = |share: &PaidShare| PayeeShare { payee: share.holder, due: share.due, unreceipted: share.unreceipted };
    // As many as there were fit as well.
    let shares = List::new(paying.shares.iter().map(share).collect()).unwrap_or_default();
    PayShares { number: paying.number, shares }
}
