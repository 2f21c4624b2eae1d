//! What is said to the two ends: settlements and claims to the contract on Base, sendings to either side.

use alloy_sol_types::{SolCall as _, sol};
use contracts::abi::ISettlement;
use crypto::threshold::GroupKey;
use payments::{Address, address, chain::Call};
use protocol::{
    Beneficiary, Canonical as _, CertifiedRotation, EvmAddress, PayoutKind,
    bundle::SumStep,
    settled::{ProvenPayout, ProvenSettlement},
};

sol!("../../contracts/IBridge.sol");

/// The ledger's end of the bridge, a native module.
pub const BRIDGE: Address = address!("0000000000000000000000000000000000000a07");

/// Takes a settlement over on Base; `None` where the proof has points that are none, or proves an absence.
pub fn advance(settlement: Address, proven: &ProvenSettlement, network: &GroupKey) -> Option<Call> {
    let proof = ISettlement::Proof {
        epoch: proven.as_of.encode().into(),
        signature: proven.certificate.signature.uncompressed()?.to_vec().into(),
        key: network.uncompressed()?.to_vec().into(),
        siblings: proven.proof.siblings.iter().map(|digest| digest.0.into()).collect(),
    };
    let call = ISettlement::advanceCall { proof, record: proven.record.encode().into() };
    Some(Call { to: settlement, data: call.abi_encode().into() })
}

/// Has Base believe the key that comes after `present`; `None` where the rotation has points that are none.
pub fn rotate(settlement: Address, certified: &CertifiedRotation, present: &GroupKey) -> Option<Call> {
    let CertifiedRotation { rotation, signature } = certified;
    let call = ISettlement::rotateCall {
        serial: rotation.serial,
        newKey: rotation.key.uncompressed()?.to_vec().into(),
        signature: signature.uncompressed()?.to_vec().into(),
        key: present.uncompressed()?.to_vec().into(),
    };
    Some(Call { to: settlement, data: call.abi_encode().into() })
}

/// Has a payout paid, whoever sends it.
pub fn claim(settlement: Address, proven: &ProvenPayout) -> Call {
    let kind = match proven.payout.kind {
        PayoutKind::Pay => ISettlement::Kind::Pay,
        PayoutKind::Mint => ISettlement::Kind::Mint,
    };
    let step = |step: &SumStep| ISettlement::SumStep { digest: step.digest.0.into(), sum: step.sum };
    let call = ISettlement::payCall {
        number: proven.number,
        index: proven.index,
        payout: ISettlement::Payout { kind, account: proven.payout.account.0.into(), amount: proven.payout.amount },
        siblings: proven.path.iter().map(step).collect(),
    };
    Call { to: settlement, data: call.abi_encode().into() }
}

/// On Base: destroys OPG of the sender for an account on the ledger.
pub fn send_to_ledger(settlement: Address, to: &Beneficiary, amount: u128) -> Call {
    let call = ISettlement::sendToLedgerCall { amount, account: to.account().0.into() };
    Call { to: settlement, data: call.abi_encode().into() }
}

/// On the ledger: locks the coins that are sent with it, for an account on Base.
pub fn send_to_base(to: &EvmAddress) -> Call {
    let call = IBridge::sendToBaseCall { to: to.0.into() };
    Call { to: BRIDGE, data: call.abi_encode().into() }
}
