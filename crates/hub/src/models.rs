//! Loaded models, fetched from hubs where they are not at hand; used by whoever runs or re-runs a model.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crypto::Digest;
use engine::Model;
use network::{Client, NetworkError};
use thiserror::Error;

use crate::shelf::{Shelf, ShelfError};

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
    loaded: Arc<Mutex<BTreeMap<Digest, Arc<Model>>>>,
}

impl Models {
    pub fn new(shelf: Shelf, hubs: &[String], client: Client) -> Self {
        Self { shelf, hubs: hubs.into(), client, loaded: Arc::default() }
    }

    /// The model with this root: loaded, on the shelf, or from the first hub that has it.
    pub async fn get(&self, root: Digest) -> Result<Arc<Model>, ModelsError> {
        if let Some(model) = self.lock().get(&root) {
            return Ok(Arc::clone(model));
        }
        if self.shelf.get(&root).is_none() {
            self.fetch(root).await?;
        }
        let (shelf, loaded) = (self.shelf.clone(), Arc::clone(&self.loaded));
        // Loading checks every weight: not on a thread that others wait for.
        tokio::task::spawn_blocking(move || load(&shelf, &loaded, root))
            .await
            .map_err(|_| ModelsError::Interrupted { root })?
    }

    async fn fetch(&self, root: Digest) -> Result<(), ModelsError> {
        let mut last = ModelsError::Nowhere { root };
        for hub in self.hubs.iter() {
            let fetched = self.client.get_bytes(&format!("{hub}/artefacts/{root}")).await;
            let stored = match fetched {
                Ok(artefact) => self.keep(hub, root, artefact.to_vec()).await,
                Err(source) => Err(ModelsError::Fetch { root, source }),
            };
            match stored {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn keep(&self, hub: &str, root: Digest, artefact: Vec<u8>) -> Result<(), ModelsError> {
        let shelf = self.shelf.clone();
        let entry = tokio::task::spawn_blocking(move || shelf.put(&artefact))
            .await
            .map_err(|_| ModelsError::Interrupted { root })??;
        if entry.root == root {
            return Ok(());
        }
        Err(ModelsError::OtherRoot { hub: hub.to_owned(), root, found: entry.root })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Arc<Model>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(shelf: &Shelf, loaded: &Mutex<BTreeMap<Digest, Arc<Model>>>, root: Digest) -> Result<Arc<Model>, ModelsError> {
    let artefact = shelf.get(&root).ok_or(ModelsError::Nowhere { root })?;
    let model = Arc::new(Model::load(&artefact).map_err(ShelfError::from)?);
    if model.root() != root {
        return Err(ModelsError::OtherRoot { hub: "the shelf".to_owned(), root, found: model.root() });
    }
    loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(root, Arc::clone(&model));
    Ok(model)
}
