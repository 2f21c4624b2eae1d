//! Lists that grow without end, a page at a time: in the order of their keys, each page behind the last key of the one before.
//!
//! A page that is shorter than a whole one is the last.

use network::{
    CHALLENGES_A_PAGE, MODELS_A_PAGE, Noun, Refusal as Answer, SHARES_A_PAGE,
    axum::{
        extract::{Path, State},
        response::Response,
    },
    nouns,
};
use protocol::{DuesRecord, EvmAddress, service::GatewayCredit};

use crate::{
    desk::{Desk, Shared, digest, named_address},
    questions::asked,
};

/// Open challenges, with what decides them: openings are large.
pub(crate) async fn challenges(State(desk): Shared) -> Result<Response, Answer> {
    let challenges = asked(&desk, |node| node.challenges_after(None, CHALLENGES_A_PAGE)).await?;
    Ok(nouns(&challenges))
}

pub(crate) async fn challenges_after(State(desk): Shared, Path(receipt): Path<String>) -> Result<Response, Answer> {
    let after = digest(&receipt)?;
    let challenges = asked(&desk, move |node| node.challenges_after(Some(after), CHALLENGES_A_PAGE)).await?;
    Ok(nouns(&challenges))
}

pub(crate) async fn models(State(desk): Shared) -> Response {
    nouns(&desk.node.ledger().models_after(None, MODELS_A_PAGE))
}

pub(crate) async fn models_after(State(desk): Shared, Path(root): Path<String>) -> Result<Response, Answer> {
    let after = digest(&root)?;
    Ok(nouns(&desk.node.ledger().models_after(Some(after), MODELS_A_PAGE)))
}

/// Every allocation of the genesis, in the order of their beneficiaries: a genesis has 256 at most.
pub(crate) async fn allocations(State(desk): Shared) -> Response {
    let rows: Vec<_> = desk.node.ledger().allocations().cloned().collect();
    nouns(&rows)
}

/// What a gateway owes and has paid: nothing yet where it never charged.
pub(crate) async fn dues(State(desk): Shared, Path(id): Path<String>) -> Result<Noun<DuesRecord>, Answer> {
    Ok(Noun(desk.node.ledger().dues(&digest(&id)?)))
}

/// How far it may owe, and how far it does.
pub(crate) async fn credit(State(desk): Shared, Path(id): Path<String>) -> Result<Noun<GatewayCredit>, Answer> {
    let id = digest(&id)?;
    Ok(Noun(asked(&desk, move |node| node.credit(&id)).await?))
}

/// Those whom it owes.
pub(crate) async fn shares(State(desk): Shared, Path(id): Path<String>) -> Result<Response, Answer> {
    shares_behind(&desk, &id, None)
}

pub(crate) async fn shares_after(
    State(desk): Shared,
    Path((id, payee)): Path<(String, String)>,
) -> Result<Response, Answer> {
    shares_behind(&desk, &id, Some(named_address(&payee)?))
}

/// What gateways owe an account: as many rows as there are gateways, at most.
pub(crate) async fn owed(State(desk): Shared, Path(account): Path<String>) -> Result<Response, Answer> {
    Ok(nouns(&desk.node.ledger().owed_to(&named_address(&account)?)))
}

fn shares_behind(desk: &Desk, id: &str, after: Option<EvmAddress>) -> Result<Response, Answer> {
    Ok(nouns(&desk.node.ledger().shares(&digest(id)?, after, SHARES_A_PAGE)))
}
