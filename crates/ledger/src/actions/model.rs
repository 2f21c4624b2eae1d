//! Publishing models: the first publisher of a root has it; names are for people and need not differ.
//!
//! A root says whether its model has an exact form, to whoever sees what it was made of: nobody can publish an exact model as a
//! float one. A float model published as exact fools nobody for long: each of its receipts is false (`specs/float.md`).

use alloy_primitives::{Address, B256};
use evm::modules::models::EnterModel;
use protocol::{
    ModelRecord, PublicKey,
    registry::{ModelKind, form},
    transaction::PublishModel,
};

use crate::{present::Present, purse::address_of, refusal::Refusal};

pub(super) fn publish(present: &mut Present, sender: &PublicKey, model: PublishModel) -> Result<(), Refusal> {
    if model.name.trim().is_empty() {
        return Err(Refusal::EmptyName);
    }
    let kind = form(&model.root, model.float_manifest.as_ref()).ok_or(Refusal::NotAFloatRoot(model.root))?;
    // Who published a float model as exact has not published it: the proof of what it is takes the place.
    let is_mended = |known: &ModelRecord| known.kind == ModelKind::Exact && kind == ModelKind::Float;
    if present.state.models.get(&model.root).is_some_and(|known| !is_mended(known)) {
        return Err(Refusal::ModelTaken(model.root));
    }
    let publisher = Address::from(address_of(sender).0);
    let entered = EnterModel { root: B256::from(model.root.0), publisher, kind, name: model.name.to_string() };
    present.perform(&entered).map_err(|error| Refusal::module(&error))
}
