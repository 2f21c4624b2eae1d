//! Trees in pages from others' offers, the EVM's state and the ledger's own: page by page in the order of a walk, each believed only if
//! the page before it names it.
//!
//! What came lies in the state's file at once, so an interrupted start asks only for what is not there, and so does one that goes on
//! from a newer offer: what is the same in both is neither loaded twice nor looked at again. One peer is asked at a time. Where a page does
//! not fit what another one gave above it, either of them may have lied: the page's giver is asked for what is above as well, and is at
//! fault if that does not fit either.

use std::sync::Arc;

use blocks::{StateFile, change};
use evm::{Row, STATE_CODES};
use ledger::{Leaf, ROW_PAGES};
use protocol::{Canonical as _, DecodeError, Digest};

use super::{
    blocking,
    failure::SyncError,
    hex, kept,
    peers::{Fault, Turns},
};
use crate::offer::{Offer, PageRun, ROW_RUN_BYTES_MAX, RUN_BYTES_MAX, RowRun};

/// Bytes of the largest code, and more.
const CODE_BYTES_MAX: usize = 1 << 20;

/// A tree on its way.
pub(super) trait Coming: Default + Send + 'static {
    /// Of an offer, where its pages are asked for, and how long an answer may be.
    const PART: &'static str;
    const RUN_BYTES: usize;
    /// What errors call it.
    const WHAT: &'static str;

    /// Goes on with the tree of this offer.
    fn turn_to(&mut self, offer: &Offer);

    /// The row of the page that comes next; `None` when all are there.
    fn wanted(&self) -> Option<(&'static str, Vec<u8>)>;

    /// Takes it; its row, and what code it names that was not named before.
    fn take(&mut self, page: &[u8], giver: Option<usize>) -> Result<(Row, Vec<Digest>), String>;

    /// See `pages::Arriving::doubt`.
    fn doubt(&mut self, giver: usize) -> Option<Vec<Row>>;

    /// The pages of an answer.
    fn read(run: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError>;
}

impl Coming for evm::Arriving {
    const PART: &'static str = "pages";
    const RUN_BYTES: usize = RUN_BYTES_MAX;
    const WHAT: &'static str = "the EVM's state";

    fn turn_to(&mut self, offer: &Offer) {
        self.turn_to(offer.state_root.0.into(), offer.state_leaves);
    }

    fn wanted(&self) -> Option<(&'static str, Vec<u8>)> {
        self.wanted()
    }

    fn take(&mut self, page: &[u8], giver: Option<usize>) -> Result<(Row, Vec<Digest>), String> {
        let (row, codes) = self.take(page, giver).map_err(|error| error.0)?;
        Ok((row, codes.into_iter().map(|hash| Digest(hash.0)).collect()))
    }

    fn doubt(&mut self, giver: usize) -> Option<Vec<Row>> {
        self.doubt(giver)
    }

    fn read(run: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
        Ok(PageRun::decode(run)?.pages.into_inner().into_iter().map(|page| page.into_inner()).collect())
    }
}

impl Coming for pages::Arriving<Leaf> {
    const PART: &'static str = "rows";
    const RUN_BYTES: usize = ROW_RUN_BYTES_MAX;
    const WHAT: &'static str = "the ledger";

    fn turn_to(&mut self, offer: &Offer) {
        self.turn_to(offer.ledger_root, offer.ledger_rows);
    }

    fn wanted(&self) -> Option<(&'static str, Vec<u8>)> {
        self.wanted().map(|name| (ROW_PAGES, name))
    }

    fn take(&mut self, page: &[u8], giver: Option<usize>) -> Result<(Row, Vec<Digest>), String> {
        let (row, _) = self.take(page, giver).map_err(|error| error.0)?;
        Ok((row, Vec::new()))
    }

    fn doubt(&mut self, giver: usize) -> Option<Vec<Row>> {
        self.doubt(giver)
    }

    fn read(run: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
        Ok(RowRun::decode(run)?.pages.into_inner().into_iter().map(|page| page.into_inner()).collect())
    }
}

/// What came of a tree, of whichever offers.
#[derive(Default)]
pub(super) struct Pages<T> {
    arriving: T,
    /// Code that was named and may not be there yet.
    codes: Vec<Digest>,
}

impl<T: Coming> Pages<T> {
    /// Returns once all of an offer's tree is in the file.
    pub async fn run(&mut self, offer: &Offer, turns: &mut Turns, file: &Arc<StateFile>) -> Result<(), SyncError> {
        if !self.codes.is_empty() {
            // Nobody may name this code any more: what named it is looked at again.
            *self = Self::default();
        }
        self.arriving.turn_to(offer);
        loop {
            self.pass_by(file).await?;
            self.load_codes(offer, turns, file).await?;
            let Some((_, name)) = self.arriving.wanted() else { return Ok(()) };
            self.load(offer, turns, file, &hex(&name)).await?;
        }
    }

    /// Takes what lies in the file already.
    async fn pass_by(&mut self, file: &Arc<StateFile>) -> Result<(), SyncError> {
        let (mut arriving, file) = (std::mem::take(&mut self.arriving), Arc::clone(file));
        let (arriving, codes) = blocking(move || {
            let mut codes = Vec::new();
            while let Some((table, name)) = arriving.wanted()
                && let Some(bytes) = file.get(table, &name).map_err(kept)?
                && let Ok((_, named)) = arriving.take(&bytes, None)
            {
                codes.extend(named);
            }
            Ok((arriving, codes))
        })
        .await?;
        self.arriving = arriving;
        self.codes.extend(codes);
        Ok(())
    }

    /// Pages from the one with this name on, of one peer after the other until one gives some.
    async fn load(
        &mut self,
        offer: &Offer,
        turns: &mut Turns,
        file: &Arc<StateFile>,
        name: &str,
    ) -> Result<(), SyncError> {
        turns.pass();
        while let Some(peer) = turns.peer() {
            let url = format!("{}/snapshots/{}/{}/{name}", peer.url, offer.epoch, T::PART);
            let mut rows = Vec::new();
            let taken = match turns.asked(&url, T::RUN_BYTES).await {
                Ok(run) => self.take_run(&run, peer.place, &mut rows),
                Err(fault) => Err(Wrong::Answer(fault)),
            };
            let fault = match taken {
                Ok(()) => return put(file, rows).await,
                Err(Wrong::Answer(fault)) => fault,
                Err(Wrong::Page(reason)) => match self.arriving.doubt(peer.place) {
                    Some(doubted) => return put(file, doubted).await,
                    None => Fault::Refused(reason),
                },
            };
            turns.blame(&peer, T::WHAT, &fault);
        }
        let what = format!("page {name} of {}", T::WHAT);
        Err(SyncError::NoState { epoch: offer.epoch, what, last: turns.last.clone() })
    }

    /// Takes the page that was asked for, and what is wanted of those behind it: between them may be what came before.
    fn take_run(&mut self, run: &[u8], giver: usize, rows: &mut Vec<Row>) -> Result<(), Wrong> {
        let pages = T::read(run).map_err(|error| Wrong::Answer(Fault::Refused(error.to_string())))?;
        if pages.is_empty() {
            return Err(Wrong::Answer(Fault::Refused("no pages at all".to_owned())));
        }
        for page in pages {
            match self.arriving.take(&page, Some(giver)) {
                Ok((row, named)) => {
                    rows.push(row);
                    self.codes.extend(named);
                }
                Err(reason) if rows.is_empty() => return Err(Wrong::Page(reason)),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Code that was named, as far as it is not there.
    async fn load_codes(&mut self, offer: &Offer, turns: &mut Turns, file: &Arc<StateFile>) -> Result<(), SyncError> {
        while let Some(hash) = self.codes.last().copied() {
            let there = Arc::clone(file);
            let there = blocking(move || there.get(STATE_CODES, &hash.0).map_err(kept)).await?;
            if there.is_none_or(|bytes| evm::Arriving::code(&hash.0.into(), &bytes).is_err()) {
                let row = load_code(offer, turns, &hash).await?;
                put(file, vec![row]).await?;
            }
            self.codes.pop();
        }
        Ok(())
    }
}

/// What was wrong with an answer.
enum Wrong {
    Answer(Fault),
    /// A page in it does not fit those above it, whoever gave them.
    Page(String),
}

async fn load_code(offer: &Offer, turns: &mut Turns, hash: &Digest) -> Result<Row, SyncError> {
    turns.pass();
    while let Some(peer) = turns.peer() {
        let url = format!("{}/snapshots/{}/codes/{hash}", peer.url, offer.epoch);
        let refused = |error: evm::StateError| Fault::Refused(error.0);
        let asked = turns.asked(&url, CODE_BYTES_MAX).await;
        match asked.and_then(|bytes| evm::Arriving::code(&hash.0.into(), &bytes).map_err(refused)) {
            Ok(row) => return Ok(row),
            Err(fault) => turns.blame(&peer, "code", &fault),
        }
    }
    Err(SyncError::NoState { epoch: offer.epoch, what: format!("code {hash}"), last: turns.last.clone() })
}

async fn put(file: &Arc<StateFile>, rows: Vec<Row>) -> Result<(), SyncError> {
    if rows.is_empty() {
        return Ok(());
    }
    let file = Arc::clone(file);
    blocking(move || file.put_beside(rows.into_iter().map(change).collect()).map_err(kept)).await
}
