//! `upto`: one signed cap, charged for what was used. Here it opens a session, which pays for calls until it is used up, idle or
//! near its deadline, and is then settled once.

mod session;

use serde_json::{Map, Value};

use crate::{
    scheme::{Claim, Offer, Refused, Scheme, permit},
    signing::permit2::UPTO_PROXY,
};

pub use session::{Session, SessionToken, Sessions};

/// Checks a payload against its offer; the chain is not asked.
pub fn read(payload: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Claim, Refused> {
    permit::read(payload, offer, now_s, Scheme::Upto, UPTO_PROXY)
}
