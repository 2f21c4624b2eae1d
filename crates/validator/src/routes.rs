//! The validator's interface (`specs/interfaces.md`): takes transactions, answers what the ledger holds.

use std::{sync::Arc, time::Duration};

use api::face::Face;
use blocks::NativeOutcome;
use crypto::{digest::hex, threshold::GroupSignature};
use ledger::BundleError;
use network::{
    Bytes, Encoded, Noun, Refusal as Answer,
    axum::{
        Json, Router,
        extract::{Path, Query, Request, State},
        http::StatusCode,
        middleware::{self, Next},
        response::{IntoResponse as _, Response},
        routing::{get, post},
    },
    holding, nouns,
};
use protocol::{
    Certificate, Digest, EpochRecord, KeyRecord, List, NodeRecord, Noun as _, PublicKey, ShortBundle, Trust,
    registry::node_id,
    service::{CertifiedEpoch, ReceiptView},
    transaction::BATCH_MAX,
};
use serde_json::{Value, json};
use storage::StoreError;

use crate::{
    beginning,
    desk::{ASK_ANOTHER, Desk, Reader, Shared, address, behind, digest, not_certified},
    node::{Node, SubmitError},
    pages,
    pool::PoolRefusal,
    proofs,
    questions::{Whereabouts, asked},
    settlements,
};

/// How often, and how many times, a certificate is looked for that another validator is asked for.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: u32 = 20;

pub(crate) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/transactions", post(submit))
        .route("/transactions/{id}", get(transaction))
        .route("/trust", get(trust))
        .route("/genesis", get(genesis))
        .route("/epochs/latest", get(latest_epoch))
        .route("/epochs/{epoch}", get(epoch))
        .route("/epochs/{epoch}/receipts", get(epoch_receipts))
        .route("/receipts", post(anchored))
        .route("/receipts/{id}", get(receipt))
        .route("/receipts/{id}/bundle", get(bundle))
        .route("/snapshots", get(beginning::snapshots))
        .route("/snapshots/{epoch}/chunks/{chunk}", get(beginning::chunk))
        .route("/snapshots/{epoch}/pages/{name}", get(beginning::pages))
        .route("/snapshots/{epoch}/codes/{hash}", get(beginning::code))
        .route("/snapshots/{epoch}/rows/{name}", get(beginning::rows))
        .route("/snapshots/{epoch}/groups/{group}", get(beginning::group))
        .route("/snapshots/{epoch}/pieces/{key}", get(beginning::pieces))
        .route("/snapshots/{height}/block", get(snapshot_block))
        .route("/floor/{height}", get(floor))
        .route("/challenges", get(pages::challenges))
        .route("/challenges/after/{receipt}", get(pages::challenges_after))
        .route("/nodes", get(nodes_list))
        .route("/nodes/{id}", get(node))
        .route("/models", get(pages::models))
        .route("/models/after/{root}", get(pages::models_after))
        .route("/keys/{key}", get(key))
        .route("/accounts/{key}", get(account))
        .route("/allocations", get(pages::allocations))
        .route("/proofs/{address}", get(proofs::account))
        .route("/proofs/{address}/{slot}", get(proofs::slot))
        .route("/bridge", get(settlements::bridge))
        .route("/settlements/{number}", get(settlements::settlement))
        .route("/settlements/{number}/payouts/{index}", get(settlements::payout))
        .route("/rotations", get(settlements::rotations))
        .route("/payouts/{account}/{from}", get(settlements::payouts))
        .route("/dues/{gateway}", get(pages::dues))
        .route("/dues/{gateway}/credit", get(pages::credit))
        .route("/dues/{gateway}/shares", get(pages::shares))
        .route("/dues/{gateway}/shares/after/{payee}", get(pages::shares_after))
        .route("/owed/{account}", get(pages::owed))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), while_running))
        // These tell that agreement has ended.
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), while_readable))
        .with_state(desk)
}

