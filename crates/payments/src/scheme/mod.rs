//! Ways to pay: a folder each. A payment is checked in two steps, both pure: against the offer (`read`), then against what its chain
//! says (`settle_against`). Only the second makes an [`Authorised`], which is what money is reserved by.

mod approved;
pub mod batch;
pub mod exact;
mod facts;
mod known;
mod offer;
mod permit;
mod refused;
mod sponsored;
pub mod upto;

use alloy_primitives::{Address, B256};
use protocol::{Bytes, Digest};

pub use approved::Approved;
pub use facts::{ChannelFacts, Facts, Question, WalletFacts};
pub use known::{KnownToken, TOKENS};
pub use offer::{Asset, Method, Offer, Recipient};
pub(crate) use refused::all_hold;
pub use refused::{Fault, Refused};
pub use sponsored::{SPONSORED, declared as declared_sponsoring, told as sponsoring};

protocol::words! {
    /// How a payment is made.
    Scheme {
        Exact = 1, "exact";
        Upto = 2, "upto";
        Batch = 3, "batch-settlement";
    }
}

/// Most bytes of what is needed to settle a payment.
pub const PROOF_BYTES_MAX: usize = 8_192;

/// A payment that was checked against its offer, not yet against its chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub scheme: Scheme,
    pub method: Method,
    pub payer: Address,
    pub cap: u128,
    /// From then on the chain does not take it any more.
    pub expires_at_s: u64,
    pub nonce: B256,
    pub signer: Signer,
    /// What an approval lets Permit2 move that comes with it.
    pub approved: u128,
    /// What settles it: the payload as the client sent it, in one spelling.
    pub proof: Bytes<PROOF_BYTES_MAX>,
}

/// Whose signature it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The payer's own key made it.
    Payer,
    /// No key of the payer's did: only a contract at the payer's address could take it for its own.
    Unknown { digest: B256, signature: Vec<u8> },
}

/// A payment that its chain would settle, as far as anyone can tell now. Only this room makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorised {
    claim: Claim,
    network: crate::wire::Network,
    asset: Address,
    payee: Address,
    /// What the payer can pay with at the moment.
    funds: u128,
    /// When the chain was asked, on our clock.
    asked_at_ms: u64,
}

impl Authorised {
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    pub fn network(&self) -> crate::wire::Network {
        self.network
    }

    pub fn asset(&self) -> Address {
        self.asset
    }

    pub fn payee(&self) -> Address {
        self.payee
    }

    pub fn funds(&self) -> u128 {
        self.funds
    }

    pub fn asked_at_ms(&self) -> u64 {
        self.asked_at_ms
    }

    /// The payment's identity: what its chain takes once only.
    pub fn id(&self) -> Digest {
        let Claim { method, payer, nonce, .. } = &self.claim;
        facts::payment_id(*method, self.network, &self.asset, payer, nonce)
    }
}

impl Claim {
    /// What has to be asked of the chain.
    pub fn question(&self, offer: &Offer) -> Question {
        Question {
            network: offer.asset.network,
            asset: offer.asset.address,
            payer: self.payer,
            method: self.method,
            nonce: self.nonce,
            contract_signature: match &self.signer {
                Signer::Payer => None,
                Signer::Unknown { digest, signature } => Some((*digest, signature.clone())),
            },
        }
    }

    /// Compares with what the chain says.
    pub fn settle_against(self, offer: &Offer, facts: &WalletFacts) -> Result<Authorised, Refused> {
        if facts.nonce_is_used {
            return Err(Refused::NonceUsed);
        }
        match &self.signer {
            // Tokens ask a payer that has code, whatever its key signed.
            Signer::Payer if facts.has_code => return Err(Refused::ContractWallet),
            Signer::Unknown { .. } if facts.has_code => return Err(Refused::ContractWallet),
            Signer::Payer => {}
            Signer::Unknown { .. } => return Err(Refused::Signer),
        }
        let allowance = match self.method {
            Method::Transfer => u128::MAX,
            // One approval, whatever other payments it comes with: it is not added to what there is.
            Method::Permit2 => facts.allowance.max(self.approved),
        };
        if facts.balance < self.cap {
            return Err(Refused::Funds { held: facts.balance, needed: self.cap });
        }
        if allowance < self.cap {
            return Err(Refused::Allowance { allowed: allowance, needed: self.cap });
        }
        Ok(Authorised {
            network: offer.asset.network,
            asset: offer.asset.address,
            payee: offer.recipient.pay_to,
            funds: facts.balance.min(allowance),
            asked_at_ms: facts.asked_at_ms,
            claim: self,
        })
    }
}
