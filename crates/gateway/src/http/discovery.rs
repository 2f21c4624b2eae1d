//! `GET /discovery/resources`: every endpoint of every model with its price, so that an agent finds them without being told.

use std::sync::Arc;

use api::{ENDPOINTS, Gives};
use network::{
    axum::{
        extract::{Query, State},
        http::HeaderMap,
        response::Response,
    },
    now_ms,
};
use payments::price::per_mille;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
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
    let mut found = shared.desk.as_ref().map(|desk| all(&shared, desk, &headers)).unwrap_or_default();
    found.extend(shared.booth.iter().flat_map(|booth| booth.listed()));
    self::page(found, &page)
}

/// One page of everything that was found.
pub fn page(all: Vec<Value>, page: &Page) -> Response {
    let (limit, offset) = (page.limit.unwrap_or(LIMIT_MAX).min(LIMIT_MAX), page.offset.unwrap_or(0));
    let total = all.len();
    let items: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
    answered::json(&json!({
        "x402Version": payments::wire::VERSION,
        "items": items,
        "pagination": { "limit": limit, "offset": offset, "total": total },
    }))
}

fn all(shared: &Shared, desk: &Arc<Desk>, headers: &HeaderMap) -> Vec<Value> {
    let view = shared.directory.view();
    let priced = view.models.iter().filter(|model| !desk.price(&model.root, &model.name).is_free());
    let rows = priced.flat_map(|model| {
        let answering = ENDPOINTS.iter().filter(|endpoint| endpoint.gives == Gives::Answers);
        answering.filter_map(|endpoint| {
            let billed = bill::least(headers, endpoint, model);
            let required = desk.required(&billed.as_bill(), None).ok()?.to_json();
            let price = desk.price(&model.root, &model.name);
            let levels: Vec<Value> = api::offered(model.kind)
                .map(|level| json!({ "level": level.word(), "perMille": per_mille(level) }))
                .collect();
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
        })
    });
    rows.collect()
}