/// Where execution could not read its state, nothing is answered from then on.
async fn while_readable(State(desk): Shared, request: Request, next: Next) -> Response {
    let answer = next.run(request).await;
    desk.unreadable().map_or(answer, Answer::into_response)
}

/// Where agreement has ended nothing is answered, and nothing taken: it would be what was, and wait for ever.
async fn while_running(State(desk): Shared, request: Request, next: Next) -> Response {
    match desk.ended() {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// Answers once no crash loses it: also that it is known already, which whoever sends again takes for a yes.
async fn submit(State(desk): Shared, Encoded(bytes): Encoded) -> Result<(StatusCode, Json<Value>), Answer> {
    let bytes: Vec<u8> = bytes.into();
    let taken = desk.node.submit_bytes(bytes.clone());
    if matches!(taken, Ok(_) | Err(SubmitError::Pool(PoolRefusal::AlreadyKnown)))
        && let Some(durable) = desk.node.keep(&bytes).map_err(|error| refusal(&error))?
    {
        let failed = |error: StoreError| Answer::unavailable("disk_failed", error.to_string()).with_hint(ASK_ANOTHER);
        durable.wait().await.map_err(failed)?;
    }
    let id = taken.map_err(|error| refusal(&error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id.to_string() }))))
}

fn refusal(error: &SubmitError) -> Answer {
    let (status, code) = match error {
        SubmitError::Ledger(ledger::Refusal::Malformed(error)) => return Answer::bad_encoding(error),
        SubmitError::Ledger(ledger::Refusal::NonceTooLow { .. }) => (StatusCode::CONFLICT, "nonce_too_low"),
        SubmitError::Ledger(ledger::Refusal::NonceTooHigh { .. })
        | SubmitError::Pool(PoolRefusal::NonceTaken { .. }) => (StatusCode::CONFLICT, "nonce_too_high"),
        SubmitError::Ledger(_) => (StatusCode::BAD_REQUEST, "bad_transaction"),
        SubmitError::Pool(PoolRefusal::AlreadyKnown) => (StatusCode::CONFLICT, "already_known"),
        SubmitError::Pool(PoolRefusal::SenderFull | PoolRefusal::Full) => {
            (StatusCode::TOO_MANY_REQUESTS, "mempool_full")
        }
        SubmitError::DiskBehind => (StatusCode::SERVICE_UNAVAILABLE, "disk_behind"),
    };
    Answer::new(status, code, error.to_string())
}

/// Where a native transaction is. What a block refused without using its nonce up is where it was.
async fn transaction(State(desk): Shared, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    let id = digest(&id)?;
    let found = asked(&desk, move |node| node.whereabouts(&id)).await?;
    Ok(Json(match found.ok_or_else(|| unknown_transaction(&id))? {
        Whereabouts::Waiting => json!({ "state": "waiting" }),
        Whereabouts::Ended(NativeOutcome { block, refusal: None }) => json!({ "state": "executed", "height": block }),
        Whereabouts::Ended(NativeOutcome { block, refusal: Some(reason) }) => {
            json!({ "state": "refused", "height": block, "reason": reason })
        }
    }))
}

async fn status(State(desk): Shared) -> Result<Json<Value>, Answer> {
    let certified = desk.node.newest_certificate().map(|certificate| certificate.epoch);
    let burned = asked(&desk, Node::burned).await?;
    let key = desk.node.key().public_key();
    let (node, ledger) = (node_id(&key), desk.node.ledger());
    Ok(Json(json!({
        "role": "validator",
        "node": node.to_string(),
        "key": key.to_string(),
        "chain_id": ledger.chain_id(),
        "height": ledger.height(),
        "epoch": ledger.open_epoch(),
        "certified_epoch": certified,
        "pending": desk.node.pending(),
        "running": desk.agreement.is_running(),
        // On how many it sits in agreement's present term; on none, it follows.
        "seats": ledger.network().seats.iter().filter(|seat| seat.node == node).count(),
        "misbehaviours": desk.node.misbehaviours(),
        "finality_ms_p50": desk.node.finality_ms_p50(),
        "burned": burned.to_string(),
    })))
}

