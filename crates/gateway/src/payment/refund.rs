//! Money out of channels, at the payer's wish.

use std::{sync::Arc, time::Duration};

use network::now_ms;
use payments::{
    B256,
    chain::{self, Call, ClaimLine},
    scheme::{
        Offer, Refused, Scheme,
        batch::{self, VoucherKind},
    },
    wire::{Accepted, PaymentPayload, SettleResponse},
};
use protocol::Digest;

use crate::payment::{
    desk::{Bill, Desk},
    paid::Paid,
    unpaid::Unpaid,
};

/// How long a deposit or a refund is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

impl Desk {
    /// Sends a transaction of our key and waits until its chain has it.
    async fn transact(&self, call: &Call) -> Result<B256, Refused> {
        let failed = |error: crate::payment::chain::ChainError| Refused::Chain(error.to_string());
        let sending = self.sending.lock().await;
        let signed = self.chain.prepare(call, &self.key).await.map_err(failed)?;
        self.chain.send(&signed).await.map_err(failed)?;
        drop(sending);
        match self.chain.wait(signed.hash, PATIENCE).await.map_err(failed)? {
            Some(true) => Ok(signed.hash),
            Some(false) => Err(Refused::Chain(format!("transaction {} was reverted", signed.hash))),
            None => Err(Refused::Chain(format!("transaction {} is in no block yet", signed.hash))),
        }
    }

    /// Gives back what a channel holds beyond what was charged and promised.
    pub async fn refund(self: &Arc<Self>, payment: &PaymentPayload, bill: &Bill<'_>) -> Result<Paid, Unpaid> {
        match self.give_back(payment, bill).await {
            Ok(settled) => Err(Unpaid::Refunded(Box::new(settled))),
            Err(refused) => Err(self.refuse(bill, refused)),
        }
    }

    async fn give_back(&self, payment: &PaymentPayload, bill: &Bill<'_>) -> Result<SettleResponse, Refused> {
        let offer = self.channel_offer(payment, bill)?;
        let voucher = batch::read(&payment.payload, &offer, now_ms() / 1_000)?;
        let VoucherKind::Refund(wish) = voucher.kind else { return Err(Refused::Terms("payload.type")) };
        self.know_channel(&voucher, 0).await?;
        let purse = voucher.purse();
        let (amount, line) = self.set_apart(&purse, wish)?;
        let facts = self.till.books().standing(&purse).map(|standing| standing.facts).unwrap_or_default();
        let domain = offer.asset.channels();
        let claimed = line.as_ref().map(|line| line.total_claimed);
        let call = chain::refund(line.as_ref(), &voucher.config, amount, facts.refund_nonce, domain, &self.key);
        let sent = self.transact(&call).await;
        // Whatever came of it: what the chain says now is what counts.
        self.know_channel(&voucher, 0).await?;
        let transaction = sent?;
        self.note_claimed(&purse, claimed, transaction);
        let (payer, network) = (voucher.config.payer, voucher.network);
        let mut settled = SettleResponse::charged(network, payer, amount, transaction.to_string());
        let (state, _) = self.channel_state(&purse, voucher.channel, None);
        settled.extra.insert("channelState".to_owned(), state);
        Ok(settled)
    }

    /// The offer of a refund's channel. What a call would cost does not matter here.
    fn channel_offer(&self, payment: &PaymentPayload, bill: &Bill<'_>) -> Result<Offer, Refused> {
        let Accepted::Terms(terms) = &payment.accepted else { return Err(Refused::Terms("scheme")) };
        let rate = self.rates().into_iter().next().flatten();
        let offers = self.offers(bill, rate).map_err(|error| Refused::Chain(error.to_string()))?;
        let is_it = |offer: &Offer| offer.scheme == Scheme::Batch && offer.asset.address == terms.asset;
        offers.into_iter().find(is_it).ok_or(Refused::Terms("asset"))
    }

    /// Takes what is refunded out of what calls may draw on, before the chain is told.
    fn set_apart(&self, purse: &Digest, wish: Option<u128>) -> Result<(u128, Option<ClaimLine>), Refused> {
        let mut books = self.till.books();
        let standing = books.standing(purse).ok_or(Refused::UnknownChannel)?;
        let taken = standing.spent.saturating_add(standing.reserved);
        let left = standing.facts.balance.saturating_sub(taken);
        let amount = wish.unwrap_or(left);
        if amount == 0 || amount > left {
            return Err(Refused::Refund(amount, left));
        }
        let record = books.purse(purse).filter(|record| record.spent > standing.facts.total_claimed);
        let line = record.map(|record| ClaimLine::of(record, record.spent)).transpose();
        let line = line.map_err(|error| Refused::Chain(error.to_string()))?;
        let mut facts = standing.facts;
        facts.balance = facts.balance.saturating_sub(amount);
        books.note_facts(*purse, facts);
        Ok((amount, line))
    }

    fn note_claimed(&self, purse: &Digest, claimed: Option<u128>, transaction: B256) {
        let Some(amount) = claimed else { return };
        let transaction = Digest(transaction.0);
        let _noted = self.till.note(|books| books.settling(purse, amount, transaction));
        let _noted = self.till.note(|books| books.settled(purse, transaction, now_ms()));
    }
}
