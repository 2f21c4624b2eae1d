//! Money out of channels, at the payer's wish.
//!
//! What is to be sent back is set apart in the journal before its transaction leaves, and until its chain has that for good: no call is
//! served for it meanwhile, whatever the chain still says of the channel. Every refund is a transaction of ours, so that only the payer can ask
//! for one, not too often, and not for dust.

use std::{sync::Arc, time::Duration};

use network::now_ms;
use payments::{
    B256,
    books::Returning,
    chain::{self, ClaimLine},
    scheme::{
        Asset, Offer, Refused, Scheme,
        batch::{self, Voucher, VoucherKind},
    },
    wire::{Accepted, PaymentPayload, SettleResponse},
};
use protocol::{Bytes, Digest, Milliseconds};

use crate::{
    payment::{
        cashier::Cashier,
        chain::ChainError,
        crowd::lock,
        desk::{Bill, Desk},
        paid::{Paid, channel_state},
        unpaid::Unpaid,
    },
    seats::Seats,
};

/// How long a refund is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Refunds of one channel within an hour.
const REFUNDS_AN_HOUR: usize = 3;
const HOUR_MS: Milliseconds = 3_600_000;

impl Desk {
    /// Gives back what a channel holds beyond what was charged and promised.
    pub async fn refund(
        self: &Arc<Self>,
        payment: &PaymentPayload,
        bill: &Bill<'_>,
        seats: &Seats,
    ) -> Result<Paid, Unpaid> {
        let read = self.channel_offer(payment, bill).and_then(|offer| {
            let voucher = batch::read(&payment.payload, &offer, now_ms() / 1_000)?;
            Ok((offer, voucher))
        });
        let (offer, voucher) = read.map_err(|refused| self.refuse(bill, refused))?;
        let cashier = self.cashier_of(&offer).map_err(|refused| self.refuse(bill, refused))?;
        match cashier.give_back(&voucher, &offer, seats).await {
            Ok(settled) => Err(Unpaid::Refunded(Box::new(settled))),
            Err(error @ (Refused::Cumulative { .. } | Refused::BelowClaimed { .. })) => {
                Err(self.corrective(&voucher, bill, error))
            }
            Err(refused) => Err(self.refuse(bill, refused)),
        }
    }

    /// The offer of a refund's channel. What a call would cost does not matter here.
    fn channel_offer(&self, payment: &PaymentPayload, bill: &Bill<'_>) -> Result<Offer, Refused> {
        let Accepted::Terms(terms) = &payment.accepted else { return Err(Refused::Terms("scheme")) };
        let rate = self.rates().into_iter().next().flatten();
        let offers = self.offers(bill, rate).map_err(|error| Refused::Chain(error.to_string()))?;
        let is_named = |asset: &Asset| (asset.network, asset.address) == (terms.network, terms.asset);
        let is_it = |offer: &Offer| offer.scheme == Scheme::Batch && is_named(&offer.asset);
        offers.into_iter().find(is_it).ok_or(Refused::Terms("asset"))
    }
}

impl Cashier {
    async fn give_back(&self, voucher: &Voucher, offer: &Offer, seats: &Seats) -> Result<SettleResponse, Refused> {
        let VoucherKind::Refund(wish) = voucher.kind else { return Err(Refused::Terms("payload.type")) };
        let purse = voucher.purse();
        // Before its chain is asked, in its payer's turn: whoever shows it need not be that.
        self.refuse_public(voucher)?;
        self.know_channel(voucher, 0, seats).await?;
        self.check_consent(voucher)?;
        // Nothing is answered after it.
        self.may_run_errand(&purse, &offer.asset)?;
        let customer = self.customer(&purse, &offer.asset, voucher.config.payer);
        let _waits = seats.leave((self.config.network, purse, customer))?;
        let returning = self.send_refund(voucher, offer, wish).await?;
        let (amount, first) = (returning.amount, B256::from(returning.transaction.0));
        let balance = self.till.books().standing(&purse).map_or(0, |standing| standing.facts.balance);
        let taken = self.wait_for(&returning.transaction, 0, PATIENCE).await.map_err(failed)?;
        if let Some((_, has_arrived)) = taken.filter(|_| self.config.confirmations == 0) {
            self.note_returned(&purse, voucher.channel, first, has_arrived).await;
        }
        let hash = match taken {
            Some((hash, true)) => hash,
            Some((hash, false)) => return Err(Refused::Chain(format!("transaction {hash} was reverted"))),
            None => return Err(Refused::Chain(format!("transaction {first} is in no block yet"))),
        };
        let (payer, network) = (voucher.config.payer, voucher.network);
        let mut settled = SettleResponse::charged(network, payer, amount, hash.to_string());
        let (mut state, _) = channel_state(&self.till, &purse, voucher.channel, None);
        // Whether or not the chain's word of it is final.
        state["balance"] = balance.to_string().into();
        settled.extra.insert("channelState".to_owned(), state);
        Ok(settled)
    }

    fn refuse_public(&self, voucher: &Voucher) -> Result<(), Refused> {
        let found = voucher.max_claimable;
        let is_public = self.till.books().is_published(&voucher.purse(), found);
        if is_public { Err(Refused::Published(found)) } else { Ok(()) }
    }

