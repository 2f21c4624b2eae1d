//! Turns of payments out of payers' own balances: how often they may come to nothing, or be worth less than their settlement costs. What
//! comes of one is known only later, so that a turn is taken first and put back where that is due.

use std::sync::Arc;

use network::now_ms;
use payments::{
    Address,
    scheme::{Asset, Authorised, Claim, Refused, Scheme, Signer},
};
use protocol::Digest;

use crate::payment::{cashier::Cashier, crowd::lock, desk::Desk};

/// Payments of one payer that may wait for a settlement that costs more than they are worth, before it makes another of their kind: sessions
/// as many as are cut off together when we start again, or close in one moment.
const SMALL_MAX: usize = 4;
/// Sessions that take calls and were charged less than that so far: they may end together.
const OPEN_SESSIONS_MAX: usize = 16;

impl Desk {
    /// The turn of a payment. Taken last, of what is paid for: what nobody signed, or nobody can pay, takes none.
    pub fn turn(
        self: &Arc<Self>,
        cashier: &Arc<Cashier>,
        authorised: &Authorised,
        asset: &Asset,
    ) -> Result<Option<Turn>, Refused> {
        // The till says why it is not taken.
        if self.till.books().open(authorised, now_ms()).is_err() {
            return Ok(None);
        }
        let (claim, purse) = (authorised.claim(), authorised.id());
        let (payer, is_dust) = (claim.payer, claim.scheme == Scheme::Exact && claim.cap < asset.thousandth());
        lock(&self.fruitless).take(payer, now_ms()).map_err(|_| Refused::Fruitless)?;
        if is_dust && let Err(crowded) = cashier.take_dust_turn() {
            lock(&self.fruitless).put_back(payer);
            return Err(crowded);
        }
        let (desk, cashier) = (Arc::clone(self), Arc::clone(cashier));
        Ok(Some(Turn { desk, cashier, purse, payer, is_dust, is_taken: true }))
    }

    /// Refuses one more payment to a payer of whose payments some wait that were charged less than their settlement costs, or many sessions
    /// are open that may end so. Their turn may never come: else who uses each for little, or has each break off, would be served for
    /// nothing, for as long as it likes. What is signed for less than that by `exact` has its turn when it is taken.
    pub fn admit_small(&self, claim: &Claim, asset: &Asset) -> Result<(), Refused> {
        let least = asset.thousandth();
        let has_turn = claim.scheme == Scheme::Exact && claim.cap < least;
        if claim.signer != Signer::Payer || has_turn {
            return Ok(());
        }
        let (waiting, open) = self.till.books().small_payments(claim.scheme, asset, claim.payer, least);
        match claim.scheme {
            Scheme::Upto if waiting >= SMALL_MAX || open >= OPEN_SESSIONS_MAX => {
                Err(Refused::Unsettled { waiting, open })
            }
            // As a rule they have their turn soon.
            Scheme::Exact | Scheme::Batch if waiting >= SMALL_MAX => Err(Refused::Fruitless),
            Scheme::Exact | Scheme::Upto | Scheme::Batch => Ok(()),
        }
    }
}

/// A turn of a payment that is served. Whoever pays for something has it back: else whoever asks for what no worker answers would be
/// remembered for it without measure, at no cost. Where nothing was charged there is nothing to settle, so that what is worth less than its
/// gas is back: else the same would take all such turns for nothing.
pub struct Turn {
    desk: Arc<Desk>,
    cashier: Arc<Cashier>,
    purse: Digest,
    payer: Address,
    is_dust: bool,
    is_taken: bool,
}

impl Turn {
    /// The payment was not taken after all: nothing of it is remembered.
    pub fn put_back(mut self) {
        self.is_taken = false;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let spent = self.desk.till.books().purse(&self.purse).map_or(0, |purse| purse.spent);
        if spent > 0 || !self.is_taken {
            lock(&self.desk.fruitless).put_back(self.payer);
        }
        if self.is_dust && (spent == 0 || !self.is_taken) {
            self.cashier.put_dust_turn_back();
        }
    }
}
