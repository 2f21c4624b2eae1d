//! EIP-2612: an allowance by signature.

use alloy_primitives::{B256, Bytes, U256, b256};

use super::domain::{signer, split, word};
use super::{IOPG, coin, slots};
use crate::modules::{Frame, Method, Stop};

pub(super) const NONCES: Method = Method::view::<IOPG::noncesCall>(nonces);
pub(super) const PERMIT: Method = Method::write::<IOPG::permitCall>(permit);

/// `keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")`.
const TYPE: B256 = b256!("6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9");

fn nonces(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::noncesCall>()?;
    let slot = frame.mapping(slots::NONCES, call.owner.into_word())?;
    let nonce = frame.load(slot)?;
    frame.returns::<IOPG::noncesCall>(&nonce)
}

fn permit(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::permitCall>()?;
    if frame.timestamp() > call.deadline {
        return Err(Stop::revert(&IOPG::ERC2612ExpiredSignature { deadline: call.deadline }));
    }
    let slot = frame.mapping(slots::NONCES, call.owner.into_word())?;
    let nonce = frame.load(slot)?;
    let words = [call.owner.into_word(), call.spender.into_word(), word(call.value), word(nonce), word(call.deadline)];
    let signer = signer(frame, TYPE, &words, split(call.v, call.r, call.s))?;
    if signer != call.owner {
        return Err(Stop::revert(&IOPG::ERC2612InvalidSigner { signer, owner: call.owner }));
    }
    frame.store(slot, nonce.saturating_add(U256::ONE))?;
    coin::set_allowance(frame, call.owner, call.spender, call.value)?;
    Ok(Bytes::new())
}