/// Agreement's own, what of the chain is in memory and on its way to the disk, and what judging came to.
async fn metrics(State(desk): Shared) -> String {
    let (view, mut text) = (desk.node.ethereum.view(), desk.agreement.metrics());
    let (held, head) = {
        let live = view.live();
        (live.held(), live.head())
    };
    let waiting = view.index().map_or(0, |index| index.store().waiting_bytes());
    let gauges = [
        ("og_states", held.states),
        ("og_state_bytes", held.state_bytes),
        ("og_bodies", held.bodies),
        ("og_body_bytes", held.body_bytes),
        ("og_pending", desk.node.pending()),
        ("og_disk_waiting_bytes", waiting),
    ];
    let heights = [("og_blocks_newest", head), ("og_blocks_oldest", view.oldest())];
    let gauges = gauges.map(|(name, value)| (name, value as u64));
    let tally = desk.judges.tally();
    let judging = [
        ("og_judged", tally.judged),
        ("og_judges_too_slow", tally.too_slow),
        ("og_judges_ended", tally.ended),
        ("og_judgements_given_up", tally.given_up),
        ("og_judgements_short", tally.short),
        ("og_judges_work_rate", tally.work_rate),
    ];
    for (name, value) in gauges.into_iter().chain(heights).chain(judging) {
        text.push_str(&format!("# TYPE {name} gauge\n{name} {value}\n"));
    }
    text
}

/// The newest key that has certified an epoch: who pins it now need not follow from the first.
async fn trust(State(desk): Shared) -> Result<Json<Face>, Answer> {
    let (newest, here) = (newest(&desk).await?, Arc::clone(&desk));
    let signed = asked(&desk, move |_| {
        let Some(CertifiedEpoch { record, certificate: Some(certificate) }) = newest else { return Ok(None) };
        Ok(here.network_keys().certifies(&certificate, &record).copied())
    });
    let network_key = signed.await?.unwrap_or(desk.trust.network_key);
    Ok(Json(Face::of(&Trust { network_key, ..desk.trust.clone() })))
}

/// What the network began with. Who joins knows its digest from the network file, and believes nobody about it.
async fn genesis(State(desk): Shared) -> Bytes {
    desk.genesis.clone()
}

/// The newest certified epoch, if there is one.
async fn newest(desk: &Arc<Desk>) -> Result<Option<CertifiedEpoch>, Answer> {
    let Some(certificate) = desk.node.newest_certificate() else { return Ok(None) };
    let epoch = certificate.epoch;
    let found = asked(desk, move |node| node.epoch(epoch)).await?;
    Ok(found.map(|found| CertifiedEpoch { certificate: Some(certificate), ..found }))
}

async fn latest_epoch(State(desk): Shared) -> Result<Noun<CertifiedEpoch>, Answer> {
    newest(&desk).await?.map(Noun).ok_or_else(not_certified)
}

async fn epoch(State(desk): Shared, Path(epoch): Path<u64>) -> Result<Noun<CertifiedEpoch>, Answer> {
    let found = asked(&desk, move |node| node.epoch(epoch)).await?;
    let found = found.ok_or_else(|| Answer::not_found("unknown_epoch", format!("epoch {epoch} is not closed")))?;
    Ok(Noun(CertifiedEpoch { certificate: certificate(&desk, &found.record).await?, ..found }))
}

/// The certificate that is here, or that another validator has, where the epoch was closed before this one's time.
async fn certificate(desk: &Arc<Desk>, record: &EpochRecord) -> Result<Option<Certificate>, Answer> {
    let (epoch, height) = (record.epoch, record.last_height);
    if let Some(certificate) = kept(desk, epoch).await {
        return Ok(Some(certificate));
    }
    // Those that are newer than the newest come by themselves.
    let is_old = desk.node.newest_certificate().is_some_and(|newest| epoch < newest.epoch);
    let Some(_place) = desk.asking.try_acquire().ok().filter(|_| is_old) else { return Ok(None) };
    let here = Arc::clone(desk);
    let keys = asked(desk, move |_| Ok(here.keys_around(height))).await?;
    if !desk.agreement.ask_certificate(epoch, record.digest().0, keys).await {
        return Ok(None);
    }
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        if let Some(certificate) = kept(desk, epoch).await {
            return Ok(Some(certificate));
        }
    }
    Ok(None)
}

