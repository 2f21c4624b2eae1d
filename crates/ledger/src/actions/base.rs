//! What validators see on Base and agree on for it: burns, and the network's next key. A quorum decides, nobody's word alone.

use protocol::{
    Burn, CertifiedRotation, Digest, KeyRotation, NodeId, PublicKey, Role, Version,
    transaction::{NameKey, ReportBurns},
};

use crate::{
    present::Present,
    records::{BurnRecord, NamedKeyRecord, content_of},
    refusal::Refusal,
    rotation::take_named_key,
    settle::{burns_of, credit_burns},
    state::State,
    table::Row as _,
};

/// How far ahead of the next burn reports are kept, so that one validator can fill the state with so many at most.
const AHEAD: u64 = 256;

pub(super) fn report_burns(present: &mut Present, sender: &PublicKey, report: &ReportBurns) -> Result<(), Refusal> {
    let validator = member(present, sender)?;
    if report.burns.is_empty() {
        return Err(Refusal::NoBurns);
    }
    let next = present.state.bridge().burns;
    let mut fresh: Vec<&Burn> = Vec::new();
    // Those that are credited are no news, and no fault either: the report was on its way meanwhile.
    for burn in report.burns.iter().filter(|burn| burn.serial >= next) {
        check(burn, next)?;
        if fresh.iter().any(|other| other.serial == burn.serial) {
            return Err(Refusal::RepeatedBurn { serial: burn.serial });
        }
        if word_of(&present.state, &validator, burn.serial).is_none_or(|row| row.burn != *burn) {
            fresh.push(burn);
        }
    }
    if fresh.is_empty() {
        return Err(Refusal::BurnsReported);
    }
    for burn in fresh {
        see(&mut present.state, &validator, burn);
    }
    credit_burns(present);
    Ok(())
}

fn check(burn: &Burn, next: u64) -> Result<(), Refusal> {
    let serial = burn.serial;
    if burn.amount == 0 || burn.account == Digest::ZERO {
        return Err(Refusal::NotABurn { serial });
    }
    let limit = next.saturating_add(AHEAD);
    if serial >= limit { Err(Refusal::BurnTooFar { serial, next, limit }) } else { Ok(()) }
}

/// What a validator has said about a serial.
fn word_of<'s>(state: &'s State, validator: &NodeId, serial: u64) -> Option<&'s BurnRecord> {
    burns_of(state, serial).find(|row| row.seen_by.contains(validator))
}

/// A validator's newest word counts, and it has one a serial: a block of Base that was taken back must not silence it for ever. What
/// is left of others' words of that serial is of those who sit.
fn see(state: &mut State, validator: &NodeId, burn: &Burn) {
    let (serial, content) = (burn.serial, burn.chained(&Digest::ZERO));
    for row in burns_of(state, serial).cloned().collect::<Vec<_>>() {
        let seen_by = state.network.others(&row.seen_by, validator);
        if seen_by.is_empty() {
            state.burns.remove(&(serial, row.burn.chained(&Digest::ZERO)));
        } else {
            state.burns.put(BurnRecord { seen_by, ..row });
        }
    }
    let before = state.burns.get(&(serial, content)).map(|row| row.seen_by.clone()).unwrap_or_default();
    let seen_by = state.network.joined(&before, validator);
    state.burns.put(BurnRecord { burn: burn.clone(), seen_by });
}

/// A rotation stands in the state once a quorum has named the key; it signs from agreement's next term on. What the present key signed for
/// it is not checked here: the ledger does not know that key, and a quorum has checked it.
pub(super) fn name_key(present: &mut Present, sender: &PublicKey, named: &NameKey) -> Result<(), Refusal> {
    let validator = member(present, sender)?;
    let expected = present.state.bridge().rotations.saturating_add(1);
    if named.serial != expected {
        return Err(Refusal::RotationNotNext { found: named.serial, expected });
    }
    if named.key.uncompressed().is_none() {
        return Err(Refusal::NotAGroupKey);
    }
    let rotation = KeyRotation {
        version: Version,
        chain_id: present.state.network.chain_id,
        serial: named.serial,
        key: named.key,
    };
    let rotation = CertifiedRotation { rotation, signature: named.signature };
    let key = (named.serial, content_of(&rotation));
    let state = &mut present.state;
    if state.named_keys.get(&key).is_some_and(|row| row.named_by.contains(&validator)) {
        return Err(Refusal::AlreadyVoted);
    }
    for row in state.named_keys.rows().cloned().collect::<Vec<_>>() {
        let named_by = state.network.others(&row.named_by, &validator);
        if named_by.is_empty() {
            state.named_keys.remove(&row.key());
        } else {
            state.named_keys.put(NamedKeyRecord { named_by, ..row });
        }
    }
    let before = state.named_keys.get(&key).map(|row| row.named_by.clone()).unwrap_or_default();
    let named_by = state.network.joined(&before, &validator);
    state.named_keys.put(NamedKeyRecord { rotation, named_by });
    take_named_key(present);
    Ok(())
}

fn member(present: &Present, sender: &PublicKey) -> Result<NodeId, Refusal> {
    let validator = present.acting(sender, Role::Validator)?.node;
    if present.state.network.sits(&validator) { Ok(validator) } else { Err(Refusal::NotInCommittee) }
}
