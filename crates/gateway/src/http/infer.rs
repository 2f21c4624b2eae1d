//! `POST /v1/infer`.

use std::{sync::Arc, time::Instant};

use api::{ApiError, InferAnswer, InferRequest};
use network::axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use protocol::{Input, Output};

use crate::{
    delivery::Delivery,
    http::{answered, body, counted},
    prepare::Wish,
    shared::Shared,
};

pub async fn infer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    counted(&shared, |started_at| serve(&shared, &headers, body, started_at)).await
}

async fn serve(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Body,
    started_at: Instant,
) -> Result<Response, ApiError> {
    let body = body::read(headers, body, shared.pace.body_wait).await?;
    let _place = shared.admit()?;
    let mut wish = InferRequest::parse(&body)?;
    wish.terms = wish.terms.with_assurance_header(answered::assurance_wish(headers))?;
    let model = shared.directory.resolve(&wish.model)?;
    let parameters = wish.parameters();
    let asked = Wish { model: model.root, input: Input::Tensors(wish.inputs), parameters, terms: wish.terms };
    let request = asked.into_request(shared.circumstances()?)?;
    let delivered = Delivery::new(Arc::clone(shared), request, false, started_at).whole().await?;
    let answer = answered::answered(delivered, answered::wants_opening(headers));
    let outputs = match &answer.opening.output {
        Output::Tensors(tensors) => &tensors[..],
        // The checks let no tokens through where tensors were asked for.
        Output::Tokens(_) | Output::Scored(_) => &[],
    };
    Ok(answered::respond(&InferAnswer { model: &model.name, outputs, og: (&answer).into() }, &answer))
}
