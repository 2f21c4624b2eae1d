//! Receivers that a facilitator knows: who may say how much of a signed cap is taken.
//!
//! Of an `upto` payment the facilitator alone decides the amount, and one settlement uses it up. Without a receiver's word a payer could
//! have its own cap settled for next to nothing before the receiver comes.

use std::collections::BTreeMap;

use alloy_primitives::Address;
use protocol::Digest;

/// What a receiver shows: 128 random bits or more. Kept by its digest only.
#[derive(Clone, PartialEq, Eq)]
pub struct MerchantToken(String);

impl MerchantToken {
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(alloy_primitives::hex::encode(bytes))
    }

    /// Out of `Authorization: Bearer …`.
    pub fn from_header(text: &str) -> Option<Self> {
        let token = text.strip_prefix("Bearer ")?;
        let is_token = token.len() == 64 && token.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_token.then(|| Self(token.to_owned()))
    }

    /// For the one time that it is handed out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> Digest {
        crypto::hash("og/facilitator-token/v1", &[self.0.as_bytes()])
    }
}

impl std::fmt::Debug for MerchantToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MerchantToken")
    }
}

/// A receiver and the digest of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merchant {
    pub pay_to: Address,
    pub token: Digest,
}

/// All receivers of one facilitator.
#[derive(Clone, Debug, Default)]
pub struct Merchants(BTreeMap<Address, Digest>);

impl Merchants {
    pub fn new(merchants: &[Merchant]) -> Self {
        Self(merchants.iter().map(|merchant| (merchant.pay_to, merchant.token)).collect())
    }

    /// Whether this token is the receiver's. Digests are compared, so the time tells nothing of the token.
    pub fn is(&self, pay_to: &Address, token: Option<&MerchantToken>) -> bool {
        token.is_some_and(|token| self.0.get(pay_to) == Some(&token.digest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_speaks_for_its_receiver_only() {
        let (mine, other) = (MerchantToken::from_random([1; 32]), MerchantToken::from_random([2; 32]));
        let (receiver, stranger) = (Address::with_last_byte(1), Address::with_last_byte(2));
        let merchants = Merchants::new(&[Merchant { pay_to: receiver, token: mine.digest() }]);
        assert!(merchants.is(&receiver, Some(&mine)));
        assert!(!merchants.is(&receiver, Some(&other)) && !merchants.is(&receiver, None));
        assert!(!merchants.is(&stranger, Some(&mine)) && !merchants.is(&stranger, None));
    }

    #[test]
    fn a_token_has_one_form_and_is_not_shown() {
        let token = MerchantToken::from_random([0xab; 32]);
        assert_eq!(MerchantToken::from_header(&format!("Bearer {}", token.expose())), Some(token.clone()));
        assert_eq!(format!("{token:?}"), "MerchantToken");
        for text in ["", "Bearer ", "Bearer x", &format!("bearer {}", token.expose()), &"Bearer AB".repeat(8)] {
            assert_eq!(MerchantToken::from_header(text), None, "{text}");
        }
    }
}
