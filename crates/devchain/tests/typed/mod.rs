//! What wallets sign, written down once more from the standards, so that a contract's own types are not checked by themselves.
#![allow(dead_code, reason = "each test file uses its part of it")]

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, sol};

use crate::stage::sign;

sol! {
    struct TransferWithAuthorization {
        address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
    }
    struct ReceiveWithAuthorization {
        address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
    }
    struct CancelAuthorization { address authorizer; bytes32 nonce; }
    struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }

    struct TokenPermissions { address token; uint256 amount; }
    struct PermitTransferFrom { TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; }
    struct PermitBatchTransferFrom { TokenPermissions[] permitted; address spender; uint256 nonce; uint256 deadline; }
    struct PermitDetails { address token; uint160 amount; uint48 expiration; uint48 nonce; }
    struct PermitSingle { PermitDetails details; address spender; uint256 sigDeadline; }
    struct PermitBatch { PermitDetails[] details; address spender; uint256 sigDeadline; }

    struct ChannelConfig {
        address payer; address payerAuthorizer; address receiver; address receiverAuthorizer; address token;
        uint40 withdrawDelay; bytes32 salt;
    }
    struct Voucher { bytes32 channelId; uint128 maxClaimableAmount; }
    struct Refund { bytes32 channelId; uint256 nonce; uint128 amount; }
    struct ClaimEntry { bytes32 channelId; uint128 maxClaimableAmount; uint128 totalClaimed; }
    struct ClaimBatch { ClaimEntry[] claims; }
}

/// x402 `exact`.
pub mod exact {
    use alloy_sol_types::sol;
    sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct Witness { address to; uint256 validAfter; }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; Witness witness;
        }
        struct PermitBatchWitnessTransferFrom {
            TokenPermissions[] permitted; address spender; uint256 nonce; uint256 deadline; Witness witness;
        }
    }
}

/// x402 `upto`.
pub mod upto {
    use alloy_sol_types::sol;
    sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct Witness { address to; address facilitator; uint256 validAfter; }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; Witness witness;
        }
    }
}

/// x402 `batch-settlement`.
pub mod channel {
    use alloy_sol_types::sol;
    sol! {
        struct TokenPermissions { address token; uint256 amount; }
        struct DepositWitness { bytes32 channelId; }
        struct PermitWitnessTransferFrom {
            TokenPermissions permitted; address spender; uint256 nonce; uint256 deadline; DepositWitness witness;
        }
    }
}

pub fn domain(name: &'static str, version: Option<&'static str>, chain: u64, contract: Address) -> Eip712Domain {
    let (name, version) = (Some(name.into()), version.map(Into::into));
    Eip712Domain::new(name, version, Some(U256::from(chain)), Some(contract), None)
}

pub fn signed<S: SolStruct>(from: u32, terms: &S, domain: &Eip712Domain) -> Bytes {
    sign(from, terms.eip712_signing_hash(domain))
}
