//! What is paid for: a request's address, digest, model, and the most that it can use.

use std::sync::Arc;

use api::{ApiError, Code, Endpoint};
use network::{
    Bytes,
    axum::{
        http::{HeaderMap, header},
        response::Response,
    },
};
use payments::price::{Price, Usage};
use protocol::{Assurance, Digest, EvmAddress, Input, ModelRecord, Prompt, Request};

use crate::{
    counting::own_trouble,
    http::refusal,
    payment::{Bill, Brought, Desk},
    places::Purpose,
    question::{self, Count, Tokens},
    seats::Seats,
    shared::Shared,
    vocabulary::Words,
};

/// Tokens that a template may put around a conversation whose tokens cannot be counted here.
const TEMPLATE_TOKENS: u64 = 64;

/// A bill's parts.
pub struct Billed {
    url: String,
    path: &'static str,
    request: Digest,
    body: Bytes,
    model: Digest,
    model_name: String,
    publisher: EvmAddress,
    price: Price,
    level: Assurance,
    most: Vec<Usage>,
}

impl Billed {
    pub fn as_bill(&self) -> Bill<'_> {
        Bill {
            url: &self.url,
            path: self.path,
            request: self.request,
            body: &self.body,
            model: self.model,
            model_name: &self.model_name,
            publisher: self.publisher,
            price: self.price,
            level: self.level,
            most: &self.most,
        }
    }
}

/// Where calls have a price, a call that brings no payment only asks for it, and what may not well be one is none. `least` is what a call
/// costs at least.
pub fn purpose(desk: &Desk, brought: &Brought, headers: &HeaderMap, least: &Billed) -> Purpose {
    if desk.brings_payment(brought, headers, &least.as_bill()) { Purpose::Call } else { Purpose::Count }
}

/// Exactly the tokens of each request's input, where the model's vocabulary is at hand and its template takes it; what only a model can
/// count, in processes of its own and once for each input. `purpose` is asked for where anything has to be.
pub async fn counted(
    shared: &Shared,
    root: &Digest,
    requests: &[Request],
    words: Option<&Arc<Words>>,
    purpose: impl FnOnce() -> Purpose,
) -> Result<Vec<Option<Tokens>>, ApiError> {
    let (mut places, mut questions) = (Vec::with_capacity(requests.len()), Vec::new());
    let mut before: Option<(&Input, Place)> = None;
    for Request { input, template_time_ms, .. } in requests {
        // Several answers to one input stand side by side.
        let place = match (before, plain(input)) {
            (Some((same, place)), _) if same == input => place,
            (_, Some(tokens)) => Place::Known(tokens),
            (_, None) => {
                let is_first = questions.is_empty();
                questions.push(question::ask(input, *template_time_ms, is_first));
                Place::Asked(questions.len().saturating_sub(1))
            }
        };
        before = Some((input, place));
        places.push(place);
    }
    let counts = match words.filter(|_| !questions.is_empty()) {
        Some(words) => {
            let counts = shared.counting.count(root, &words.head, purpose(), questions).await;
            counts.map_err(|uncounted| uncounted.told())?
        }
        None => Vec::new(),
    };
    places.into_iter().map(|place| place.tokens(&counts)).collect()
}

/// Where the tokens of an input are found.
#[derive(Clone, Copy)]
enum Place {
    Known(Tokens),
    /// At this place of what the model was asked.
    Asked(usize),
}

impl Place {
    fn tokens(self, counts: &[Count]) -> Result<Option<Tokens>, ApiError> {
        match self {
            Self::Known(tokens) => Ok(Some(tokens)),
            Self::Asked(place) => match counts.get(place) {
                Some(Count::Tokens(tokens)) => Ok(Some(*tokens)),
                Some(Count::OwnTrouble(cause)) => Err(own_trouble(cause)),
                // The worker says so as well, and where nothing was asked there is nobody to count.
                Some(Count::Refused(_)) | None => Ok(None),
            },
        }
    }
}

/// The tokens of an input that anybody can count.
fn plain(input: &Input) -> Option<Tokens> {
    match input {
        Input::Tensors(_) => Some(Tokens::of_one(0)),
        Input::Prompt(Prompt::Tokens(tokens)) => Some(Tokens::of_one(tokens.len())),
        Input::Prompt(Prompt::Text(_)) | Input::Chat(_) | Input::Embed(_) => None,
    }
}

/// The most that each request can use, whose answer ends with the model's context at the latest. A prompt that leaves nothing of that is
/// refused before anybody pays for it.
pub fn most(requests: &[Request], counts: &[Option<Tokens>], context: Option<u64>) -> Result<Vec<Usage>, ApiError> {
    requests.iter().zip(counts).map(|(request, counted)| most_of(request, *counted, context)).collect()
}

