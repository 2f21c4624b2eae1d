//! What whoever carries settlements to Base, and whoever is paid there, asks a validator.

use network::{
    Noun, Refusal as Answer,
    axum::{
        extract::{Path, State},
        response::Response,
    },
    nouns,
};
use protocol::{
    BridgeRecord,
    settled::{ProvenPayout, ProvenSettlement},
};

use crate::{
    desk::{Shared, named_address, not_certified, not_proven},
    questions::asked,
};

/// Payouts in one answer.
const PAGE: usize = 256;

pub(crate) async fn bridge(State(desk): Shared) -> Noun<BridgeRecord> {
    Noun(desk.node.ledger().bridge())
}

pub(crate) async fn settlement(State(desk): Shared, Path(number): Path<u64>) -> Result<Noun<ProvenSettlement>, Answer> {
    let made = desk.node.ledger().bridge().settlements;
    if number >= made {
        return Err(Answer::not_found(
            "unknown_settlement",
            format!("{made} settlements were made, counted from zero"),
        ));
    }
    let proven = asked(&desk, move |node| node.settlement(number)).await?;
    proven.ok_or_else(not_certified)?.map(Noun).map_err(|error| not_proven(&error))
}

/// Every rotation of the network's key: few, and who follows needs them all.
pub(crate) async fn rotations(State(desk): Shared) -> Response {
    nouns(&desk.node.ledger().rotations().cloned().collect::<Vec<_>>())
}

pub(crate) async fn payout(
    State(desk): Shared,
    Path((number, index)): Path<(u64, u64)>,
) -> Result<Noun<ProvenPayout>, Answer> {
    let found = desk.node.ledger().prove_payout(number, index);
    let unknown = || Answer::not_found("unknown_payout", format!("settlement {number} has no payout {index}"));
    found.map(Noun).ok_or_else(unknown)
}

/// A page of an account's payouts, from a settlement on.
pub(crate) async fn payouts(
    State(desk): Shared,
    Path((account, from)): Path<(String, u64)>,
) -> Result<Response, Answer> {
    let account = named_address(&account)?;
    Ok(nouns(&desk.node.ledger().payouts_of(&account, from, PAGE)))
}
