//! The network's next key, once the seats agree on one (`specs/rotation.md`).

use protocol::BridgeRecord;

use crate::{event::Event, present::Present, table::Row as _};

/// Writes the rotation to a key that a quorum has named, and forgets what else was named.
pub(crate) fn take_named_key(present: &mut Present) {
    let state = &mut present.state;
    let network = &state.network;
    let decided = state.named_keys.rows().find(|row| network.decides(|node| row.named_by.contains(node)));
    let Some(certified) = decided.map(|row| row.rotation.clone()) else { return };
    let serial = certified.rotation.serial;
    let rows: Vec<_> = state.named_keys.rows().map(|row| row.key()).collect();
    for row in rows {
        state.named_keys.remove(&row);
    }
    state.rotations.put(certified);
    state.bridge.put(BridgeRecord { rotations: serial, ..state.bridge() });
    present.events.push(Event::KeyNamed { serial });
}
