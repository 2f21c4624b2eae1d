//! The network's next key, once the seats agree on one (`specs/settlement.md`).

use protocol::{BridgeRecord, KeyRotation, Version};

use crate::{event::Event, present::Present};

/// Writes the rotation to a key that a quorum has named, and forgets what else was named.
pub(crate) fn take_named_key(present: &mut Present) {
    let state = &mut present.state;
    let network = &state.network;
    let decided = state.named_keys.rows().find(|row| network.decides(|node| row.named_by.contains(node)));
    let Some((serial, key)) = decided.map(|row| (row.serial, row.key)) else { return };
    let chain_id = network.chain_id;
    let rows: Vec<_> = state.named_keys.rows().map(|row| (row.serial, row.key.0)).collect();
    for row in rows {
        state.named_keys.remove(&row);
    }
    state.rotations.put(KeyRotation { version: Version, chain_id, serial, key });
    state.bridge.put(BridgeRecord { rotations: serial, ..state.bridge() });
    present.events.push(Event::KeyNamed { serial });
}
