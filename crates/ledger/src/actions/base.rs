//! What validators see on Base and agree on for it: burns, and the network's next key. A quorum decides, nobody's word alone.

use protocol::{
    BridgeRecord, Burn, Digest, KeyRotation, List, NodeId, PublicKey, Role, Version,
    transaction::{NameKey, ReportBurns},
};

use crate::{
    event::Event,
    present::Present,
    records::{BurnRecord, COMMITTEE_MAX, NamedKeyRecord},
    refusal::Refusal,
    settle::{burns_of, credit_burns},
    state::State,
    verdict::quorum,
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
        see(&mut present.state, validator, burn)?;
    }
    let quorum = quorum(present.state.network.committee.len());
    credit_burns(present, quorum);
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

/// A validator's newest word counts, and it has one a serial: a block of Base that was taken back must not silence it for ever.
fn see(state: &mut State, validator: NodeId, burn: &Burn) -> Result<(), Refusal> {
    if let Some(mut before) = word_of(state, &validator, burn.serial).cloned() {
        before.seen_by = without(before.seen_by, &validator);
        if before.seen_by.is_empty() {
            state.burns.remove(&(burn.serial, before.burn.chained(&Digest::ZERO)));
        } else {
            state.burns.put(before);
        }
    }
    let key = (burn.serial, burn.chained(&Digest::ZERO));
    let seen_by = with(state.burns.get(&key).map(|row| &row.seen_by), validator).ok_or(Refusal::BurnsReported)?;
    state.burns.put(BurnRecord { burn: burn.clone(), seen_by });
    Ok(())
}

type Members = List<NodeId, COMMITTEE_MAX>;

fn without(members: Members, validator: &NodeId) -> Members {
    // Fewer than there were fit as well.
    List::new(members.into_inner().into_iter().filter(|member| member != validator).collect()).unwrap_or_default()
}

/// `None` only if there were more members than a committee has.
fn with(members: Option<&Members>, validator: NodeId) -> Option<Members> {
    let mut members = members.map(|members| members.to_vec()).unwrap_or_default();
    members.push(validator);
    List::new(members).ok()
}

/// A rotation stands in the state from the epoch on in which a quorum has named the key; the old key certifies that epoch, and the
/// new one begins with a later one.
pub(super) fn name_key(present: &mut Present, sender: &PublicKey, named: &NameKey) -> Result<(), Refusal> {
    let validator = member(present, sender)?;
    let bridge = present.state.bridge();
    let expected = bridge.rotations.saturating_add(1);
    if named.serial != expected {
        return Err(Refusal::RotationNotNext { found: named.serial, expected });
    }
    if named.key.uncompressed().is_none() {
        return Err(Refusal::NotAGroupKey);
    }
    let serial = named.serial;
    let before = present.state.named_keys.rows().find(|row| row.named_by.contains(&validator)).cloned();
    if before.as_ref().is_some_and(|row| row.key == named.key) {
        return Err(Refusal::AlreadyVoted);
    }
    if let Some(before) = before {
        let named_by = without(before.named_by.clone(), &validator);
        present.state.named_keys.put(NamedKeyRecord { named_by, ..before });
    }
    let others = present.state.named_keys.get(&(serial, named.key.0)).map(|row| &row.named_by);
    let named_by = with(others, validator).ok_or(Refusal::AlreadyVoted)?;
    let decided = named_by.len() >= quorum(present.state.network.committee.len());
    present.state.named_keys.put(NamedKeyRecord { serial, key: named.key, named_by });
    if decided {
        let rows: Vec<_> = present.state.named_keys.rows().map(|row| (row.serial, row.key.0)).collect();
        for key in rows {
            present.state.named_keys.remove(&key);
        }
        let chain_id = present.state.network.chain_id;
        present.state.rotations.put(KeyRotation { version: Version, chain_id, serial, key: named.key });
        present.state.bridge.put(BridgeRecord { rotations: serial, ..bridge });
        present.events.push(Event::KeyNamed { serial });
    }
    Ok(())
}

fn member(present: &Present, sender: &PublicKey) -> Result<NodeId, Refusal> {
    let validator = present.acting(sender, Role::Validator)?.node;
    let is_member = present.state.network.committee.contains(&validator);
    if is_member { Ok(validator) } else { Err(Refusal::NotInCommittee) }
}
