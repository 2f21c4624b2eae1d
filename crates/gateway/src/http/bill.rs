//! What is paid for: a request's address, digest, model, and the most that it can use.

use std::sync::Arc;

use api::{ApiError, Code, Endpoint};
use network::{
    axum::{
        http::{HeaderMap, header},
        response::Response,
    },
    now_ms,
};
use payments::price::Usage;
use protocol::{Assurance, Digest, EvmAddress, Input, ModelRecord, Prompt, Request};

use crate::{
    counting::own_trouble, http::refusal, metrics::Metrics, payment::Bill, places::Purpose, shared::Shared,
    vocabulary::Words,
};

/// Tokens that a template may put around a conversation whose tokens cannot be counted here.
const TEMPLATE_TOKENS: u64 = 64;

/// A bill's parts.
pub struct Billed {
    url: String,
    path: &'static str,
    request: Digest,
    model: Digest,
    model_name: String,
    publisher: EvmAddress,
    level: Assurance,
    most: Vec<Usage>,
}

impl Billed {
    pub fn as_bill(&self) -> Bill<'_> {
        Bill {
            url: &self.url,
            path: self.path,
            request: self.request,
            model: self.model,
            model_name: &self.model_name,
            publisher: self.publisher,
            level: self.level,
            most: &self.most,
        }
    }
}

/// Requests, and the tokens of their inputs where those could be counted.
pub struct Counted {
    pub requests: Vec<Request>,
    pub counts: Vec<Option<u64>>,
}

/// Where calls have a price, a call that brings no payment only asks for it.
pub fn purpose(shared: &Shared, headers: &HeaderMap) -> Purpose {
    let is_unpaid = shared.desk.as_ref().is_some_and(|desk| !desk.brings_payment(headers));
    if is_unpaid { Purpose::Count } else { Purpose::Call }
}

/// Counts the tokens of a call's inputs, each of them once, on the places where prompts are made.
pub async fn counted(
    shared: &Shared,
    root: &Digest,
    requests: Vec<Request>,
    words: Option<&Arc<Words>>,
    purpose: Purpose,
) -> Result<Counted, ApiError> {
    let count = |requests: &[Request], words: Option<&Words>, metrics: &Metrics| {
        let counts = counts(requests, words, metrics);
        counts.map_err(|error| own_trouble(&error.to_string()))
    };
    let is_counted = |input: &Input| matches!(input, Input::Tensors(_) | Input::Prompt(Prompt::Tokens(_)));
    let needs_words = !requests.iter().all(|request| is_counted(&request.input));
    let Some(words) = words.filter(|_| needs_words) else {
        let counts = count(&requests, words.map(|words| &**words), &shared.metrics)?;
        return Ok(Counted { requests, counts });
    };
    let (words, metrics) = (Arc::clone(words), Arc::clone(&shared.metrics));
    let work = move || count(&requests, Some(&words), &metrics).map(|counts| Counted { requests, counts });
    shared.counting.run(root, purpose, work).await.map_err(|uncounted| uncounted.told())?
}

/// The same where it is done. An error is this machine's own trouble.
fn counts(
    requests: &[Request],
    words: Option<&Words>,
    metrics: &Metrics,
) -> Result<Vec<Option<u64>>, engine::PromptError> {
    let mut counts = Vec::with_capacity(requests.len());
    let mut before: Option<(&Input, Option<u64>)> = None;
    for Request { input, .. } in requests {
        // Several answers to one input stand side by side.
        let count = match before {
            Some((same, count)) if same == input => count,
            Some(_) | None => tokens(input, words, metrics)?,
        };
        before = Some((input, count));
        counts.push(count);
    }
    Ok(counts)
}

/// What a request is known by to whoever pays for it.
pub fn digest(endpoint: &Endpoint, body: &[u8]) -> Digest {
    crypto::hash("og/paid-request/v1", &[endpoint.path.as_bytes(), &[0], body])
}

