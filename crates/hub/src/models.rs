//! Loaded models, fetched from hubs where they are not at hand; used by whoever runs or re-runs a model.
//!
//! Holds a bounded number of them. A model that cannot be had keeps nobody waiting but those who ask for it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crypto::Digest;
use engine::Model;
use network::{Client, NetworkError};
use storage::Incoming;
use thiserror::Error;

use crate::shelf::{Shelf, ShelfError};

/// Models held at the same time; the one that was not used for longest makes room.
const LOADED_MAX: usize = 16;

/// Why a model could not be had.
#[derive(Debug, Error)]
pub enum ModelsError {
    #[error("no hub has model {root}: {source}")]
    Fetch { root: Digest, source: NetworkError },
    #[error("model {root} is neither on the shelf nor is a hub configured")]
    Nowhere { root: Digest },
    #[error("{hub} sent another model than {root}: {found}")]
    OtherRoot { hub: String, root: Digest, found: Digest },
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error("loading model {root} was interrupted")]
    Interrupted { root: Digest },
}

/// A cache of loaded models over a shelf over hubs; clones share it.
#[derive(Clone)]
pub struct Models {
    shelf: Shelf,
    hubs: Arc<[String]>,
    client: Client,
    loaded: Arc<Mutex<Loaded>>,
    /// Who brings which model: a crowd that wants the same one has it brought once.
    turns: Arc<Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>>,
}

impl Models {
    pub fn new(shelf: Shelf, hubs: &[String], client: Client) -> Self {
        Self { shelf, hubs: hubs.into(), client, loaded: Arc::default(), turns: Arc::default() }
    }

    /// The model with this root: loaded, on the shelf, or from the first hub that has it.
    pub async fn get(&self, root: Digest) -> Result<Arc<Model>, ModelsError> {
        if let Some(model) = locked(&self.loaded).recall(&root) {
            return Ok(model);
        }
        let turn = Arc::clone(locked(&self.turns).entry(root).or_default());
        let held = turn.lock().await;
        let recalled = locked(&self.loaded).recall(&root);
        let brought = match recalled {
            Some(model) => Ok(model),
            None => self.bring(root).await,
        };
        drop(held);
        // Whoever waits holds the turn itself.
        locked(&self.turns).remove(&root);
        brought
    }

    /// Where the artefact of the model with this root lies: on the shelf, or brought there by the first hub that has it.
    /// As it came, its parts were compared with its root, and nothing of it was looked into: it is a stranger's. For those who load it in
    /// another process.
    pub async fn file(&self, root: Digest) -> Result<PathBuf, ModelsError> {
        if let Some(path) = self.shelf.file(&root) {
            return Ok(path);
        }
        let turn = Arc::clone(locked(&self.turns).entry(root).or_default());
        let held = turn.lock().await;
        let brought = match self.shelf.file(&root) {
            Some(_) => Ok(()),
            None => self.fetch(root, |shelf, incoming, root| shelf.keep(incoming, Some(root)).map(drop)).await,
        };
        drop(held);
        locked(&self.turns).remove(&root);
        brought?;
        self.shelf.file(&root).ok_or(ModelsError::Nowhere { root })
    }

    async fn bring(&self, root: Digest) -> Result<Arc<Model>, ModelsError> {
        let shelf = self.shelf.clone();
        // Loading checks every weight: not on a thread that others wait for.
        let shelved = tokio::task::spawn_blocking(move || shelf.load(&root)).await;
        let model = match shelved.map_err(|_| ModelsError::Interrupted { root })? {
            Some(model) => model,
            None => self.fetch(root, |shelf, incoming, root| Ok(shelf.take(incoming, Some(root))?.1)).await?,
        };
        let model = Arc::new(model);
        locked(&self.loaded).remember(root, &model);
        Ok(model)
    }

    /// Has an artefact brought anew if what lies on the shelf is not what its name says.
    pub async fn renew(&self, root: Digest) {
        let shelf = self.shelf.clone();
        // Reads all of it: not on a thread that others wait for.
        if tokio::task::spawn_blocking(move || shelf.drop_damaged(&root)).await.unwrap_or(false) {
            tracing::warn!(%root, "artefact damaged, brought anew");
        }
    }

    async fn fetch<T: Send + 'static>(&self, root: Digest, take: Take<T>) -> Result<T, ModelsError> {
        let mut last = ModelsError::Nowhere { root };
        for hub in self.hubs.iter() {
            match self.fetch_from(hub, root, take).await {
                Ok(taken) => return Ok(taken),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn fetch_from<T: Send + 'static>(&self, hub: &str, root: Digest, take: Take<T>) -> Result<T, ModelsError> {
        let failed = |source| ModelsError::Fetch { root, source };
        let mut pieces = self.client.get_pieces(&format!("{hub}/artefacts/{root}")).await.map_err(failed)?;
        let mut incoming = self.shelf.incoming()?;
        while let Some(piece) = pieces.next().await.map_err(failed)? {
            incoming.write(&piece).map_err(ShelfError::from)?;
        }
        let shelf = self.shelf.clone();
        // Reads every weight: not on a thread that others wait for.
        let taken = tokio::task::spawn_blocking(move || take(&shelf, incoming, root)).await;
        taken.map_err(|_| ModelsError::Interrupted { root })?.map_err(|error| match error {
            ShelfError::OtherRoot { found, .. } => ModelsError::OtherRoot { hub: hub.to_owned(), root, found },
            other => ModelsError::Shelf(other),
        })
    }
}

/// What a shelf does with an artefact that came in for this root.
type Take<T> = fn(&Shelf, Incoming, Digest) -> Result<T, ShelfError>;

/// Models by root, and when each was used last, counted in uses.
#[derive(Default)]
struct Loaded {
    models: BTreeMap<Digest, (Arc<Model>, u64)>,
    uses: u64,
}

impl Loaded {
    fn recall(&mut self, root: &Digest) -> Option<Arc<Model>> {
        self.uses = self.uses.saturating_add(1);
        let (model, used) = self.models.get_mut(root)?;
        *used = self.uses;
        Some(Arc::clone(model))
    }

    fn remember(&mut self, root: Digest, model: &Arc<Model>) {
        self.uses = self.uses.saturating_add(1);
        self.models.insert(root, (Arc::clone(model), self.uses));
        while self.models.len() > LOADED_MAX {
            let oldest = self.models.iter().min_by_key(|(_, (_, used))| *used).map(|(root, _)| *root);
            oldest.and_then(|root| self.models.remove(&root));
        }
    }
}

/// Every holder leaves what it guards whole, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_was_not_used_for_longest_makes_room() {
        let model = Arc::new(Model::load(&include_bytes!("../../../models/risk/risk-integer.ogm")[..]).unwrap());
        let root = |i: usize| Digest([u8::try_from(i).unwrap(); 32]);
        let mut loaded = Loaded::default();
        (0..LOADED_MAX).for_each(|i| loaded.remember(root(i), &model));
        assert!(loaded.recall(&root(0)).is_some());
        loaded.remember(root(LOADED_MAX), &model);
        assert_eq!(loaded.models.len(), LOADED_MAX);
        assert!(loaded.recall(&root(1)).is_none());
        assert!(loaded.recall(&root(0)).is_some() && loaded.recall(&root(LOADED_MAX)).is_some());
    }
}
