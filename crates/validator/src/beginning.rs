//! What a validator gives to those who begin: offers, and what each is made of, as it was when it was offered.

use network::{
    Noun, Refusal as Answer,
    axum::{
        extract::{Path, State},
        response::Response,
    },
    nouns,
};

use crate::{
    desk::{Desk, Shared, digest},
    offer::{GroupRun, Offers, PageRun, PieceRun, RowRun},
};

/// What a new node may begin from, newest last.
pub(crate) async fn snapshots(State(desk): Shared) -> Response {
    nouns(&desk.node.offers().map(Offers::all).unwrap_or_default())
}

pub(crate) async fn chunk(
    State(desk): Shared,
    Path((epoch, chunk)): Path<(u64, usize)>,
) -> Result<network::axum::body::Bytes, Answer> {
    let reading = tokio::task::spawn_blocking(move || desk.node.offers()?.chunk(epoch, chunk));
    let chunk = reading.await.ok().flatten();
    chunk.map(Into::into).ok_or_else(|| {
        Answer::not_found("unknown_chunk", format!("no such chunk of a snapshot of epoch {epoch} is offered"))
    })
}

/// Pages of the EVM's state, from the one with this name on.
pub(crate) async fn pages(
    State(desk): Shared,
    Path((epoch, name)): Path<(u64, String)>,
) -> Result<Noun<PageRun>, Answer> {
    let bytes = page_name(&name).ok_or_else(|| unknown("unknown_page", epoch))?;
    offered(desk, "unknown_page", epoch, move |offers| offers.pages(epoch, &bytes)).await
}

/// Code that the EVM's state in a snapshot names.
pub(crate) async fn code(
    State(desk): Shared,
    Path((epoch, hash)): Path<(u64, String)>,
) -> Result<network::axum::body::Bytes, Answer> {
    let hash = digest(&hash)?;
    let reading = tokio::task::spawn_blocking(move || desk.node.offers()?.code(epoch, &hash));
    reading.await.ok().flatten().map(Into::into).ok_or_else(|| {
        Answer::not_found("unknown_code", format!("no code {hash} of a snapshot of epoch {epoch} is offered"))
    })
}

/// Pages of the ledger's tree, from the one with this name on.
pub(crate) async fn rows(
    State(desk): Shared,
    Path((epoch, name)): Path<(u64, String)>,
) -> Result<Noun<RowRun>, Answer> {
    let bytes = page_name(&name).ok_or_else(|| unknown("unknown_page", epoch))?;
    offered(desk, "unknown_page", epoch, move |offers| offers.rows(epoch, &bytes)).await
}

/// A whole group of epochs' records.
pub(crate) async fn group(
    State(desk): Shared,
    Path((epoch, group)): Path<(u64, u64)>,
) -> Result<Noun<GroupRun>, Answer> {
    offered(desk, "unknown_group", epoch, move |offers| offers.group(epoch, group)).await
}

/// Receipts and verdicts of epochs, from the row with this key on.
pub(crate) async fn pieces(
    State(desk): Shared,
    Path((epoch, key)): Path<(u64, String)>,
) -> Result<Noun<PieceRun>, Answer> {
    let bytes = page_name(&key).ok_or_else(|| unknown("unknown_piece", epoch))?;
    offered(desk, "unknown_piece", epoch, move |offers| offers.pieces(epoch, &bytes)).await
}

/// Reads it where nothing else waits for the disk.
async fn offered<T: Send + 'static>(
    desk: std::sync::Arc<Desk>,
    code: &'static str,
    epoch: u64,
    read: impl FnOnce(&Offers) -> Option<T> + Send + 'static,
) -> Result<Noun<T>, Answer> {
    let reading = tokio::task::spawn_blocking(move || read(desk.node.offers()?));
    reading.await.ok().flatten().map(Noun).ok_or_else(|| unknown(code, epoch))
}

fn unknown(code: &'static str, epoch: u64) -> Answer {
    Answer::not_found(code, format!("nothing of that name is in a snapshot of epoch {epoch} that is offered"))
}

/// A page's name in hexadecimal: at most a byte for each nibble of a key, and one.
fn page_name(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    (text.len() <= 130 && text.len().is_multiple_of(2)).then(|| digits.collect())?
}
