//! Which models a worker of this folder is to serve: those of the genesis, until its operator says otherwise (`og node serve`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use protocol::Digest;
use serde::{Deserialize, Serialize};
use storage::{read_file, write_file};
use tokio::sync::watch;

use crate::{
    home::{Home, Network, NodeEntry},
    screen::tell,
};

const FILE_BYTES_MAX: u64 = 1 << 14;
/// How often a worker looks whether its operator has said something else.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    models: Vec<String>,
}

fn file(home: &Home, worker: &str) -> PathBuf {
    home.node_folder(worker).join("models.json")
}

/// What the worker is to serve.
pub fn wanted(home: &Home, network: &Network, worker: &NodeEntry) -> Result<Vec<Digest>> {
    let file = file(home, &worker.name);
    if file.exists() {
        return read(&file);
    }
    let key = worker.key.as_deref().and_then(crypto::PublicKey::from_hex);
    let genesis = home.genesis(network)?;
    let own = genesis.nodes.iter().find(|node| Some(node.key) == key);
    Ok(own.map(|node| node.models.to_vec()).unwrap_or_default())
}

/// Says what the worker is to serve from now on, whether it runs or not.
pub fn write(home: &Home, worker: &str, models: &[Digest]) -> Result<()> {
    let file = file(home, worker);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    let written = Written { models: models.iter().map(Digest::to_string).collect() };
    Ok(write_file(&file, &serde_json::to_vec_pretty(&written)?)?)
}

/// Tells the worker whenever something else is said, for as long as it listens.
pub fn watch(home: &Home, worker: &str, now: Vec<Digest>) -> watch::Receiver<Vec<Digest>> {
    let (file, (sender, receiver)) = (file(home, worker), watch::channel(now));
    tokio::spawn(async move {
        let mut said = None;
        while !sender.is_closed() {
            tokio::time::sleep(LOOK).await;
            if !file.exists() {
                continue;
            }
            let trouble = match read(&file) {
                Ok(models) => {
                    sender.send_if_modified(|known| std::mem::replace(known, models.clone()) != models);
                    None
                }
                Err(error) => Some(format!("{error:#}")),
            };
            // Once for each trouble, not at every look.
            if let Some(trouble) = trouble.as_ref().filter(|_| trouble != said) {
                tell(trouble);
            }
            said = trouble;
        }
    });
    receiver
}

fn read(file: &Path) -> Result<Vec<Digest>> {
    let unreadable = || format!("failed to read {}; hint: og node serve writes it", file.display());
    let written: Written = serde_json::from_slice(&read_file(file, FILE_BYTES_MAX)?).with_context(unreadable)?;
    written.models.iter().map(|root| Digest::from_hex(root)).collect::<Option<_>>().with_context(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_wanted_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(Some(folder.path().to_owned()));
        let models = [Digest([1; 32]), Digest([2; 32])];
        write(&home, "worker-1", &models).unwrap();
        let path = file(&home, "worker-1");
        assert_eq!(read(&path).unwrap(), models);
        for bad in ["", "[]", "{}", r#"{"models":["ab"]}"#, r#"{"models":[],"more":1}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("og node serve"), "{bad}");
        }
    }
}
