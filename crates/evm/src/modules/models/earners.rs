//! Who earns with a model, for a ledger that divides charges between transactions: the records of this module, without a frame.

use alloy_primitives::{Address, B256, U256, keccak256};
use protocol::{
    Digest, EvmAddress, Lineage, List,
    lineage::{Earners, MODELS_MAX, Parent, Payee},
};

use super::{ADDRESS, slots};
use crate::modules::layout::{Reader, behind, place_in};
use crate::state::{StateError, StateRead};

/// A model and all that it was made from, itself first. `None` where nobody published it.
pub fn lineage(state: &dyn StateRead, root: B256) -> Result<Option<Lineage>, StateError> {
    let Some(first) = earners(state, root)? else { return Ok(None) };
    let mut models = vec![first];
    let mut next = 0;
    while let Some(model) = models.get(next) {
        let parents: Vec<Digest> = model.parents.iter().map(|parent| parent.root).collect();
        next = next.saturating_add(1);
        for root in parents {
            let is_known = models.len() >= MODELS_MAX || models.iter().any(|known| known.root == root);
            // Parents are published before their children.
            if let Some(parent) = earners(state, B256::from(root.0))?.filter(|_| !is_known) {
                models.push(parent);
            }
        }
    }
    Ok(List::new(models).ok().and_then(|models| Lineage::new(models).ok()))
}

fn earners(state: &dyn StateRead, root: B256) -> Result<Option<Earners>, StateError> {
    let slot = place_in(slots::MODELS, root);
    let publisher = Reader(state.slot(&ADDRESS, &slot)?).address();
    if publisher.is_zero() {
        return Ok(None);
    }
    let payees = words(state, behind(slot, super::records::fields::SPLITS))?;
    let parents = words(state, behind(slot, super::records::fields::PARENTS))?;
    let shares = words(state, behind(slot, super::records::fields::PARENT_SHARES))?;
    let payee = |word| {
        let mut word = Reader(word);
        Payee { holder: holder(word.address()), millionths: word.u32() }
    };
    let parent = |(root, share): (U256, U256)| Parent {
        root: Digest(root.to_be_bytes::<32>()),
        millionths: share.saturating_to(),
    };
    Ok(Some(Earners {
        root: Digest(root.0),
        publisher: holder(publisher),
        // The module lets in no more than fit.
        payees: List::new(payees.into_iter().map(payee).collect()).unwrap_or_default(),
        parents: List::new(parents.into_iter().zip(shares).map(parent).collect()).unwrap_or_default(),
    }))
}

const fn holder(address: Address) -> EvmAddress {
    EvmAddress(address.into_array())
}

/// A list of words; no list of a model's is longer than its limit.
fn words(state: &dyn StateRead, slot: U256) -> Result<Vec<U256>, StateError> {
    let len: u64 = state.slot(&ADDRESS, &slot)?.saturating_to();
    let start = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
    (0..len.min(super::publish::LIST_MAX)).map(|index| state.slot(&ADDRESS, &behind(start, index))).collect()
}