fn most_of(request: &Request, counted: Option<Tokens>, context: Option<u64>) -> Result<Usage, ApiError> {
    let asked = u64::from(request.parameters.max_tokens);
    let input = counted.map_or_else(|| bounded(&request.input), |tokens| tokens.all);
    let Some(context) = context else { return Ok(Usage { input, output: asked }) };
    // What is only read may have all of the context; an answer is one token at least.
    let (param, answer) = match &request.input {
        Input::Tensors(_) => return Ok(Usage { input, output: asked }),
        Input::Embed(_) => ("input", 0),
        Input::Chat(_) => ("messages", 1),
        Input::Prompt(_) => ("prompt", 1),
    };
    let found = counted.map_or(answer, |tokens| tokens.longest);
    if found.saturating_add(answer) > context {
        let message = format!(
            "This model's maximum context length is {context} tokens. However, your {param} resulted in {found} tokens, \
             and an answer has {answer} at least."
        );
        let hint = format!("shorten '{param}'");
        return Err(ApiError::new(Code::ContextLengthExceeded, message).with_param(param).with_hint(hint));
    }
    let room = context.saturating_sub(found);
    Ok(Usage { input, output: if answer == 0 { asked } else { asked.min(room) } })
}

/// What a request is known by to whoever pays for it.
pub fn digest(endpoint: &Endpoint, body: &[u8]) -> Digest {
    crypto::hash("og/paid-request/v1", &[endpoint.path.as_bytes(), &[0], body])
}

pub fn bill(
    desk: &Desk,
    headers: &HeaderMap,
    endpoint: &Endpoint,
    (request, body): (Digest, Bytes),
    requests: &[Request],
    most: Vec<Usage>,
    (model, price): (&ModelRecord, Price),
) -> Billed {
    Billed {
        url: url(desk, headers, endpoint.path),
        path: endpoint.path,
        request,
        body,
        model: model.root,
        model_name: model.name[..].to_owned(),
        publisher: model.publisher,
        price,
        level: requests.first().map_or(Assurance::Signed, |request| request.assurance),
        most,
    }
}

/// `GET` on an endpoint that is paid for: what it costs at least, and refunds of channels.
pub async fn probe(shared: Arc<Shared>, endpoint: &'static Endpoint, headers: HeaderMap) -> Response {
    let refused = |error: &ApiError| refusal::respond(error, endpoint.dialect);
    let not_allowed = || ApiError::new(Code::MethodNotAllowed, format!("Not allowed to GET on {}.", endpoint.path));
    let Some(desk) = &shared.desk else { return refused(&not_allowed()) };
    // A refund waits for its chain.
    let seats = match shared.admit(1) {
        Ok(place) => Seats::new(&shared, place, None),
        Err(error) => return refused(&error),
    };
    let view = shared.directory.view();
    let priced = view.models.iter().map(|model| (model, desk.price(&model.root, &model.name)));
    let Some((model, price)) = priced.into_iter().find(|(_, price)| !price.is_free()) else {
        return refused(&not_allowed());
    };
    let billed = least(desk, &headers, endpoint, (model, price));
    match desk.quote(&headers, &billed.as_bill(), &seats).await {
        Ok(never) => refused(&never),
        Err(unpaid) => unpaid.respond(endpoint.dialect),
    }
}

/// The least that a call can cost: one token in, one out.
pub fn least(
    desk: &Desk,
    headers: &HeaderMap,
    endpoint: &'static Endpoint,
    (model, price): (&ModelRecord, Price),
) -> Billed {
    Billed {
        url: url(desk, headers, endpoint.path),
        path: endpoint.path,
        request: Digest::ZERO,
        body: Bytes::new(),
        model: model.root,
        model_name: model.name[..].to_owned(),
        publisher: model.publisher,
        price,
        level: Assurance::Signed,
        most: vec![Usage { input: 1, output: 1 }],
    }
}

/// The endpoint at the gateway's public address; where none is configured, as its caller addresses it.
fn url(desk: &Desk, headers: &HeaderMap, path: &str) -> String {
    if let Some(public_url) = &desk.config.public_url {
        return public_url.of(path);
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_host = host.len() <= 255 && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'/');
    format!("http://{}{path}", if is_host { host } else { "localhost" })
}

/// Never fewer tokens than an input has: each stands for a byte at least.
fn bounded(input: &Input) -> u64 {
    use protocol::Canonical as _;
    match input {
        Input::Tensors(_) => 0,
        Input::Prompt(_) | Input::Chat(_) | Input::Embed(_) => {
            u64::try_from(input.encode().len()).unwrap_or(u64::MAX).saturating_add(TEMPLATE_TOKENS)
        }
    }
}
