//! `exact`: one signed payment of one amount, settled once and whole.
//!
//! The answer comes first and the settlement after it, so a payment is charged in full where the answer was delivered, and not settled
//! at all where nothing was. Where less is charged, because the call broke off or we crashed, the rest is sent back.

mod permit2;
mod transfer;

use serde_json::{Map, Value};

use crate::scheme::{Claim, Method, Offer, Refused};

/// Checks a payload against its offer; the chain is not asked.
pub fn read(payload: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Claim, Refused> {
    match offer.method {
        Method::Transfer => transfer::read(payload, offer, now_s),
        Method::Permit2 => permit2::read(payload, offer, now_s),
    }
}
