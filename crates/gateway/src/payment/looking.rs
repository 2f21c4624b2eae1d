//! Payments looked up on their chain: whether one is worth that, and what the chain says of its payer, or of its channel.

use network::now_ms;
use payments::{
    Address, B256,
    chain::{self, LentApproval, WalletAsk},
    scheme::{Authorised, Claim, Method, Offer, Refused, Signer, batch::Voucher},
    wire::PaymentPayload,
};
use protocol::Digest;

use crate::{
    payment::{cashier::Cashier, chain::ChainError},
    seats::Seats,
};

impl Cashier {
    /// Refuses whoever is not among those whose payments are taken, before anything of theirs is looked up or sent anywhere.
    pub fn admit_listed(&self, payer: Address) -> Result<(), Refused> {
        let is_listed = self.config.payers.as_ref().is_none_or(|payers| payers.contains(&payer));
        if is_listed { Ok(()) } else { Err(Refused::Foreign(payer)) }
    }

    /// Whether a payment is worth a look at its chain now.
    pub fn admit_payer(&self, claim: &Claim, offer: &Offer) -> Result<(), Refused> {
        let (network, asset) = (offer.asset.network, offer.asset.address);
        let is_known = self.till.books().knows_payer(network, asset, claim.payer, offer.asset.thousandth());
        match &claim.signer {
            Signer::Payer if is_known => self.admit_known(claim.payer),
            Signer::Payer => self.admit_stranger(),
            // Refused whatever its chain says. That says only whether the payer is a contract, which is worth telling where there is time.
            Signer::Unknown { .. } => self.admit_stranger().map_err(|_| Refused::Signer),
        }
    }

    /// Asks the chain about a payer, and whether it would take the settlement now: what a token refuses for reasons of its own is not
    /// served first.
    pub async fn authorise(&self, claim: Claim, offer: &Offer, seats: &Seats) -> Result<Authorised, Refused> {
        let _look = self.looks.take(seats.count())?;
        let ask = WalletAsk::new(claim.question(offer));
        let settlement = chain::pay(claim.scheme, claim.method, offer.asset.address, &claim.proof, claim.cap);
        let tried = async {
            let call = settlement.map_err(|error| Refused::WouldFail(error.to_string()))?;
            self.chain.would_take(&call, self.key.address()).await.map_err(ChainError::into_refused)
        };
        let (facts, tried) = tokio::join!(self.chain.wallet(&ask), tried);
        let facts = facts.map_err(|error| Refused::Chain(error.to_string()))?;
        // Its own reason first, where there is one.
        let authorised = claim.settle_against(offer, &facts)?;
        tried.map(|_| authorised)
    }

    /// A payment by Permit2 may bring its payer's own approval, where no other came with it.
    pub async fn lend_for(
        &self,
        claim: &Claim,
        payment: &PaymentPayload,
        offer: &Offer,
        seats: &Seats,
    ) -> Result<(), Refused> {
        let needs_one = claim.method == Method::Permit2 && claim.approved == 0 && claim.signer == Signer::Payer;
        if needs_one && let Some(approval) = LentApproval::brought(&payment.extensions, claim.payer, claim.cap, offer)?
        {
            let look = self.looks.take(seats.count())?;
            if !self.needs_approval(claim.question(offer), claim.cap).await? {
                return Ok(());
            }
            drop(look);
            // One place for all that a payer is lent: approvals are made up as quickly as payments.
            let id = crypto::hash("og/loan/v1", &[claim.payer.as_slice()]);
            self.may_run_errand(&id, &offer.asset)?;
            let customer = self.customer(&id, &offer.asset, claim.payer);
            seats.without((self.config.network, id, customer), self.lend(&approval)).await?;
        }
        Ok(())
    }

    /// Asks the chain about a channel where that was not done for `life_ms`, and says whether it was asked now.
    pub async fn know_channel(&self, voucher: &Voucher, life_ms: u64, seats: &Seats) -> Result<bool, Refused> {
        let purse = voucher.purse();
        let known = self.till.books().standing(&purse).map(|standing| standing.facts.asked_at_ms);
        if known.is_some_and(|at_ms| now_ms().saturating_sub(at_ms) < life_ms) {
            return Ok(false);
        }
        self.admit_channel(voucher)?;
        let _look = self.looks.take(seats.count())?;
        self.ask_channel(purse, voucher.channel).await.map_err(|error| Refused::Chain(error.to_string()))?;
        Ok(true)
    }

    /// Whether a channel is worth a look at its chain now.
    pub fn admit_channel(&self, voucher: &Voucher) -> Result<(), Refused> {
        let is_stranger = self.till.books().purse(&voucher.purse()).is_none();
        if is_stranger { self.admit_stranger() } else { self.admit_known(voucher.config.payer) }
    }

    /// Learns what the chain says of a channel now.
    pub async fn ask_channel(&self, purse: Digest, channel: B256) -> Result<(), ChainError> {
        let facts = self.chain.channel_at_depth(channel, self.config.confirmations).await?;
        self.till.books().note_facts(purse, facts);
        Ok(())
    }
}