    /// A refund is its payer's wish where the voucher with it covers what is charged and no more, and nobody but the payer has it: one that
    /// stands in a claim can be read by everybody.
    fn check_consent(&self, voucher: &Voucher) -> Result<(), Refused> {
        let (purse, found) = (voucher.purse(), voucher.max_claimable);
        let books = self.till.books();
        let standing = books.standing(&purse).ok_or(Refused::UnknownChannel)?;
        let told = books.purse(&purse).map_or(standing.spent, |record| record.announced);
        let expected = told.max(standing.spent.saturating_add(standing.reserved));
        if found != told && found != expected {
            return Err(Refused::Cumulative { found, expected });
        }
        Ok(())
    }

    /// Writes down and sends what goes back.
    async fn send_refund(&self, voucher: &Voucher, offer: &Offer, wish: Option<u128>) -> Result<Returning, Refused> {
        let (purse, domain) = (voucher.purse(), offer.asset.channels());
        let (amount, line, nonce) = self.what_goes_back(&purse, offer, wish)?;
        self.count_refund(&purse, &offer.asset)?;
        let call = chain::refund(line.as_ref(), &voucher.config, amount, nonce, domain, &self.key);
        let fees = self.chain.weigh(&call, self.key.address()).await.map_err(failed)?;
        let _sending = self.sending.lock().await;
        let signed = self.chain.sign(&call, 0, fees, &self.key).await.map_err(failed)?;
        let (raw, transaction) = (Bytes::new(signed.raw.to_vec()), Digest(signed.hash.0));
        let raw = raw.map_err(|_| Refused::NotDurable("a refund too long for the journal".to_owned()))?;
        let returning = Returning { purse, channel: Digest(voucher.channel.0), amount, transaction, raw };
        let noted = self.till.note(|books| books.give_back(&returning))?;
        // A call has drawn on it meanwhile.
        let mut ticket = noted.ok_or_else(|| Refused::Refund(amount, self.till.books().returnable(&purse)))?;
        if let Some(line) = &line {
            self.till.note(|books| books.publish(&purse, line.max_claimable))?;
            let Some(claiming) = self.till.note(|books| books.settling(&purse, line.total_claimed, transaction))?
            else {
                // A charge was taken back meanwhile, or is being claimed.
                self.till.note(|books| books.given_back(&purse, &transaction, false))?;
                return Err(Refused::InFlight);
            };
            // The last of them: all that comes before it is on the disk with it.
            ticket = claiming;
        }
        self.till.durable(ticket).await?;
        match self.chain.send(&signed).await {
            Err(error) if error.is_refusal() => {
                // Refused by the RPC itself, it was never sent.
                self.note_unsettled(&purse, transaction);
                let _noted = self.till.note(|books| books.given_back(&purse, &transaction, false));
                Err(failed(error))
            }
            Ok(()) | Err(_) => Ok(returning),
        }
    }

    /// How much goes back, and what is claimed before it, where no other claim is on its way.
    fn what_goes_back(
        &self,
        purse: &Digest,
        offer: &Offer,
        wish: Option<u128>,
    ) -> Result<(u128, Option<ClaimLine>, payments::U256), Refused> {
        let books = self.till.books();
        let standing = books.standing(purse).ok_or(Refused::UnknownChannel)?;
        if books.returning_of(purse).is_some() {
            return Err(Refused::InFlight);
        }
        let left = books.returnable(purse);
        let amount = wish.unwrap_or(left);
        if amount > left || left == 0 {
            return Err(Refused::Refund(amount, left));
        }
        // Or all that is there.
        let expected = offer.asset.hundredth();
        if amount < expected.min(left) {
            return Err(Refused::SmallRefund { found: amount, expected });
        }
        let is_unclaimed =
            |record: &&payments::books::PurseRecord| record.settling.is_none() && record.spent > record.settled;
        let line = books.purse(purse).filter(is_unclaimed).map(|record| ClaimLine::of(record, record.spent));
        let line = line.transpose().map_err(|error| Refused::Chain(error.to_string()))?;
        Ok((amount, line, standing.facts.refund_nonce))
    }

    /// Each refund costs us gas, whatever it is over.
    fn count_refund(&self, purse: &Digest, asset: &Asset) -> Result<(), Refused> {
        let (now, mut refunds) = (now_ms(), lock(&self.refunds));
        refunds.retain(|_, at_ms| at_ms.last().is_some_and(|at_ms| now.saturating_sub(*at_ms) < HOUR_MS));
        let at_ms = refunds.entry(*purse).or_default();
        at_ms.retain(|at_ms| now.saturating_sub(*at_ms) < HOUR_MS);
        if at_ms.len() >= REFUNDS_AN_HOUR {
            return Err(Refused::TooManyRefunds(u32::try_from(at_ms.len()).unwrap_or(u32::MAX)));
        }
        // What is refused before costs no gas.
        self.admit_errand(purse, asset)?;
        at_ms.push(now);
        Ok(())
    }
}

fn failed(error: ChainError) -> Refused {
    Refused::Chain(error.to_string())
}
