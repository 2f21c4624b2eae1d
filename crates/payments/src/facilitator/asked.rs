//! What a server asks a facilitator: is this payment good for these terms; settle it by them.

use alloy_primitives::Address;
use protocol::Digest;
use serde_json::{Map, Value};

use crate::{
    scheme::{Asset, Method, Offer, Recipient, Refused, Scheme},
    wire::{
        Accepted, PaymentPayload, Requirements, WireError,
        json::{Object, read_hex},
    },
};

/// A payment and the terms that its server wants it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub payment: PaymentPayload,
    pub terms: Requirements,
}

/// What a facilitator knows itself: nothing of an offer that a check needs is taken from a request.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub assets: &'a [Asset],
    /// Whose key settles.
    pub facilitator: Address,
    /// A payment must still be good for so long.
    pub margin_s: u64,
}

impl Asked {
    pub fn read(map: &Map<String, Value>) -> Result<Self, WireError> {
        let object = Object::new("", map);
        let payment = PaymentPayload::read(object.object("paymentPayload")?.map)?;
        let terms = object.object("paymentRequirements")?;
        let terms = match payment.accepted {
            Accepted::Terms(_) => Requirements::read(terms)?,
            Accepted::Named { .. } => Requirements::read_legacy(terms)?,
        };
        Ok(Self { payment, terms })
    }

    /// What was asked for, in one spelling: the same again is the same errand.
    pub fn digest(&self) -> Digest {
        let payload = Value::Object(self.payment.payload.clone()).to_string();
        let terms = self.terms.to_json().to_string();
        crypto::hash("og/errand-asked/v1", &[payload.as_bytes(), terms.as_bytes()])
    }

    /// The offer that the server must have made, which the payment is then checked against. For a settlement whose amount is the server's
    /// to choose (`is_settled`), the offer is the one that was signed.
    pub fn offer(&self, known: Known<'_>, is_settled: bool) -> Result<Offer, Refused> {
        let terms = &self.terms;
        let scheme = Scheme::from_word(&terms.scheme).ok_or(Refused::Unsupported("scheme"))?;
        if known.assets.iter().all(|asset| asset.network != terms.network) {
            return Err(Refused::Unsupported("network"));
        }
        let is_known = |asset: &&Asset| asset.network == terms.network && asset.address == terms.asset;
        let asset = known.assets.iter().find(is_known).ok_or(Refused::Unsupported("asset"))?;
        let amount = match &self.payment.accepted {
            Accepted::Terms(signed) if is_settled && scheme != Scheme::Exact => signed.amount,
            Accepted::Terms(_) | Accepted::Named { .. } => terms.amount,
        };
        let offer = Offer {
            scheme,
            method: self.method(scheme)?,
            asset: asset.clone(),
            recipient: self.recipient(scheme, known.facilitator)?,
            amount,
            max_timeout_s: terms.max_timeout_s,
            margin_s: known.margin_s,
            min_deposit: 0,
        };
        offer.is_taken_by(&self.payment)?;
        Ok(offer)
    }

    /// How the payload is signed; a server that wants it otherwise wants another payment.
    fn method(&self, scheme: Scheme) -> Result<Method, Refused> {
        let wished = self.terms.extra_text("assetTransferMethod").and_then(Method::from_word);
        let deposit = self.payment.payload.get("deposit").and_then(|deposit| deposit["authorization"].as_object());
        let is_permit2 = |map: &Map<String, Value>| map.contains_key("permit2Authorization");
        let signed = match (scheme, deposit) {
            (Scheme::Batch, None) => return Ok(wished.unwrap_or(Method::Transfer)),
            (Scheme::Batch, Some(deposit)) => is_permit2(deposit),
            (Scheme::Exact | Scheme::Upto, _) => is_permit2(&self.payment.payload),
        };
        let signed = if signed { Method::Permit2 } else { Method::Transfer };
        match wished {
            Some(wished) if wished != signed => Err(Refused::Terms("extra.assetTransferMethod")),
            Some(_) | None => Ok(signed),
        }
    }

    fn recipient(&self, scheme: Scheme, facilitator: Address) -> Result<Recipient, Refused> {
        let pay_to = self.terms.pay_to;
        let is_managed = self.payment.payload.get("type").is_some_and(|kind| kind == "claim" || kind == "settle");
        // Each line of a claim brings its own channel, and nobody's channel is swept.
        if scheme != Scheme::Batch || is_managed {
            return Ok(Recipient { pay_to, facilitator, withdraw_delay_s: 0 });
        }
        let authorizer = self.terms.extra_text("receiverAuthorizer").and_then(read_hex).map(Address::from);
        let delay = self.terms.extra.get("withdrawDelay").and_then(Value::as_u64);
        Ok(Recipient {
            pay_to,
            facilitator: authorizer.ok_or(Refused::Terms("extra.receiverAuthorizer"))?,
            withdraw_delay_s: delay.ok_or(Refused::Terms("extra.withdrawDelay"))?,
        })
    }
}
