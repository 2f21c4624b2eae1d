//! The network's next key on its way to the ledger: said by whoever sits, again and again until a quorum has said it.

use std::sync::Mutex;

use consensus::NextKey;
use crypto::threshold::{GroupKey, GroupSignature};
use ledger::Ledger;
use protocol::{CertifiedRotation, PublicKey, transaction::NameKey};

use crate::lock::locked;

/// What agreement's committee has signed and the ledger does not know yet, if anything.
#[derive(Default)]
pub(crate) struct Naming(Mutex<Option<NameKey>>);

impl Naming {
    pub fn wants(&self, next: NextKey) {
        let NextKey { serial, key, signature } = next;
        let named = NameKey { serial, key: GroupKey(key), signature: GroupSignature(signature) };
        *locked(&self.0) = Some(named);
    }

    /// What the node with this key is to say now: nothing where it does not sit, or has said so.
    pub fn due(&self, ledger: &Ledger, key: &PublicKey) -> Option<NameKey> {
        let mut wanted = locked(&self.0);
        if wanted.as_ref().is_some_and(|wanted| wanted.serial <= ledger.bridge().rotations) {
            *wanted = None;
        }
        let named = wanted.clone()?;
        let own = ledger.key(key)?.node;
        let is_said = ledger.named_keys().any(|row| {
            let CertifiedRotation { rotation, signature } = &row.rotation;
            (rotation.key, *signature) == (named.key, named.signature) && row.named_by.contains(&own)
        });
        (!is_said && ledger.network().sits(&own)).then_some(named)
    }
}
