//! The EVM's state from others' offers: page by page in the order of a walk, each believed only if the page before it names it.
//!
//! What came lies in the state's file at once, so an interrupted start asks only for what is not there, and so does one that goes on
//! from a newer offer: pages that are the same in both are not loaded twice.

use std::sync::Arc;

use blocks::StateFile;
use evm::{Arriving, Row, STATE_CODES};
use protocol::{Canonical as _, Digest};

use super::{
    blocking,
    failure::SyncError,
    hex, kept,
    peers::{Fault, Peers},
};
use crate::offer::{Offer, PageRun, RUN_BYTES_MAX};

/// Bytes of the largest code, and more.
const CODE_BYTES_MAX: usize = 1 << 20;

pub(super) struct Pages {
    epoch: u64,
    arriving: Arriving,
    peers: Peers,
    file: Arc<StateFile>,
    /// Requests so far: whose turn it is.
    turn: usize,
    /// What was wrong with an answer last.
    last: String,
}

impl Pages {
    pub fn new(offer: &Offer, peers: Peers, file: Arc<StateFile>) -> Self {
        let arriving = Arriving::new(offer.state_root.0.into(), offer.state_leaves);
        Self { epoch: offer.epoch, arriving, peers, file, turn: 0, last: "none was asked".to_owned() }
    }

    /// Returns once all of it is in the file.
    pub async fn run(mut self) -> Result<(), SyncError> {
        loop {
            let codes = self.pass_by().await?;
            self.load_codes(codes).await?;
            let Some((_, name)) = self.arriving.wanted() else { return Ok(()) };
            let codes = self.load_pages(name).await?;
            self.load_codes(codes).await?;
        }
    }

    /// Takes what lies in the file already; the code that it names.
    async fn pass_by(&mut self) -> Result<Vec<Digest>, SyncError> {
        let (mut arriving, file) =
            (std::mem::replace(&mut self.arriving, Arriving::new(Default::default(), 0)), Arc::clone(&self.file));
        let (arriving, codes) = blocking(move || {
            let mut codes = Vec::new();
            while let Some((table, name)) = arriving.wanted()
                && let Some(bytes) = file.get(table, &name).map_err(kept)?
                && let Ok((_, named)) = arriving.take(&bytes)
            {
                codes.extend(named.into_iter().map(|hash| Digest(hash.0)));
            }
            Ok((arriving, codes))
        })
        .await?;
        self.arriving = arriving;
        Ok(codes)
    }

    /// Pages from the one with this name on, of one peer after the other until one gives some; the code that they name.
    async fn load_pages(&mut self, name: Vec<u8>) -> Result<Vec<Digest>, SyncError> {
        let path = hex(&name);
        while let Some(peer) = self.peers.peer(self.turn) {
            self.turn = self.turn.wrapping_add(1);
            let url = format!("{peer}/snapshots/{}/pages/{path}", self.epoch);
            let (mut rows, mut codes) = (Vec::new(), Vec::new());
            let taken = match self.peers.asked(&url, RUN_BYTES_MAX).await {
                Ok(bytes) => take_run(&mut self.arriving, &bytes, &mut rows, &mut codes),
                Err(fault) => Err(fault),
            };
            let came = !rows.is_empty();
            if came {
                self.put(rows).await?;
            }
            if let Err(fault) = taken {
                self.last = format!("{peer}: {fault}");
                tracing::warn!(peer, path, %fault, "pages of the state are refused");
                self.peers.blame(&peer, &fault);
            }
            if came {
                return Ok(codes);
            }
        }
        Err(SyncError::NoState { epoch: self.epoch, what: format!("page {path}"), last: self.last.clone() })
    }

    async fn load_codes(&mut self, codes: Vec<Digest>) -> Result<(), SyncError> {
        for hash in codes {
            let file = Arc::clone(&self.file);
            let there = blocking(move || file.get(STATE_CODES, &hash.0).map_err(kept)).await?;
            if there.is_none_or(|bytes| Arriving::code(&hash.0.into(), &bytes).is_err()) {
                let row = self.load_code(&hash).await?;
                self.put(vec![row]).await?;
            }
        }
        Ok(())
    }

    async fn load_code(&mut self, hash: &Digest) -> Result<Row, SyncError> {
        while let Some(peer) = self.peers.peer(self.turn) {
            self.turn = self.turn.wrapping_add(1);
            let asked =
                self.peers.asked(&format!("{peer}/snapshots/{}/codes/{hash}", self.epoch), CODE_BYTES_MAX).await;
            let refused = |error: evm::StateError| Fault::Refused(error.0);
            match asked.and_then(|bytes| Arriving::code(&hash.0.into(), &bytes).map_err(refused)) {
                Ok(row) => return Ok(row),
                Err(fault) => {
                    self.last = format!("{peer}: {fault}");
                    tracing::warn!(peer, %hash, %fault, "code of the state is refused");
                    self.peers.blame(&peer, &fault);
                }
            }
        }
        Err(SyncError::NoState { epoch: self.epoch, what: format!("code {hash}"), last: self.last.clone() })
    }

    async fn put(&self, rows: Vec<Row>) -> Result<(), SyncError> {
        let file = Arc::clone(&self.file);
        blocking(move || file.put(rows).map_err(kept)).await
    }
}

/// Takes pages one after the other, as far as they are those that are wanted.
fn take_run(arriving: &mut Arriving, bytes: &[u8], rows: &mut Vec<Row>, codes: &mut Vec<Digest>) -> Result<(), Fault> {
    let run = PageRun::decode(bytes).map_err(|error| Fault::Refused(error.to_string()))?;
    if run.pages.is_empty() {
        return Err(Fault::Refused("no pages at all".to_owned()));
    }
    for page in run.pages.into_inner() {
        let (row, named) = arriving.take(&page).map_err(|error| Fault::Refused(error.0))?;
        rows.push(row);
        codes.extend(named.into_iter().map(|hash| Digest(hash.0)));
    }
    Ok(())
}
