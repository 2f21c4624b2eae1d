//! Samples of what the ledger tells Base.

use crypto::threshold::GroupKey;
use protocol::{Burn, Digest, EvmAddress, KeyRotation, Payout, PayoutKind, SettlementRecord, Version};

use super::{Kind, noun, plain, records::digest};

pub fn kinds() -> Vec<Kind> {
    vec![
        noun("payout", vec![("pay", payout(PayoutKind::Pay)), ("mint", payout(PayoutKind::Mint))]),
        noun("settlement_record", vec![("first", settlement(0)), ("later", settlement(9))]),
        noun("key_rotation", vec![("plain", rotation())]),
        plain("burn", vec![("plain", burn())]),
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

fn burn() -> Burn {
    Burn { serial: 4, from: EvmAddress([0x22; 20]), account: digest("account"), amount: 1 }
}
