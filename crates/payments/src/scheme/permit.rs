//! What payers sign, as the schemes have it in common: Permit2's transfers, times, whose signature it is.

use alloy_primitives::{Address, B256, U256};
use protocol::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    scheme::{Claim, Method, Offer, Refused, Scheme, Signer, all_hold},
    signing::{permit2::signed, recover},
    wire::{PermitAuthorization, SIGNATURE_BYTES_MAX, WireError, json::Object},
};

/// By how much a payer's clock may be ahead of ours.
const AHEAD_S: u64 = 600;

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
    all_hold([
        (permit.to == offer.recipient.pay_to, Refused::Recipient),
        (permit.token == offer.asset.address, Refused::Token),
        (permit.spender == proxy, Refused::Spender),
        (permit.facilitator == facilitator, Refused::Facilitator),
        (permit.amount == offer.amount, Refused::Amount { found: permit.amount, expected: offer.amount }),
    ])?;
    let deadline = whole_seconds(permit.deadline);
    in_time(whole_seconds(permit.valid_after), deadline, offer, now_s)?;
    let signer = Signer::of(permit.from, signed(&permit, offer.asset.permit2()), &signature);
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

impl Signer {
    /// Whose signature it is of what a payer should have signed.
    pub(super) fn of(payer: Address, digest: B256, signature: &[u8]) -> Self {
        match recover(&digest, signature) {
            Ok(signer) if signer == payer => Self::Payer,
            Ok(_) | Err(_) => Self::Unknown { digest, signature: signature.to_vec() },
        }
    }
}

/// The signature in `object`, where the payer's own key made it of just this.
pub fn signature_of(payer: Address, digest: &B256, object: Object<'_>) -> Result<Vec<u8>, Refused> {
    let signature = object.bytes("signature", SIGNATURE_BYTES_MAX)?;
    if recover(digest, &signature)? == payer { Ok(signature) } else { Err(Refused::Signer) }
}

/// A time in seconds; one that does not fit lies in the farthest future.
pub fn whole_seconds(time: U256) -> u64 {
    u64::try_from(time).unwrap_or(u64::MAX)
}

/// Valid now, for as long as settling may take, and for no longer than was asked for: a payment is remembered until it ends, whether it
/// ever pays or not. A contract takes a payment while `valid_after < now < valid_before`.
pub fn in_time(valid_after: u64, valid_before: u64, offer: &Offer, now: u64) -> Result<(), Refused> {
    if valid_after >= now {
        return Err(Refused::TooEarly { valid_after, now });
    }
    lasts(valid_before, offer, now)?;
    let most = now.saturating_add(offer.max_timeout_s).saturating_add(AHEAD_S);
    if valid_before > most {
        return Err(Refused::TooLong { valid_before, most });
    }
    Ok(())
}

/// Valid for as long as settling may take.
pub fn lasts(valid_before: u64, offer: &Offer, now: u64) -> Result<(), Refused> {
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
