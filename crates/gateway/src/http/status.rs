//! `GET /status` for people and `GET /metrics` for Prometheus.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use network::axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use payments::{books::Converted, price::address, wire::Network};
use serde::Serialize;

use crate::{
    http::answered,
    metrics,
    payment::{Desk, lock},
    shared::Shared,
};

#[derive(Serialize)]
struct Status {
    role: &'static str,
    node: String,
    key: String,
    chain_id: u64,
    /// The ledger takes none of its receipts.
    jailed: bool,
    workers: usize,
    /// Of the workers; they answer nothing.
    jailed_workers: usize,
    models: usize,
    /// Since the validators answered last; null before the first answer.
    view_age_ms: Option<u64>,
    requests_in_flight: usize,
    receipts_waiting: usize,
    requests: u64,
    answers: u64,
    worker_lies: u64,
    /// What callers paid, one of each asset.
    paid: Vec<Paid>,
    /// Chains that they pay on.
    chains: Vec<Chain>,
}

/// How things stand on a chain that callers pay on.
#[derive(Serialize)]
struct Chain {
    network: String,
    /// It did not answer when it was asked last: its ways to pay are offered only where no other chain answers.
    away: bool,
    /// Too little is left for gas, or a unit of it costs too much: only channels are offered.
    short_of_gas: bool,
    /// Payments that wait for their settlement.
    payments_waiting: usize,
    /// Our transactions that wait for their blocks, or for enough that lie on those.
    transactions_under_way: usize,
}

/// What answers that are decided were charged in one asset, the same in OPG by the rates of then, what the gateway, which owes the OPG,
/// gained by the rate since (below zero: lost), in OPG too, and what was charged in that asset and never came. Base units.
#[derive(Serialize)]
struct Paid {
    network: String,
    asset: String,
    charged: String,
    opg: String,
    gained_opg: String,
    answers: u64,
    lost: String,
}

pub async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let (view, key) = (shared.directory.view(), shared.key.public_key());
    let age = view.seen_at.map(|at| at.elapsed().as_millis());
    answered::json(&Status {
        role: "gateway",
        node: protocol::registry::node_id(&key).to_string(),
        key: key.to_string(),
        chain_id: shared.chain_id,
        jailed: shared.directory.is_jailed(&key),
        workers: view.workers.len(),
        jailed_workers: view.workers.iter().filter(|worker| worker.jailed).count(),
        models: view.models.len(),
        view_age_ms: age.and_then(|age| u64::try_from(age).ok()),
        requests_in_flight: in_flight(&shared),
        receipts_waiting: shared.outbox.len(),
        requests: shared.metrics.requests.get(),
        answers: shared.metrics.answers.get(),
        worker_lies: shared.metrics.worker_lies.get(),
        paid: shared.desk.as_deref().map(paid).unwrap_or_default(),
        chains: chains(&shared),
    })
}

/// Of what was seen last: nobody's question walks through the books.
fn chains(shared: &Shared) -> Vec<Chain> {
    let cashiers = shared.desk.iter().flat_map(|desk| &desk.cashiers);
    let stands = cashiers.map(|cashier| Chain {
        network: cashier.config.network.to_string(),
        away: cashier.is_away(),
        short_of_gas: cashier.is_short_of_gas(),
        payments_waiting: cashier.waiting.load(Ordering::Relaxed),
        transactions_under_way: lock(&cashier.unmined).count(),
    });
    stands.collect()
}

fn paid(desk: &Desk) -> Vec<Paid> {
    let books = desk.till.books();
    let converted = books.converted().map(|sums| ((sums.network, sums.asset), (sums, 0)));
    let mut sums: BTreeMap<_, (Converted, u128)> = converted.collect();
    for (network, asset, lost, _) in books.lost() {
        let none = Converted { network, asset, amount: 0, opg: 0, count: 0 };
        sums.entry((network, asset)).or_insert((none, 0)).1 = lost;
    }
    let row = |(sums, lost): (Converted, u128)| Paid {
        network: Network(sums.network).to_string(),
        asset: address(&sums.asset).to_checksum(None),
        charged: sums.amount.to_string(),
        opg: sums.opg.to_string(),
        gained_opg: books.gained(&sums).to_string(),
        answers: sums.count,
        lost: lost.to_string(),
    };
    sums.into_values().map(row).collect()
}

pub async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let gauge = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let mut text = shared.metrics.text(&[
        ("requests_in_flight", gauge(in_flight(&shared))),
        ("receipts_waiting", gauge(shared.outbox.len())),
        ("workers_known", gauge(shared.directory.view().workers.len())),
    ]);
    let chains = chains(&shared);
    let mut each = |name, of: &dyn Fn(&Chain) -> u64| {
        let values = chains.iter().map(|chain| (chain.network.as_str(), of(chain)));
        metrics::write_each(name, "network", values, &mut text);
    };
    each("chain_away", &|chain| chain.away.into());
    each("chain_short_of_gas", &|chain| chain.short_of_gas.into());
    each("chain_payments_waiting", &|chain| gauge(chain.payments_waiting));
    each("chain_transactions_under_way", &|chain| gauge(chain.transactions_under_way));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

fn in_flight(shared: &Shared) -> usize {
    shared.pace.requests_max.saturating_sub(shared.places.available_permits())
}
