//! What accounts of the EVM are, provably, as of the newest certified epoch (`specs/account-proof.md`).

use std::sync::Arc;

use network::{
    Noun, Refusal as Answer,
    axum::extract::{Path, Query, State},
};
use protocol::{AccountProof, EvmAddress, EvmWord};

use crate::{
    desk::{Desk, Reader, Shared, named_address, named_slot, not_certified, not_proven},
    questions::asked,
};

pub(crate) async fn account(
    State(desk): Shared,
    Path(address): Path<String>,
    Query(reader): Query<Reader>,
) -> Result<Noun<AccountProof>, Answer> {
    prove(&desk, named_address(&address)?, None, &reader).await
}

pub(crate) async fn slot(
    State(desk): Shared,
    Path((address, slot)): Path<(String, String)>,
    Query(reader): Query<Reader>,
) -> Result<Noun<AccountProof>, Answer> {
    prove(&desk, named_address(&address)?, Some(named_slot(&slot)?), &reader).await
}

async fn prove(
    desk: &Arc<Desk>,
    address: EvmAddress,
    slot: Option<EvmWord>,
    reader: &Reader,
) -> Result<Noun<AccountProof>, Answer> {
    let pinned = reader.key()?;
    let proven = asked(desk, move |node| node.account_proof(&address, slot.as_ref(), pinned.as_ref())).await?;
    proven.ok_or_else(not_certified)?.map(Noun).map_err(|error| not_proven(&error))
}