/// The certificate at hand, or from agreement's own store.
async fn kept(desk: &Desk, epoch: u64) -> Option<Certificate> {
    if let Some(certificate) = desk.node.certificate(epoch) {
        return Some(certificate);
    }
    let stored = desk.agreement.certificate(epoch).await?;
    Some(Certificate { epoch, signature: GroupSignature(stored.signature) })
}

async fn epoch_receipts(State(desk): Shared, Path(epoch): Path<u64>) -> Result<Response, Answer> {
    // An epoch has no bound of its own: so many of them are in memory for strangers, and no more.
    let place = desk.place()?;
    let receipts = asked(&desk, move |node| Ok(node.epoch_receipts(epoch)?.map(|receipts| nouns(&receipts)))).await?;
    let receipts = receipts.ok_or_else(|| Answer::not_found("unknown_epoch", format!("there is no epoch {epoch}")))?;
    Ok(holding(receipts, place))
}

async fn receipt(State(desk): Shared, Path(id): Path<String>) -> Result<Noun<ReceiptView>, Answer> {
    let id = digest(&id)?;
    let view = asked(&desk, move |node| node.receipt_view(&id)).await?;
    view.map(Noun).ok_or_else(|| unknown_receipt(&id))
}

/// Of these receipts, the ids of those that are anchored.
async fn anchored(State(desk): Shared, Noun(ids): Noun<List<Digest, BATCH_MAX>>) -> Result<Response, Answer> {
    let known = asked(&desk, move |node| node.anchored(&ids)).await?;
    Ok(nouns(&known))
}

async fn bundle(
    State(desk): Shared,
    Path(id): Path<String>,
    Query(reader): Query<Reader>,
) -> Result<Noun<ShortBundle>, Answer> {
    let (id, pinned) = (digest(&id)?, reader.key()?);
    let bundled = asked(&desk, move |node| node.bundle(&id, pinned.as_ref())).await?;
    bundled.ok_or_else(not_certified)?.map(Noun).map_err(|error| not_bundled(&id, &error))
}

fn not_bundled(id: &Digest, error: &BundleError) -> Answer {
    match error {
        BundleError::UnknownReceipt => unknown_receipt(id),
        BundleError::TooOld { as_of } => behind(*as_of),
        other => Answer::new(StatusCode::CONFLICT, "not_certified_yet", other.to_string())
            .with_hint("epochs are certified about every second")
            .with_retry_after_s(1),
    }
}

/// The EVM's block that a snapshot ends with, as the index keeps it.
async fn snapshot_block(State(desk): Shared, Path(height): Path<u64>) -> Result<network::axum::body::Bytes, Answer> {
    let body = desk.node.ethereum.view().index().and_then(|index| index.body(height).ok().flatten());
    body.map(Into::into).ok_or_else(|| Answer::not_found("unknown_block", format!("block {height} is not kept here")))
}

/// What finalized the newest block up to this height, as agreement keeps it.
async fn floor(State(desk): Shared, Path(height): Path<u64>) -> Result<network::axum::body::Bytes, Answer> {
    let floor = desk.agreement.floor(height).await;
    floor.map(Into::into).ok_or_else(|| Answer::not_found("unknown_block", format!("block {height} is not kept here")))
}

async fn nodes_list(State(desk): Shared) -> Result<Response, Answer> {
    Ok(nouns(&asked(&desk, Node::nodes).await?))
}

