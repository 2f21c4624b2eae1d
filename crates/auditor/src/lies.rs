//! Lies that were found and that the validators have not decided, kept with their openings until they have.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crypto::Digest;
use protocol::{Canonical as _, Opening};
use storage::{Change, Store, StoreError};

const LIES: &str = "lies";
/// Lies kept at once: at most 896 MiB of openings.
const LIES_MAX: usize = 1_024;

/// The lies by receipt, durable.
pub(crate) struct Lies {
    store: Store,
    ids: Mutex<BTreeSet<Digest>>,
}

impl Lies {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Store::open(path, &[LIES])?;
        let (mut ids, mut from) = (BTreeSet::new(), Vec::new());
        // One by one, as openings are large.
        while let Some((mut key, _)) = store.scan(LIES, &from, 1)?.pop() {
            ids.extend(<[u8; 32]>::try_from(key.as_slice()).map(Digest));
            key.push(0);
            from = key;
        }
        Ok(Self { store, ids: Mutex::new(ids) })
    }

    pub fn len(&self) -> usize {
        self.with(|ids| ids.len())
    }

    /// False if there are too many already.
    pub async fn keep(&self, receipt: Digest, opening: &Opening) -> Result<bool, StoreError> {
        let has_room = self.with(|ids| {
            let has_room = ids.contains(&receipt) || ids.len() < LIES_MAX;
            has_room.then(|| ids.insert(receipt));
            has_room
        });
        if has_room {
            self.store.commit(vec![Change::put(LIES, receipt.0, opening.encode())]).await?;
        }
        Ok(has_room)
    }

    pub async fn forget(&self, receipt: &Digest) -> Result<(), StoreError> {
        self.with(|ids| ids.remove(receipt));
        self.store.commit(vec![Change::remove(LIES, receipt.0)]).await
    }

    pub fn opening(&self, receipt: &Digest) -> Option<Opening> {
        let kept = self.store.get(LIES, &receipt.0);
        let bytes =
            kept.inspect_err(|error| tracing::warn!(%receipt, %error, "cannot read a lie's opening")).ok()??;
        Opening::decode(&bytes).ok()
    }

    pub fn ids(&self) -> BTreeSet<Digest> {
        self.with(|ids| ids.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeSet<Digest>) -> T) -> T {
        // A set is whole after every step.
        change(&mut self.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::{Input, List, Output, Parameters};

    use super::*;

    pub(crate) fn opening() -> Opening {
        let request = protocol::Request {
            version: protocol::Version,
            chain_id: 1,
            model: Digest::ZERO,
            input: Input::Tensors(List::default()),
            parameters: Parameters::default(),
            assurance: protocol::Assurance::Audited,
            privacy: protocol::Privacy::Private,
            template_time_ms: 0,
            issued_at_ms: 0,
            gateway: crypto::SigningKey::from_seed(&[1; 32]).public_key(),
            parents: List::default(),
            payment: None,
            nonce: Digest::ZERO,
        };
        let (request_salt, prompt_salt, output_salt) = (Digest::ZERO, Digest::ZERO, Digest::ZERO);
        let (prompt, output) = (List::default(), Output::Tokens(List::default()));
        Opening { request, request_salt, prompt, prompt_salt, output, output_salt }
    }

    #[tokio::test]
    async fn lies_outlive_a_restart_until_they_are_forgotten_and_are_not_kept_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let (path, opening) = (folder.path().join("lies.redb"), opening());
        let id = |i: usize| crypto::hash("og/test", &[&i.to_be_bytes()]);
        let lies = Lies::open(&path).unwrap();
        for i in 0..3 {
            assert!(lies.keep(id(i), &opening).await.unwrap());
        }
        lies.forget(&id(1)).await.unwrap();
        lies.store.close();
        let lies = Lies::open(&path).unwrap();
        assert_eq!((lies.ids(), lies.opening(&id(2))), (BTreeSet::from([id(0), id(2)]), Some(opening.clone())));
        assert_eq!(lies.opening(&id(1)), None);
        lies.with(|ids| ids.extend((2..=LIES_MAX).map(id)));
        assert_eq!(lies.len(), LIES_MAX);
        assert!(!lies.keep(id(1), &opening).await.unwrap());
        assert!(lies.keep(id(2), &opening).await.unwrap(), "known already");
    }
}
