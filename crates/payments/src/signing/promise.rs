//! Signed offers and receipts (extension `offer-receipt`): a server's word on what it asks for, and that it was paid, which its payer can
//! show to others. Whose word it is, the signature says: the settling key's.

use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use crate::{
    signing::{
        SignerKey,
        typed::{Domain, Words, digest},
    },
    wire::{Network, Requirements},
};

/// The extension's name.
pub const OFFER_RECEIPT: &str = "offer-receipt";

const VERSION: u64 = 1;
const OFFER: &str = "Offer(uint256 version,string resourceUrl,string scheme,string network,string asset,string payTo,string amount,uint256 validUntil)";
const RECEIPT: &str =
    "Receipt(uint256 version,string network,string resourceUrl,string payer,uint256 issuedAt,string transaction)";

/// What is asked for a resource, until a time.
#[derive(Clone, Copy, Debug)]
pub struct PromisedOffer<'a> {
    pub url: &'a str,
    pub terms: &'a Requirements,
    pub valid_until_s: u64,
}

impl PromisedOffer<'_> {
    pub fn digest(&self) -> B256 {
        let terms = self.terms;
        let mut words = Words::new(OFFER);
        words
            .number(U256::from(VERSION))
            .text(self.url)
            .text(&terms.scheme)
            .text(&terms.network.to_string())
            .text(&terms.asset.to_checksum(None))
            .text(&terms.pay_to.to_checksum(None))
            .text(&terms.amount.to_string())
            .number(U256::from(self.valid_until_s));
        digest(&Domain::of_no_contract("x402 offer", "1", 1), words.hash())
    }

    /// As it stands among others, at this place of what is accepted.
    pub fn signed(&self, place: usize, key: &SignerKey) -> Value {
        let terms = self.terms;
        json!({
            "format": "eip712",
            "acceptIndex": place,
            "payload": {
                "version": VERSION,
                "resourceUrl": self.url,
                "scheme": terms.scheme,
                "network": terms.network.to_string(),
                "asset": terms.asset.to_checksum(None),
                "payTo": terms.pay_to.to_checksum(None),
                "amount": terms.amount.to_string(),
                "validUntil": self.valid_until_s,
            },
            "signature": alloy_primitives::hex::encode_prefixed(key.sign(&self.digest())),
        })
    }
}

/// That somebody paid for a resource; `transaction` is empty where it is settled later.
#[derive(Clone, Copy, Debug)]
pub struct PromisedReceipt<'a> {
    pub network: Network,
    pub url: &'a str,
    pub payer: Address,
    pub issued_at_s: u64,
    pub transaction: &'a str,
}

impl PromisedReceipt<'_> {
    pub fn digest(&self) -> B256 {
        let mut words = Words::new(RECEIPT);
        words
            .number(U256::from(VERSION))
            .text(&self.network.to_string())
            .text(self.url)
            .text(&self.payer.to_checksum(None))
            .number(U256::from(self.issued_at_s))
            .text(self.transaction);
        digest(&Domain::of_no_contract("x402 receipt", "1", 1), words.hash())
    }

    /// As it stands in what came of a payment.
    pub fn signed(&self, key: &SignerKey) -> Value {
        json!({ "info": { "receipt": {
            "format": "eip712",
            "payload": {
                "version": VERSION,
                "network": self.network.to_string(),
                "resourceUrl": self.url,
                "payer": self.payer.to_checksum(None),
                "issuedAt": self.issued_at_s,
                "transaction": self.transaction,
            },
            "signature": alloy_primitives::hex::encode_prefixed(key.sign(&self.digest())),
        }}})
    }
}

/// All offers of a 402 as the extension has them.
pub fn promised(offers: Vec<Value>) -> Value {
    json!({ "info": { "offers": offers } })
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{address, b256};

    use super::*;
    use crate::signing::recover;

    #[test]
    fn what_is_signed_is_what_the_official_package_hashes() {
        let terms = Requirements {
            scheme: "exact".to_owned(),
            network: Network::BASE,
            amount: 1_000,
            asset: address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"),
            pay_to: address!("209693Bc6afc0C5328bA36FaF03C514EF312287C"),
            max_timeout_s: 300,
            extra: serde_json::Map::new(),
        };
        let url = "http://127.0.0.1/v1/chat/completions";
        let offer = PromisedOffer { url, terms: &terms, valid_until_s: 1_800_000_300 };
        // As npm's @x402/extensions 2.27.0 has them.
        assert_eq!(offer.digest(), b256!("ce93e510ad0715ef374deda76a0652c9e60efdbd3aed3439957fb27bde2781c1"));
        let payer = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
        let receipt =
            PromisedReceipt { network: Network::BASE, url, payer, issued_at_s: 1_800_000_000, transaction: "" };
        assert_eq!(receipt.digest(), b256!("f0365a059c7ec66b3240cb11e57c26c2303fc7200c12bac13ce0a3e12379952f"));
        let key = SignerKey::from_secret([7; 32]).unwrap();
        let signature = |signed: &Value| alloy_primitives::hex::decode(signed["signature"].as_str().unwrap()).unwrap();
        assert_eq!(recover(&offer.digest(), &signature(&offer.signed(0, &key))), Ok(key.address()));
        let signed = receipt.signed(&key);
        assert_eq!(recover(&receipt.digest(), &signature(&signed["info"]["receipt"])), Ok(key.address()));
    }
}
