//! `POST /v1/chat/completions`.

use std::{sync::Arc, time::Instant};

use api::{ApiError, ChatCompletion, ChatCompletionRequest, StopText};
use network::axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use protocol::{Chat, Input};

use crate::{
    delivery::Delivery,
    http::{answered, body, counted, stream},
    prepare::Wish,
    shared::{Shared, fresh},
};

pub async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    counted(&shared, |started_at| serve(&shared, &headers, body, started_at)).await
}

async fn serve(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Body,
    started_at: Instant,
) -> Result<Response, ApiError> {
    let body = body::read(headers, body, shared.pace.body_wait).await?;
    let place = shared.admit()?;
    let mut wish = ChatCompletionRequest::parse(&body)?;
    wish.terms = wish.terms.with_assurance_header(answered::assurance_wish(headers))?;
    let model = shared.directory.resolve(&wish.model)?;
    let parameters = wish.parameters(u64::from_be_bytes(fresh()?));
    let mut stop = StopText::new(wish.stop.iter().map(|stop| &stop[..]));
    let asked = Wish { model: model.root, input: Input::Chat(Chat::of(wish.messages)), parameters, terms: wish.terms };
    let request = asked.into_request(shared.circumstances()?)?;
    let head = stream::Head {
        id: format!("chatcmpl-{}", request.nonce.to_string().get(..32).unwrap_or_default()),
        created: request.issued_at_ms / 1_000,
        model: model.name[..].to_owned(),
        include_usage: wish.include_usage,
        include_opening: answered::wants_opening(headers),
    };
    let delivery = Delivery::new(Arc::clone(shared), request, wish.stream, started_at);
    if wish.stream {
        return stream::respond(shared, delivery, head, stop, place).await;
    }
    let mut delivered = delivery.whole().await?;
    let (all, finish) = (std::mem::take(&mut delivered.text), delivered.finish);
    let text = stop.push(&all) + &stop.finish();
    let answer = answered::answered(delivered, head.include_opening);
    let completion = ChatCompletion::new(&head.id, head.created, &head.model, text, finish, &answer);
    Ok(answered::respond(&completion, &answer))
}
