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
    let keys = state.network.committee.iter().filter_map(|node| state.staked(node).map(|staked| staked.key.0));
    let keys: Vec<_> = keys.collect();
    let culprit = consensus::evidence(state.network.chain_id, &keys, &action.evidence)
        .map_err(|error| Refusal::Evidence(error.to_string()))?;
    let node = node_id(&PublicKey(culprit));
    if state.staked(&node).is_none_or(|staked| staked.tombstoned) {
        return Err(Refusal::Tombstoned);
    }
    let shows = hash("og/evidence/double-vote/v1", &[&node.0, &action.evidence]);
    // When they were cast the votes do not say in the ledger's time, so all answers that can still answer.
    let amount = slash(present, node, Offence::DoubleVote, (shows, 0), None);
    present.events.push(Event::Tombstoned { node, amount });
    Ok(())
}
