//! `exact` by Permit2, through x402's proxy.

use serde_json::{Map, Value};

use crate::{
    scheme::{Claim, Offer, Refused, Scheme, permit},
    signing::permit2::EXACT_PROXY,
};

pub fn read(payload: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Claim, Refused> {
    permit::read(payload, offer, now_s, Scheme::Exact, EXACT_PROXY)
}
