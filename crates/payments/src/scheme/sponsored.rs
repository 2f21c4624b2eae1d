//! Sponsored approvals (extension `eip2612GasSponsoring`): with its payment a payer signs that Permit2 may move just that much of its
//! token, and whoever settles hands both to the chain at once. So a payer that never approved anything pays without gas.
//!
//! The approval is part of what settles the payment. Whether the token takes it is the token's to say, when the settlement is tried.

use alloy_primitives::{Address, U256};
use serde_json::{Map, Value, json};

use crate::{
    scheme::{
        Approved, Claim, Method, Offer, Refused, Scheme, Signer, all_hold,
        batch::{DepositMethod, Voucher, VoucherKind},
        permit::{lasts, proof_bytes, signature_of, whole_seconds},
    },
    signing::{
        approval::{Approval, signed},
        permit2::PERMIT2,
    },
    wire::{extension, json},
};

/// The extension's name.
pub const SPONSORED: &str = "eip2612GasSponsoring";

/// What a server declares that takes such payments.
pub fn declared() -> Value {
    extension::declared("Permit2 is approved by EIP-2612.")
}

/// What a payer adds to its payment.
pub fn told(approval: &Approval, asset: Address, signature: &[u8]) -> Value {
    json!({ "info": {
        "from": approval.owner.to_checksum(None),
        "asset": asset.to_checksum(None),
        "spender": approval.spender.to_checksum(None),
        "amount": approval.value.to_string(),
        "nonce": approval.nonce.to_string(),
        "deadline": approval.deadline.to_string(),
        "signature": alloy_primitives::hex::encode_prefixed(signature),
        "version": "1",
    }})
}

/// The approval of `amount` by `payer` that came with a payment, if one did.
fn brought(
    extensions: &Map<String, Value>,
    (payer, amount): (Address, u128),
    offer: &Offer,
    now_s: u64,
) -> Result<Option<Approved>, Refused> {
    let Some(info) = extension::said(extensions, SPONSORED, "signature")? else { return Ok(None) };
    let approval = Approval {
        owner: info.address("from")?,
        spender: info.address("spender")?,
        value: info.amount("amount")?,
        nonce: info.number("nonce")?,
        deadline: info.number("deadline")?,
    };
    all_hold([
        (approval.owner == payer, Refused::Signer),
        (info.address("asset")? == offer.asset.address, Refused::Token),
        (approval.spender == PERMIT2, Refused::Spender),
        // The proxies take no other.
        (approval.value == amount, Refused::Amount { found: approval.value, expected: amount }),
    ])?;
    lasts(whole_seconds(approval.deadline), offer, now_s)?;
    let signature = signature_of(payer, &signed(&approval, offer.asset.domain()), info)?;
    Ok(Some(Approved { value: U256::from(approval.value), deadline: approval.deadline, signature }))
}

impl Claim {
    /// Takes over the approval that came with a payment by Permit2, if one did.
    pub fn sponsored(self, extensions: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Self, Refused> {
        if self.method != Method::Permit2 || self.scheme == Scheme::Batch {
            return Ok(self);
        }
        match brought(extensions, (self.payer, self.cap), offer, now_s)? {
            None => Ok(self),
            Some(_) if self.signer != Signer::Payer => Err(Refused::Signer),
            Some(approved) => self.with(&approved),
        }
    }

    /// With an approval of all of it.
    fn with(self, approved: &Approved) -> Result<Self, Refused> {
        let mut proof = json::parse(&self.proof)?;
        proof.insert(Approved::PROOF.to_owned(), approved.to_json());
        Ok(Self {
            // It settles for as long as both are good.
            expires_at_s: self.expires_at_s.min(whole_seconds(approved.deadline)),
            approved: self.cap,
            proof: proof_bytes(&Value::Object(proof))?,
            ..self
        })
    }
}

impl Voucher {
    /// The same for a deposit by Permit2: its collector hands the approval on.
    pub fn sponsored(mut self, extensions: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Self, Refused> {
        let payer = self.config.payer;
        let VoucherKind::Deposit(deposit) = &mut self.kind else { return Ok(self) };
        let DepositMethod::Permit2 { approved, .. } = &mut deposit.method else { return Ok(self) };
        if let Some(approval) = brought(extensions, (payer, deposit.amount), offer, now_s)? {
            deposit.expires_at_s = deposit.expires_at_s.min(whole_seconds(approval.deadline));
            *approved = Some(approval);
        }
        Ok(self)
    }
}
