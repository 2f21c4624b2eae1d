//! Permit2's signed transfers as `exact` and `upto` have them in common.

use alloy_primitives::{Address, B256, U256};
use protocol::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    scheme::{Claim, Method, Offer, Refused, Scheme, Signer},
    signing::{permit2::signed, recover},
    wire::{PermitAuthorization, SIGNATURE_BYTES_MAX, WireError, json::Object},
};

pub fn read(
    payload: &Map<String, Value>,
    offer: &Offer,
    now_s: u64,
    scheme: Scheme,
    proxy: Address,
) -> Result<Claim, Refused> {
    let object = Object::new("payload", payload);
    let permit = PermitAuthorization::read(object.object("permit2Authorization")?)?;
    let signature = object.bytes("signature", SIGNATURE_BYTES_MAX)?;
    let facilitator = (scheme == Scheme::Upto).then_some(offer.recipient.facilitator);
    let truths = [
        (permit.to == offer.recipient.pay_to, Refused::Recipient),
        (permit.token == offer.asset.address, Refused::Token),
        (permit.spender == proxy, Refused::Spender),
        (permit.facilitator == facilitator, Refused::Facilitator),
        (permit.amount == offer.amount, Refused::Amount { found: permit.amount, expected: offer.amount }),
    ];
    truths.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, refused)| Err(refused))?;
    let deadline = whole_seconds(permit.deadline);
    in_time(whole_seconds(permit.valid_after), deadline, offer, now_s)?;
    let digest = signed(&permit, offer.asset.permit2());
    let signer = match recover(&digest, &signature) {
        Ok(signer) if signer == permit.from => Signer::Payer,
        Ok(_) | Err(_) => Signer::Unknown { digest, signature: signature.clone() },
    };
    let proof = json!({
        "permit2Authorization": permit.to_json(),
        "signature": alloy_primitives::hex::encode_prefixed(&signature),
    });
    Ok(Claim {
        scheme,
        method: Method::Permit2,
        payer: permit.from,
        cap: permit.amount,
        expires_at_s: deadline,
        nonce: B256::from(permit.nonce),
        signer,
        approved: 0,
        proof: proof_bytes(&proof)?,
    })
}

/// A time in seconds; one that does not fit lies in the farthest future.
pub fn whole_seconds(time: U256) -> u64 {
    u64::try_from(time).unwrap_or(u64::MAX)
}

/// Valid now, and for as long as settling may take. A contract takes a payment while `valid_after < now < valid_before`.
pub fn in_time(valid_after: u64, valid_before: u64, offer: &Offer, now: u64) -> Result<(), Refused> {
    if valid_after >= now {
        return Err(Refused::TooEarly { valid_after, now });
    }
    let needed = now.saturating_add(offer.margin_s);
    if valid_before <= needed {
        return Err(Refused::TooLate { valid_before, needed });
    }
    Ok(())
}

/// What settles a payment, in one spelling.
pub fn proof_bytes<const N: usize>(proof: &Value) -> Result<Bytes<N>, Refused> {
    let bytes = proof.to_string().into_bytes();
    let found = bytes.len();
    Bytes::new(bytes).map_err(|_| Refused::Wire(WireError::TooLarge { found, limit: N }))
}