async fn node(State(desk): Shared, Path(id): Path<String>) -> Result<Noun<NodeRecord>, Answer> {
    let id = digest(&id)?;
    let found = asked(&desk, move |node| node.node(&id)).await?;
    found.map(Noun).ok_or_else(|| Answer::not_found("unknown_node", format!("no node has the id {id}")))
}

async fn key(State(desk): Shared, Path(text): Path<String>) -> Result<Noun<KeyRecord>, Answer> {
    let key = public_key(&text)?;
    let found = desk.node.ledger().key(&key).cloned();
    found.map(Noun).ok_or_else(|| Answer::not_found("unknown_key", format!("key {key} is not registered")))
}

/// By a public key, or by an address; both with the balance, each with the nonce of its own kind of transactions; a key with the nonce up
/// to which all are executed, and in which block that was.
async fn account(State(desk): Shared, Path(text): Path<String>) -> Result<Json<Value>, Answer> {
    if let Some(address) = address(&text) {
        let balance = asked(&desk, move |node| node.balance(&address)).await?;
        let nonce = desk.node.ethereum.next_nonce(&address);
        return Ok(Json(json!({ "balance": balance.to_string(), "nonce": nonce, "address": text })));
    }
    let key = public_key(&text)?;
    let address = ledger::address_of(&key);
    let balance = asked(&desk, move |node| node.balance(&address)).await?;
    let (executed, height) = {
        let ledger = desk.node.ledger();
        (ledger.nonce(&key), ledger.height())
    };
    Ok(Json(json!({
        "balance": balance.to_string(),
        "nonce": desk.node.next_nonce(&key),
        "executed": executed,
        "height": height,
        "address": format!("0x{}", hex(&address.0)),
    })))
}

fn public_key(text: &str) -> Result<PublicKey, Answer> {
    PublicKey::from_hex(text)
        .ok_or_else(|| Answer::bad_request("bad_key", "a key is 64 hexadecimal digits, an address 40 behind 0x"))
}

fn unknown_transaction(id: &Digest) -> Answer {
    Answer::not_found("unknown_transaction", format!("{id} neither waits here nor is in a block that is kept here"))
        .with_hint("another validator may have it; a wallet's is asked for by eth_getTransactionReceipt")
}

fn unknown_receipt(id: &Digest) -> Answer {
    Answer::not_found("unknown_receipt", format!("receipt {id} is not anchored"))
        .with_hint("a fresh receipt is anchored within a second")
}

#[cfg(test)]
mod tests {
    use protocol::DecodeError;

    use super::*;

    #[test]
    fn bytes_that_are_no_transaction_are_answered_like_any_other_body_that_cannot_be_read() {
        let malformed = ledger::Refusal::Malformed(DecodeError::Trailing { count: 1 });
        let answer = refusal(&malformed.into());
        assert_eq!((answer.status, answer.code), (StatusCode::BAD_REQUEST, "bad_encoding"));
        let answer = refusal(&ledger::Refusal::BadSignature.into());
        assert_eq!((answer.status, answer.code), (StatusCode::BAD_REQUEST, "bad_transaction"));
        let answer = refusal(&SubmitError::DiskBehind);
        assert_eq!((answer.status, answer.code), (StatusCode::SERVICE_UNAVAILABLE, "disk_behind"));
    }

    #[test]
    fn a_certificate_that_is_too_old_sends_to_another_validator_and_one_that_is_too_early_to_a_moment_later() {
        let told = |error: BundleError| {
            let answer = not_bundled(&Digest::ZERO, &error);
            (answer.status, answer.code)
        };
        assert_eq!(told(BundleError::TooOld { as_of: 7 }), (StatusCode::SERVICE_UNAVAILABLE, "certificates_behind"));
        let early = BundleError::NotCovered { anchored: 8, as_of: 7 };
        assert_eq!(told(early), (StatusCode::CONFLICT, "not_certified_yet"));
        assert_eq!(told(BundleError::UnknownReceipt), (StatusCode::NOT_FOUND, "unknown_receipt"));
    }
}
