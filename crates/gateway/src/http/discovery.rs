//! `GET /discovery/resources`: every endpoint of every model with its price, so that an agent finds them without being told.

use std::sync::Arc;

use api::{ENDPOINTS, Endpoint, Gives};
use network::{
    axum::{
        extract::{Query, State},
        http::HeaderMap,
        response::Response,
    },
    now_ms,
};
use payments::{
    facilitator::{Listed, listing},
    price::per_mille,
};
use protocol::ModelRecord;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    directory::View,
    http::{answered, bill},
    payment::Desk,
    shared::Shared,
};

/// Resources of one page.
const LIMIT_MAX: usize = 100;

/// Which page.
#[derive(Deserialize)]
pub struct Page {
    limit: Option<usize>,
    offset: Option<usize>,
}

pub async fn resources(State(shared): State<Arc<Shared>>, headers: HeaderMap, Query(page): Query<Page>) -> Response {
    let view = shared.directory.view();
    let own = shared.desk.as_ref().map(|desk| priced(&view, desk)).unwrap_or_default();
    let write = |(model, endpoint): &Priced<'_>| row(shared.desk.as_ref()?, &headers, model, endpoint);
    let listed = |first, count| shared.booth.as_ref().map(|booth| booth.listed(first, count)).unwrap_or_default();
    paged(&own, write, listed, &page)
}

/// One page of what was listed: `listed` tells so many entries from one on, and how many there are.
pub fn page(listed: impl FnOnce(usize, usize) -> (Vec<Listed>, usize), page: &Page) -> Response {
    paged::<()>(&[], |()| None, listed, page)
}

/// One page of everything that was found; only what is on it is read and written out.
fn paged<T>(
    own: &[T],
    write: impl Fn(&T) -> Option<Value>,
    listed: impl FnOnce(usize, usize) -> (Vec<Listed>, usize),
    page: &Page,
) -> Response {
    let (limit, offset) = (page.limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX), page.offset.unwrap_or(0));
    let shown = own.iter().skip(offset).take(limit);
    // What cannot be priced at the moment leaves its place empty.
    let places = shown.len();
    let mut items: Vec<Value> = shown.filter_map(write).collect();
    let (listed, count) = listed(offset.saturating_sub(own.len()), limit.saturating_sub(places));
    items.extend(listed.iter().map(listing));
    answered::json(&json!({
        "x402Version": payments::wire::VERSION,
        "items": items,
        "pagination": { "limit": limit, "offset": offset, "total": own.len().saturating_add(count) },
    }))
}

/// A model with a price, and an endpoint that answers from models.
type Priced<'a> = (&'a ModelRecord, &'static Endpoint);

fn priced<'a>(view: &'a View, desk: &Desk) -> Vec<Priced<'a>> {
    let is_priced = |model: &&ModelRecord| {
        !desk.published.is_retired(&model.root) && !desk.price(&model.root, &model.name).is_free()
    };
    let priced = view.models.iter().filter(is_priced);
    let answering = || ENDPOINTS.iter().filter(|endpoint| endpoint.gives == Gives::Answers);
    priced.flat_map(|model| answering().map(move |endpoint| (model, endpoint))).collect()
}

fn row(desk: &Desk, headers: &HeaderMap, model: &ModelRecord, endpoint: &'static Endpoint) -> Option<Value> {
    let price = desk.price(&model.root, &model.name);
    let billed = bill::least(desk, headers, endpoint, (model, price));
    let required = desk.required(&billed.as_bill(), None).ok()?.to_json();
    let levels: Vec<Value> =
        api::offered(model.kind).map(|level| json!({ "level": level.word(), "perMille": per_mille(level) })).collect();
    Some(json!({
        "resource": required["resource"]["url"],
        "type": "http",
        "x402Version": payments::wire::VERSION,
        "accepts": required["accepts"],
        "lastUpdated": now_ms() / 1_000,
        "metadata": {
            "method": "POST",
            "model": &model.name[..],
            "modelRoot": model.root.to_string(),
            // What better assurance costs, in thousandths of the prices below.
            "assurance": levels,
            "unit": match price.unit {
                payments::price::Unit::Opg => "1e-18 OPG",
                payments::price::Unit::Usd => "1e-18 USD",
            },
            "perCall": price.per_call.to_string(),
            "perInputToken": price.per_input_token.to_string(),
            "perOutputToken": price.per_output_token.to_string(),
        },
    }))
}
