//! EIP-3009: transfers by signature, each with a random nonce, so that many can be on their way at once.

use alloy_primitives::{Address, B256, Bytes, Signature, U256, b256};
use alloy_sol_types::SolEvent as _;

use super::domain::{joined, signer, split, word};
use super::{IOPG, coin, slots};
use crate::modules::{Frame, Method, Stop};

pub(super) const STATE: Method = Method::view::<IOPG::authorizationStateCall>(state);
pub(super) const TRANSFER: Method = Method::write::<IOPG::transferWithAuthorization_0Call>(|frame| {
    let call = frame.arguments::<IOPG::transferWithAuthorization_0Call>()?;
    let window = (call.validAfter, call.validBefore);
    let wanted = Transfer { from: call.from, to: call.to, value: call.value, window, nonce: call.nonce };
    transfer(frame, TRANSFER_TYPE, &wanted, split(call.v, call.r, call.s))
});
pub(super) const TRANSFER_BYTES: Method = Method::write::<IOPG::transferWithAuthorization_1Call>(|frame| {
    let call = frame.arguments::<IOPG::transferWithAuthorization_1Call>()?;
    let window = (call.validAfter, call.validBefore);
    let wanted = Transfer { from: call.from, to: call.to, value: call.value, window, nonce: call.nonce };
    transfer(frame, TRANSFER_TYPE, &wanted, joined(&call.signature))
});
pub(super) const RECEIVE: Method = Method::write::<IOPG::receiveWithAuthorization_0Call>(|frame| {
    let call = frame.arguments::<IOPG::receiveWithAuthorization_0Call>()?;
    let window = (call.validAfter, call.validBefore);
    let wanted = Transfer { from: call.from, to: call.to, value: call.value, window, nonce: call.nonce };
    receive(frame, &wanted, split(call.v, call.r, call.s))
});
pub(super) const RECEIVE_BYTES: Method = Method::write::<IOPG::receiveWithAuthorization_1Call>(|frame| {
    let call = frame.arguments::<IOPG::receiveWithAuthorization_1Call>()?;
    let window = (call.validAfter, call.validBefore);
    let wanted = Transfer { from: call.from, to: call.to, value: call.value, window, nonce: call.nonce };
    receive(frame, &wanted, joined(&call.signature))
});
pub(super) const CANCEL: Method = Method::write::<IOPG::cancelAuthorization_0Call>(|frame| {
    let call = frame.arguments::<IOPG::cancelAuthorization_0Call>()?;
    cancel(frame, call.authorizer, call.nonce, split(call.v, call.r, call.s))
});
pub(super) const CANCEL_BYTES: Method = Method::write::<IOPG::cancelAuthorization_1Call>(|frame| {
    let call = frame.arguments::<IOPG::cancelAuthorization_1Call>()?;
    cancel(frame, call.authorizer, call.nonce, joined(&call.signature))
});

/// `keccak256("TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)")`.
const TRANSFER_TYPE: B256 = b256!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267");
/// `keccak256("ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)")`.
const RECEIVE_TYPE: B256 = b256!("d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8");
/// `keccak256("CancelAuthorization(address authorizer,bytes32 nonce)")`.
const CANCEL_TYPE: B256 = b256!("158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429");

/// What was signed for.
struct Transfer {
    from: Address,
    to: Address,
    value: U256,
    /// Valid after the first moment and before the second, neither included.
    window: (U256, U256),
    nonce: B256,
}

fn state(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IOPG::authorizationStateCall>()?;
    let slot = slot(frame, call.authorizer, call.nonce)?;
    let used = frame.load(slot)?;
    frame.returns::<IOPG::authorizationStateCall>(&!used.is_zero())
}

/// Only the payee may hand it in, so that nobody takes it from the pool and leaves the payee's contract waiting.
fn receive(frame: &mut Frame<'_>, wanted: &Transfer, signature: Option<Signature>) -> Result<Bytes, Stop> {
    if wanted.to != frame.caller() {
        return Err(Stop::revert(&IOPG::CallerMustBePayee { caller: frame.caller(), payee: wanted.to }));
    }
    transfer(frame, RECEIVE_TYPE, wanted, signature)
}

fn transfer(frame: &mut Frame<'_>, kind: B256, wanted: &Transfer, signature: Option<Signature>) -> Result<Bytes, Stop> {
    let (after, before) = wanted.window;
    if frame.timestamp() <= after {
        return Err(Stop::revert(&IOPG::AuthorizationNotYetValid { validAfter: after }));
    }
    if frame.timestamp() >= before {
        return Err(Stop::revert(&IOPG::AuthorizationExpired { validBefore: before }));
    }
    let words =
        [wanted.from.into_word(), wanted.to.into_word(), word(wanted.value), word(after), word(before), wanted.nonce];
    use_up(frame, wanted.from, wanted.nonce, kind, &words, signature)?;
    frame.log(IOPG::AuthorizationUsed { authorizer: wanted.from, nonce: wanted.nonce }.encode_log_data())?;
    coin::move_coins(frame, wanted.from, wanted.to, wanted.value)?;
    Ok(Bytes::new())
}

fn cancel(
    frame: &mut Frame<'_>,
    authorizer: Address,
    nonce: B256,
    signature: Option<Signature>,
) -> Result<Bytes, Stop> {
    use_up(frame, authorizer, nonce, CANCEL_TYPE, &[authorizer.into_word(), nonce], signature)?;
    frame.log(IOPG::AuthorizationCanceled { authorizer, nonce }.encode_log_data())?;
    Ok(Bytes::new())
}

/// Marks a nonce as used, if it is not and if its owner signed.
fn use_up(
    frame: &mut Frame<'_>,
    authorizer: Address,
    nonce: B256,
    kind: B256,
    words: &[B256],
    signature: Option<Signature>,
) -> Result<(), Stop> {
    let slot = slot(frame, authorizer, nonce)?;
    if !frame.load(slot)?.is_zero() {
        return Err(Stop::revert(&IOPG::AuthorizationUsedOrCanceled { authorizer, nonce }));
    }
    let signer = signer(frame, kind, words, signature)?;
    if signer != authorizer {
        return Err(Stop::revert(&IOPG::InvalidSigner { signer, authorizer }));
    }
    frame.store(slot, U256::ONE)
}

fn slot(frame: &mut Frame<'_>, authorizer: Address, nonce: B256) -> Result<U256, Stop> {
    let of_authorizer = frame.mapping(slots::AUTHORIZATIONS, authorizer.into_word())?;
    frame.mapping(of_authorizer, nonce)
}
