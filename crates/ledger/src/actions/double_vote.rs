//! Two votes of one validator that exclude each other: slashed as equivocation, and the validator never comes back.
//!
//! Anybody's node may show them, because the signatures speak for themselves; nobody earns by it, so nobody buys them.

use crypto::hash;
use protocol::{PublicKey, registry::node_id, transaction::ShowDoubleVote};

use crate::{
    event::{Event, Offence},
    present::Present,
    refusal::Refusal,
    verdict::slash,
};

pub(super) fn show(present: &mut Present, sender: &PublicKey, action: &ShowDoubleVote) -> Result<(), Refusal> {
    // Whoever has a node has something to lose: checking costs more than a signature.
    if present.state.is_jailed(&present.acting_in_any_role(sender)?.node) {
        return Err(Refusal::Jailed);
    }
    let state = &present.state;
    let network = &state.network;
    let refused = |error: consensus::EvidenceError| Refusal::Evidence(error.to_string());
    let term = consensus::evidence_term(&action.evidence).map_err(refused)?;
    let seats = match network.term.checked_sub(term) {
        Some(0) => &network.seats,
        Some(1) => &network.seats_before,
        Some(_) | None => {
            let now = network.term;
            let words =
                format!("of agreement's term {term}; it is term {now}, which with the one before is answered for");
            return Err(Refusal::Evidence(words));
        }
    };
    let keys: Vec<_> = seats.iter().map(|seat| seat.key.0).collect();
    let culprit = consensus::evidence(network.chain_id, &keys, &action.evidence).map_err(refused)?;
    let seat = seats.iter().find(|seat| seat.key.0 == culprit);
    let node = seat.map_or_else(|| node_id(&PublicKey(culprit)), |seat| seat.node);
    if state.staked(&node).is_none_or(|staked| staked.tombstoned) {
        return Err(Refusal::Tombstoned);
    }
    let shows = hash("og/evidence/double-vote/v1", &[&node.0, &action.evidence]);
    // When they were cast the votes do not say in the ledger's time, so all answers that can still answer.
    let amount = slash(present, node, Offence::DoubleVote, (shows, 0), None);
    present.events.push(Event::Tombstoned { node, amount });
    Ok(())
}
