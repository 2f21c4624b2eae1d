//! Publishing models: the first publisher of a root has it; names are for people and need not differ.

use protocol::{ModelRecord, PublicKey, transaction::PublishModel};

use crate::{event::Event, present::Present, refusal::Refusal};

pub(super) fn publish(present: &mut Present, sender: &PublicKey, model: PublishModel) -> Result<(), Refusal> {
    if model.name.trim().is_empty() {
        return Err(Refusal::EmptyName);
    }
    if present.state.models.contains(&model.root) {
        return Err(Refusal::ModelTaken(model.root));
    }
    present.state.models.put(ModelRecord {
        root: model.root,
        name: model.name,
        publisher: *sender,
        published_epoch: present.open.epoch,
        published_at_ms: present.open.time_ms,
    });
    present.events.push(Event::ModelPublished { root: model.root });
    Ok(())
}
