//! `exact` by EIP-3009: the token pays on the payer's signature.

use serde_json::{Map, Value, json};

use crate::{
    scheme::{
        Claim, Method, Offer, Refused, Scheme, Signer,
        permit::{in_time, proof_bytes, whole_seconds},
    },
    signing::transfer::{By, signed},
    wire::{SIGNATURE_BYTES_MAX, TransferAuthorization, json::Object},
};

pub fn read(payload: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Claim, Refused> {
    let object = Object::new("payload", payload);
    let authorization = TransferAuthorization::read(object.object("authorization")?)?;
    let signature = object.bytes("signature", SIGNATURE_BYTES_MAX)?;
    if authorization.to != offer.recipient.pay_to {
        return Err(Refused::Recipient);
    }
    if authorization.value != offer.amount {
        return Err(Refused::Amount { found: authorization.value, expected: offer.amount });
    }
    let valid_before = whole_seconds(authorization.valid_before);
    in_time(whole_seconds(authorization.valid_after), valid_before, offer, now_s)?;
    let digest = signed(&authorization, By::Anyone, offer.asset.domain());
    let signer = Signer::of(authorization.from, digest, &signature);
    let proof = json!({
        "authorization": authorization.to_json(),
        "signature": alloy_primitives::hex::encode_prefixed(&signature),
    });
    Ok(Claim {
        scheme: Scheme::Exact,
        method: Method::Transfer,
        payer: authorization.from,
        cap: authorization.value,
        expires_at_s: valid_before,
        nonce: authorization.nonce,
        signer,
        approved: 0,
        proof: proof_bytes(&proof)?,
    })
}
