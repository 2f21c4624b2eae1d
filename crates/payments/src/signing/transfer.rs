//! EIP-3009: what a payer signs so that its token pays once.

use alloy_primitives::{B256, U256, b256, keccak256};

use crate::{
    signing::typed::{Domain, Words, digest},
    wire::TransferAuthorization,
};

const TRANSFER: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 \
                        validBefore,bytes32 nonce)";
const RECEIVE: &str = "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 \
                       validBefore,bytes32 nonce)";
const TRANSFER_HASH: B256 = b256!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267");
const RECEIVE_HASH: B256 = b256!("d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8");

/// Who may hand the authorisation to the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Anybody: the money goes where it was signed to go.
    Anyone,
    /// The receiver only.
    Receiver,
}

/// What is signed, under the token's domain.
pub fn signed(authorization: &TransferAuthorization, by: By, token: &Domain) -> B256 {
    let mut words = Words::of_hash(match by {
        By::Anyone => TRANSFER_HASH,
        By::Receiver => RECEIVE_HASH,
    });
    words
        .address(authorization.from)
        .address(authorization.to)
        .number(U256::from(authorization.value))
        .number(authorization.valid_after)
        .number(authorization.valid_before)
        .word(authorization.nonce);
    digest(token, words.hash())
}

/// The type hashes, computed from the types' texts.
pub fn type_hashes() -> [(B256, B256); 2] {
    [(keccak256(TRANSFER), TRANSFER_HASH), (keccak256(RECEIVE), RECEIVE_HASH)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_written_hashes_are_those_of_the_types() {
        for (computed, written) in type_hashes() {
            assert_eq!(computed, written);
        }
    }
}
