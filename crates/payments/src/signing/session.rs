//! What the payer of a bound session signs for each call that draws on it, so that its token alone is worth nothing.

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use protocol::Milliseconds;
use serde_json::{Map, Value, json};

use crate::{
    signing::{
        SignerKey, recover,
        typed::{Domain, Words, digest},
    },
    wire::{
        extension,
        json::{read_amount, read_hex},
    },
};

/// The extension by which a payment binds the session that it opens to its payer's key.
pub const SESSION_KEY: &str = "session-key";
/// The header in which each further call is signed: the time and the signature.
pub const SESSION_SIGNATURE: &str = "x-upto-session-signature";
/// What is signed is good for so long before and after its time.
pub const SIGNED_FOR_MS: Milliseconds = 60_000;

const CALL: &str = "SessionCall(bytes32 session,bytes32 request,uint256 at)";
const SIGNATURE_BYTES: usize = 65;

/// One call of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCall {
    /// Keccak-256 of the token's text.
    pub session: B256,
    /// Keccak-256 of path, a zero byte, and body.
    pub request: B256,
    pub at_ms: Milliseconds,
}

impl SessionCall {
    pub fn new(token: &str, path: &str, body: &[u8], at_ms: Milliseconds) -> Self {
        let request = keccak256([path.as_bytes(), &[0], body].concat());
        Self { session: keccak256(token), request, at_ms }
    }

    pub fn digest(&self, chain_id: u64) -> B256 {
        let mut words = Words::new(CALL);
        words.word(self.session).word(self.request).number(U256::from(self.at_ms));
        digest(&Domain::of_no_contract("x402 upto session", "1", chain_id), words.hash())
    }

    /// Whose signature it is.
    pub fn signer(&self, chain_id: u64, signature: &[u8]) -> Option<Address> {
        recover(&self.digest(chain_id), signature).ok()
    }

    /// The header's value.
    pub fn signed(&self, chain_id: u64, key: &SignerKey) -> String {
        format!("{}.{}", self.at_ms, hex::encode_prefixed(key.sign(&self.digest(chain_id))))
    }
}

/// What a server declares whose sessions can be bound.
pub fn declared() -> Value {
    json!({ "info": { "header": "X-Upto-Session-Signature", "version": "1" } })
}

/// What a payer adds to the payment that opens its session.
pub fn binding(payer: Address) -> Value {
    json!({ "info": { "payer": payer.to_checksum(None) } })
}

/// Whether a payment binds its session. Who only repeats what was declared does not: it may not know how to sign.
pub fn binds(extensions: &Map<String, Value>, payer: Address) -> bool {
    let named = extension::text(extensions, SESSION_KEY, "payer");
    named.and_then(read_hex).map(Address::from) == Some(payer)
}

/// Time and signature out of a header.
pub fn read(value: &str) -> Option<(Milliseconds, [u8; SIGNATURE_BYTES])> {
    let (at_ms, signature) = value.split_once('.')?;
    let at_ms = read_amount(at_ms).filter(|_| at_ms.len() <= 16)?;
    Some((Milliseconds::try_from(at_ms).ok()?, read_hex(signature)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::recover;

    #[test]
    fn what_is_signed_is_of_one_call_and_one_session() {
        let key = SignerKey::from_secret([7; 32]).unwrap();
        let call = SessionCall::new("token", "/v1/completions", b"{}", 5);
        let (at_ms, signature) = read(&call.signed(8_453, &key)).unwrap();
        assert_eq!((at_ms, recover(&call.digest(8_453), &signature)), (5, Ok(key.address())));
        let others = [
            SessionCall::new("other", "/v1/completions", b"{}", 5),
            SessionCall::new("token", "/v1/completion", b"s{}", 5),
            SessionCall::new("token", "/v1/completions", b"{ }", 5),
            SessionCall::new("token", "/v1/completions", b"{}", 6),
        ];
        for other in others {
            assert_ne!(recover(&other.digest(8_453), &signature), Ok(key.address()), "{other:?}");
        }
        assert_ne!(recover(&call.digest(84_532), &signature), Ok(key.address()));
        let with = |value| Map::from_iter([(SESSION_KEY.to_owned(), value)]);
        assert!(binds(&with(binding(key.address())), key.address()));
        assert!(!binds(&with(declared()), key.address()) && !binds(&with(json!(1)), key.address()));
        assert!(!binds(&with(binding(Address::ZERO)), key.address()) && !binds(&Map::new(), key.address()));
        for bad in ["", ".", "5", "5.0x", "x.0x00", "+5.0x00", &format!("5.0x{}", "0".repeat(131))] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