pub fn bill(
    headers: &HeaderMap,
    endpoint: &Endpoint,
    request: Digest,
    requests: &[Request],
    counts: &[Option<u64>],
    model: &ModelRecord,
) -> Billed {
    let most = |(request, counted): (&Request, &Option<u64>)| Usage {
        input: counted.unwrap_or_else(|| bounded(&request.input)),
        output: u64::from(request.parameters.max_tokens),
    };
    Billed {
        url: url(headers, endpoint.path),
        path: endpoint.path,
        request,
        model: model.root,
        model_name: model.name[..].to_owned(),
        publisher: model.publisher,
        level: requests.first().map_or(Assurance::Signed, |request| request.assurance),
        most: requests.iter().zip(counts).map(most).collect(),
    }
}

/// `GET` on an endpoint that is paid for: what it costs at least, and refunds of channels.
pub async fn probe(shared: Arc<Shared>, endpoint: &'static Endpoint, headers: HeaderMap) -> Response {
    let refused = |error: &ApiError| refusal::respond(error, endpoint.dialect);
    let not_allowed = || ApiError::new(Code::MethodNotAllowed, format!("Not allowed to GET on {}.", endpoint.path));
    let Some(desk) = &shared.desk else { return refused(&not_allowed()) };
    // A refund waits for its chain.
    let _place = match shared.admit(1) {
        Ok(place) => place,
        Err(error) => return refused(&error),
    };
    let view = shared.directory.view();
    let Some(model) = view.models.iter().find(|model| !desk.price(&model.root, &model.name).is_free()) else {
        return refused(&not_allowed());
    };
    let billed = least(&headers, endpoint, model);
    match desk.quote(&headers, &billed.as_bill()).await {
        Ok(never) => refused(&never),
        Err(unpaid) => unpaid.respond(endpoint.dialect),
    }
}

/// The least that a call can cost: one token in, one out.
pub fn least(headers: &HeaderMap, endpoint: &'static Endpoint, model: &ModelRecord) -> Billed {
    Billed {
        url: url(headers, endpoint.path),
        path: endpoint.path,
        request: Digest::ZERO,
        model: model.root,
        model_name: model.name[..].to_owned(),
        publisher: model.publisher,
        level: Assurance::Signed,
        most: vec![Usage { input: 1, output: 1 }],
    }
}

/// The endpoint as its caller addresses it.
fn url(headers: &HeaderMap, path: &str) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_host = host.len() <= 255 && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'/');
    format!("http://{}{path}", if is_host { host } else { "localhost" })
}

/// Exactly the tokens of an input, where the model's vocabulary is at hand and its template takes it.
fn tokens(input: &Input, words: Option<&Words>, metrics: &Metrics) -> Result<Option<u64>, engine::PromptError> {
    Ok(match (input, words) {
        (Input::Tensors(_), _) => Some(0),
        (Input::Prompt(prompt), _) => plain_tokens(prompt, words, |_| 0),
        (Input::Embed(texts), _) => {
            let closing = |words: &Words| words.tokenizer.closing().len();
            texts.iter().map(|text| plain_tokens(text, words, closing)).sum()
        }
        (Input::Chat(chat), Some(words)) => {
            metrics.prompts.add(1);
            match words.template.prompt(&words.tokenizer, &engine::Conversation::chat(chat), now_ms()) {
                Ok(prompt) => u64::try_from(prompt.len()).ok(),
                Err(error) if error.is_own_trouble() => return Err(error),
                Err(_) => None,
            }
        }
        (Input::Chat(_), None) => None,
    })
}

/// A text between what the tokenizer puts around it; tokens as they are.
fn plain_tokens(prompt: &Prompt, words: Option<&Words>, closing: impl Fn(&Words) -> usize) -> Option<u64> {
    let count = match prompt {
        Prompt::Tokens(tokens) => tokens.len(),
        Prompt::Text(text) => {
            let words = words?;
            let own = words.tokenizer.encode(text).ok()?.len();
            words.tokenizer.opening().len().checked_add(own)?.checked_add(closing(words))?
        }
    };
    u64::try_from(count).ok()
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
