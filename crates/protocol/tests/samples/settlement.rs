//! Samples of what the ledger tells Base, of what gateways owe, of allocations, and of accounts.

use crypto::threshold::{GroupKey, GroupSignature};
use protocol::{
    AccountProof, AllocationRecord, BridgeRecord, Burn, CertifiedRotation, Digest, DuesRecord, EvmAccount, EvmAddress,
    EvmRecord, EvmWord, KeyRotation, List, Payout, PayoutKind, SettlementRecord, ShareRecord, SlotProof, Text, Version,
    bundle::{StateProof, SumStep},
    service::GatewayCredit,
    settled::{ProvenPayout, ProvenSettlement},
};

use super::{
    Kind, noun, plain,
    records::{certificate, digest, epoch},
};

pub fn kinds() -> Vec<Kind> {
    vec![
        noun("payout", vec![("pay", payout(PayoutKind::Pay)), ("mint", payout(PayoutKind::Mint))]),
        noun("settlement_record", vec![("first", settlement(0)), ("later", settlement(9))]),
        noun("key_rotation", vec![("plain", rotation())]),
        plain("certified_rotation", vec![("plain", certified_rotation())]),
        plain("burn", vec![("plain", burn())]),
        plain("bridge_record", vec![("plain", bridge())]),
        plain("dues_record", vec![("plain", dues())]),
        plain("gateway_credit", vec![("plain", GatewayCredit { open: 70, limit: 100 })]),
        plain("share_record", vec![("plain", share())]),
        plain("allocation_record", vec![("plain", allocation())]),
        plain("proven_settlement", vec![("plain", proven_settlement())]),
        plain("proven_payout", vec![("plain", proven_payout())]),
        plain("account_proof", vec![("slot", account_proof(true)), ("nobody", account_proof(false))]),
    ]
}

fn payout(kind: PayoutKind) -> Payout {
    Payout { kind, account: EvmAddress([0x11; 20]), amount: 1_500_000_000_000_000_000_000 }
}

fn settlement(number: u64) -> SettlementRecord {
    SettlementRecord {
        version: Version,
        chain_id: 7,
        number,
        first_epoch: number * 10,
        last_epoch: number * 10 + 9,
        previous: if number == 0 { Digest::ZERO } else { digest("previous") },
        payouts_root: digest("payouts"),
        payouts_count: 3,
        payouts_sum: 4_500_000_000_000_000_000_000,
        burns: number,
        burns_digest: if number == 0 { Digest::ZERO } else { digest("burns") },
    }
}

fn rotation() -> KeyRotation {
    KeyRotation { version: Version, chain_id: 7, serial: 1, key: GroupKey([0xcd; 96]) }
}

pub fn certified_rotation() -> CertifiedRotation {
    CertifiedRotation { rotation: rotation(), signature: GroupSignature([0xab; 48]) }
}

pub fn burn() -> Burn {
    Burn { serial: 4, from: EvmAddress([0x22; 20]), account: digest("account"), amount: 1 }
}

fn bridge() -> BridgeRecord {
    BridgeRecord { settlements: 3, rotations: 1, owed: 5, burns: 4, burns_digest: digest("burns") }
}

fn dues() -> DuesRecord {
    DuesRecord { gateway: digest("gateway"), charged: 100, due: 70, paid: 30, held: 5, payments: 2, punished_until: 0 }
}

fn share() -> ShareRecord {
    ShareRecord { gateway: digest("gateway"), payee: EvmAddress([0x44; 20]), old: 70, fresh: 30, since: 9 }
}

fn allocation() -> AllocationRecord {
    AllocationRecord {
        beneficiary: EvmAddress([0x66; 20]),
        name: Text::new("ecosystem").unwrap(),
        amount: 400_000_000_000_000_000_000_000_000,
        first: 40_000_000_000_000_000_000_000_000,
        released: 41_000_000_000_000_000_000_000_000,
        start_ms: 1_776_729_600_000,
        cliff_ms: 0,
        length_ms: 157_784_760_000,
    }
}

fn proof() -> StateProof {
    StateProof { siblings: List::new(vec![digest("sibling")]).unwrap(), found: None }
}

fn proven_settlement() -> ProvenSettlement {
    ProvenSettlement { record: settlement(9), as_of: epoch(9), certificate: certificate(), proof: proof() }
}

fn account_proof(is_there: bool) -> AccountProof {
    let account = EvmAccount { nonce: 3, balance: EvmWord([0x0b; 32]), code_hash: digest("code") };
    let slot = SlotProof { slot: EvmWord([0x01; 32]), value: EvmWord::ZERO, proof: proof() };
    AccountProof {
        version: Version,
        address: EvmAddress([0x55; 20]),
        account: is_there.then_some(account),
        account_proof: proof(),
        slot: is_there.then_some(slot),
        evm: EvmRecord { number: 1_639, hash: digest("block"), state_root: digest("accounts") },
        evm_proof: proof(),
        as_of: epoch(41),
        certificate: certificate(),
        rotations: List::new(if is_there { vec![certified_rotation()] } else { Vec::new() }).unwrap(),
    }
}

fn proven_payout() -> ProvenPayout {
    let path = vec![SumStep { digest: digest("sibling"), sum: 7 }];
    ProvenPayout { number: 9, index: 1, payout: payout(PayoutKind::Mint), path: List::new(path).unwrap() }
}
