//! Permit2's signed transfers with the witnesses of x402's proxies.

use alloy_primitives::{Address, B256, U256, address};

use crate::{
    signing::typed::{Domain, Words, digest},
    wire::PermitAuthorization,
};

/// The same on every chain.
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");
pub const EXACT_PROXY: Address = address!("402085c248EeA27D92E8b30b2C58ed07f9E20001");
pub const UPTO_PROXY: Address = address!("4020A4f3b7b90ccA423B9fabCc0CE57C6C240002");

pub(crate) const TOKEN: &str = "TokenPermissions(address token,uint256 amount)";
const EXACT_WITNESS: &str = "Witness(address to,uint256 validAfter)";
const UPTO_WITNESS: &str = "Witness(address to,address facilitator,uint256 validAfter)";
const EXACT: &str = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 \
                     deadline,Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,uint256 \
                     validAfter)";
const UPTO: &str = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 \
                    deadline,Witness witness)TokenPermissions(address token,uint256 amount)Witness(address to,address \
                    facilitator,uint256 validAfter)";

pub fn domain(chain_id: u64) -> Domain {
    Domain::unversioned("Permit2", chain_id, PERMIT2)
}

/// What is signed: with a facilitator in the witness it is of `upto`, without one of `exact`.
pub fn signed(permit: &PermitAuthorization, domain: &Domain) -> B256 {
    let mut permitted = Words::new(TOKEN);
    permitted.address(permit.token).number(U256::from(permit.amount));
    let (of_type, witness) = match permit.facilitator {
        None => {
            let mut witness = Words::new(EXACT_WITNESS);
            witness.address(permit.to).number(permit.valid_after);
            (EXACT, witness)
        }
        Some(facilitator) => {
            let mut witness = Words::new(UPTO_WITNESS);
            witness.address(permit.to).address(facilitator).number(permit.valid_after);
            (UPTO, witness)
        }
    };
    let mut words = Words::new(of_type);
    words
        .word(permitted.hash())
        .address(permit.spender)
        .number(permit.nonce)
        .number(permit.deadline)
        .word(witness.hash());
    digest(domain, words.hash())
}
