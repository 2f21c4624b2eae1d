//! The ledger's tree from others' offers, page by page like the EVM's state (`pages`).

use std::sync::Arc;

use blocks::{StateFile, change};
use ledger::{Leaf, ROW_PAGES};
use pages::Arriving;
use protocol::Canonical as _;

use super::{
    blocking,
    failure::SyncError,
    hex, kept,
    peers::{Fault, Peers},
};
use crate::offer::{Offer, ROW_RUN_BYTES_MAX, RowRun};

pub(super) struct Rows {
    epoch: u64,
    arriving: Arriving<Leaf>,
    peers: Peers,
    file: Arc<StateFile>,
    /// Requests so far: whose turn it is.
    turn: usize,
    /// What was wrong with an answer last.
    last: String,
}

impl Rows {
    pub fn new(offer: &Offer, peers: Peers, file: Arc<StateFile>) -> Self {
        let arriving = Arriving::new(offer.ledger_root, offer.ledger_rows);
        Self { epoch: offer.epoch, arriving, peers, file, turn: 0, last: "none was asked".to_owned() }
    }

    /// Returns once all of it is in the file.
    pub async fn run(mut self) -> Result<(), SyncError> {
        loop {
            self.pass_by().await?;
            let Some(name) = self.arriving.wanted() else { return Ok(()) };
            self.load(&hex(&name)).await?;
        }
    }

    /// Takes what lies in the file already.
    async fn pass_by(&mut self) -> Result<(), SyncError> {
        let none = Arriving::new(protocol::Digest::ZERO, 0);
        let (mut arriving, file) = (std::mem::replace(&mut self.arriving, none), Arc::clone(&self.file));
        self.arriving = blocking(move || {
            while let Some(name) = arriving.wanted()
                && let Some(bytes) = file.get(ROW_PAGES, &name).map_err(kept)?
                && arriving.take(&bytes).is_ok()
            {}
            Ok(arriving)
        })
        .await?;
        Ok(())
    }

    /// Pages from the one with this name on, of one peer after the other until one gives some.
    async fn load(&mut self, name: &str) -> Result<(), SyncError> {
        while let Some(peer) = self.peers.peer(self.turn) {
            self.turn = self.turn.wrapping_add(1);
            let url = format!("{peer}/snapshots/{}/rows/{name}", self.epoch);
            let mut rows = Vec::new();
            let taken = match self.peers.asked(&url, ROW_RUN_BYTES_MAX).await {
                Ok(bytes) => take_run(&mut self.arriving, &bytes, &mut rows),
                Err(fault) => Err(fault),
            };
            let came = !rows.is_empty();
            if came {
                let file = Arc::clone(&self.file);
                blocking(move || file.put_beside(rows).map_err(kept)).await?;
            }
            if let Err(fault) = taken {
                self.last = format!("{peer}: {fault}");
                tracing::warn!(peer, name, %fault, "pages of the ledger are refused");
                self.peers.blame(&peer, &fault);
            }
            if came {
                return Ok(());
            }
        }
        Err(SyncError::NoState {
            epoch: self.epoch,
            what: format!("page {name} of the ledger"),
            last: self.last.clone(),
        })
    }
}

/// Takes pages one after the other, as far as they are those that are wanted.
fn take_run(arriving: &mut Arriving<Leaf>, bytes: &[u8], rows: &mut Vec<storage::Change>) -> Result<(), Fault> {
    let run = RowRun::decode(bytes).map_err(|error| Fault::Refused(error.to_string()))?;
    if run.pages.is_empty() {
        return Err(Fault::Refused("no pages at all".to_owned()));
    }
    for page in run.pages.into_inner() {
        let (row, _) = arriving.take(&page).map_err(|error| Fault::Refused(error.0))?;
        rows.push(change(row));
    }
    Ok(())
}
