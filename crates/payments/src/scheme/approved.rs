//! An approval by signature (EIP-2612) that a settlement hands to the token.

use alloy_primitives::U256;
use serde_json::{Value, json};

use crate::wire::{SIGNATURE_BYTES_MAX, WireError, json::Object};

/// An approval as a settlement hands it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub value: U256,
    pub deadline: U256,
    pub signature: Vec<u8>,
}

impl Approved {
    /// Where what settles a payment has it.
    pub(super) const PROOF: &str = "eip2612Permit";

    /// Out of what settles a payment.
    pub fn of(proof: Object<'_>) -> Result<Option<Self>, WireError> {
        if proof.optional(Self::PROOF).is_none() {
            return Ok(None);
        }
        let object = proof.object(Self::PROOF)?;
        Ok(Some(Self {
            value: object.number("value")?,
            deadline: object.number("deadline")?,
            signature: object.bytes("signature", SIGNATURE_BYTES_MAX)?,
        }))
    }

    /// As it stands there.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "value": self.value.to_string(),
            "deadline": self.deadline.to_string(),
            "signature": alloy_primitives::hex::encode_prefixed(&self.signature),
        })
    }
}
