//! `GET /v1/models` and `GET /v1/models/{name}`.

use std::sync::Arc;

use api::{Dialect, ModelCard};
use network::axum::{
    extract::{Path, State},
    response::Response,
};
use payments::price::Price;
use protocol::ModelRecord;
use serde::Serialize;

use crate::{
    directory::View,
    http::{answered, refusal},
    shared::Shared,
};

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Listed>,
}

/// A model as it is known here.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    card: ModelCard,
    /// Whether its name means it: of several models of one name, the one that was published first. Each is called by its root too.
    named: bool,
    /// Whether a worker that may act serves it now.
    served: bool,
    /// Whether its publisher offers it no more, as far as that is read here.
    retired: bool,
    /// Tokens of prompt and answer together: as many as can be judged on this network and a worker takes, and as many as the model was made
    /// for. Absent where no worker has told it.
    context: Option<u64>,
    own_context: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// What it costs here; absent where it costs nothing.
    price: Option<Asked>,
}

/// Said of a model whose context is cut here.
const SHORT: &str = "its longest texts cannot be judged on this network, or have no room at its workers; a network with a longer challenge window judges longer ones (og devnet --challenge-window)";

/// A price in base units of OPG, or in billionths of a billionth of a dollar.
#[derive(Serialize)]
struct Asked {
    unit: &'static str,
    per_call: String,
    per_input_token: String,
    per_output_token: String,
}

impl Listed {
    fn new(shared: &Shared, view: &View, model: &ModelRecord) -> Self {
        let desk = shared.desk.as_deref();
        let length = shared.contexts.of(&model.root);
        let price = desk.map(|desk| desk.price(&model.root, &model.name)).filter(|price| !price.is_free());
        Self {
            card: ModelCard::from(model),
            named: view.named(&model.name).is_some_and(|named| named.root == model.root),
            served: view.is_served(&model.root),
            retired: desk.is_some_and(|desk| desk.published.is_retired(&model.root)),
            context: length.map(|length| length.here),
            own_context: length.map(|length| length.own),
            hint: length.filter(|length| length.here < length.own).map(|_| SHORT),
            price: price.as_ref().map(Asked::from),
        }
    }
}

impl From<&Price> for Asked {
    fn from(price: &Price) -> Self {
        let [per_call, per_input_token, per_output_token] =
            [price.per_call, price.per_input_token, price.per_output_token].map(|amount| amount.to_string());
        Self { unit: price.unit.word(), per_call, per_input_token, per_output_token }
    }
}

pub async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let view = shared.directory.view();
    let data = view.models.iter().map(|model| Listed::new(&shared, &view, model)).collect();
    answered::json(&List { object: "list", data })
}

pub async fn show(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match shared.directory.resolve(&name) {
        Ok(model) => answered::json(&Listed::new(&shared, &shared.directory.view(), &model)),
        Err(error) => refusal::respond(&error, Dialect::OpenAi),
    }
}
