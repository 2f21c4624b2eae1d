//! Every endpoint that answers from a model: one way for all, and a row of `api`'s table says what differs.

use std::{sync::Arc, time::Instant};

use api::{ApiError, Call, Code, Endpoint, Family, Gives, Head, Manner, Reading, Said, Teller};
use futures::{StreamExt as _, TryStreamExt as _};
use network::{
    Bytes,
    axum::{body::Body, http::HeaderMap, response::Response},
    now_ms,
};
use payments::wire::header as wire;
use protocol::{Digest, Input, ModelRecord, Output, Request};
use serde_json::json;

use crate::{
    aside::aside,
    counting::own_trouble,
    delivery::Delivery,
    http::{
        answered, bill, body, body::Read, counted, echo, refused, room::Room, stream, stream::AT_ONCE, telling::Course,
    },
    payment::{Meter, Paid, Unpaid, read_payment},
    places::Purpose,
    prepare::Wish,
    question::{self, Count, Tokens},
    seats::Seats,
    shared::{Shared, fresh},
    stages::Stages,
    vocabulary::Words,
};

pub async fn handle(shared: Arc<Shared>, endpoint: &'static Endpoint, headers: HeaderMap, body: Body) -> Response {
    let asked = (&shared, &headers);
    let serve = move |started_at| serve(asked.0, endpoint, asked.1, body, started_at);
    counted(&shared, endpoint.dialect, serve).await
}

async fn serve(
    shared: &Arc<Shared>,
    endpoint: &'static Endpoint,
    headers: &HeaderMap,
    body: Body,
    started_at: Instant,
) -> Result<Response, ApiError> {
    let read_body = body::read(headers, body, endpoint.body_bytes, shared.pace.body_wait, &shared.large_bodies);
    let Read { bytes: body, place: large } = read_body.await?;
    let mut places = shared.admit(1)?;
    let mut call = read(endpoint, &body).await?;
    call.terms = call.terms.with_assurance_header(answered::assurance_wish(headers))?;
    if call.jobs.len() > 1 {
        places.merge(shared.admit(call.jobs.len().saturating_sub(1))?);
    }
    let model = meant(shared, &call, endpoint, headers)?;
    let share = shared.share(&model.root, call.jobs.len())?;
    let seats = Seats::new(shared, places, Some((model.root, share))).with_large(large);
    let words = words(shared, &call, endpoint, &model.root).await?;
    call.check_thoughts(words.as_ref().and_then(|words| words.thinking))?;
    if let Gives::Count { object } = endpoint.gives {
        return count(shared, call, &model.root, words, object).await;
    }
    call.bind(family(words.as_ref()))?;
    // What the caller left to the model is in the request, and so in what is quoted, signed and audited.
    call.settle(words.as_ref().map_or(api::USUAL, |words| words.defaults));
    let echoes = echo::echoes(&call, words.as_ref()).await;
    let mut requests = requests(shared, &call, &model).await?;
    let (paid, counts) =
        match paid_for(&seats, shared, headers, endpoint, &body, &requests, (&model, words.as_ref())).await {
            Ok(paid) => paid,
            Err(unpaid) => return Ok(unpaid.respond(endpoint.dialect)),
        };
    drop(body);
    seats.drop_large();
    cover(&mut requests, paid.as_deref())?;
    let thinking = words.as_ref().filter(|words| call.is_chat() && words.thinking.is_some());
    let begun = begun(shared, (&call, &model.root), &requests, thinking, counts).await;
    let Some(nonce) = requests.first().map(|request| request.nonce.to_string()) else {
        return Err(ApiError::new(Code::Internal, "The call asks for nothing."));
    };
    let id = nonce.get(..32).unwrap_or_default().to_owned();
    let head = Head { id, created: now_ms() / 1_000, model: model.name[..].to_owned() };
    let stages = Arc::new(Stages::new(started_at));
    let common = Common {
        shared,
        call: &call,
        head: &head,
        words: words.as_ref(),
        paid: paid.as_ref(),
        stages: &stages,
        include_opening: answered::wants_opening(headers),
    };
    let courses = common.courses(requests, echoes, begun).await;
    let paying = paid.clone();
    let answered = if call.stream {
        stream::respond(shared, courses, head, call.teller, seats, paid).await
    } else {
        whole(courses, head, call.teller, seats, paid, &stages).await
    };
    match (answered, paying) {
        (Err(error), Some(paid)) => {
            let mut response = refused(shared, &error, endpoint.dialect);
            // What was charged of it all the same.
            response.headers_mut().extend(paid.head_broken_off());
            Ok(response)
        }
        (answered, _) => answered,
    }
}

/// How a model calls tools, as far as its words are known.
fn family(words: Option<&Arc<Words>>) -> &'static Family {
    words.map_or(Family::GENERIC, |words| words.family)
}

/// Of each request whether its prompt has begun the answer's thoughts, which the model's template decides for each conversation. Where nobody
/// can say it now, thoughts are told from the mark on that the answer itself has.
async fn begun(
    shared: &Shared,
    (call, root): (&Call, &Digest),
    requests: &[Request],
    thinking: Option<&Arc<Words>>,
    counts: Vec<Option<Tokens>>,
) -> Vec<bool> {
    let counts = match thinking {
        Some(words) if counts.is_empty() => {
            bill::counted(shared, root, requests, Some(words), || Purpose::Call).await.unwrap_or_default()
        }
        Some(_) => counts,
        None => Vec::new(),
    };
    let mut begun: Vec<bool> = counts.iter().map(|counted| counted.is_some_and(|tokens| tokens.is_thinking)).collect();
    begun.resize(requests.len(), false);
    // What is bound from its first token on cannot end thoughts.
    begun.iter_mut().zip(&call.jobs).for_each(|(begun, job)| *begun &= !job.is_bound);
    begun
}

/// What all answers of a call have in common.
struct Common<'a> {
    shared: &'a Arc<Shared>,
    call: &'a Call,
    head: &'a Head,
    words: Option<&'a Arc<Words>>,
    paid: Option<&'a Arc<Paid>>,
    stages: &'a Arc<Stages>,
    include_opening: bool,
}

impl Common<'_> {
    /// The answers, none of which has begun; `begun` says of each whether its prompt has begun thoughts.
    async fn courses(&self, requests: Vec<Request>, echoes: Vec<Option<String>>, begun: Vec<bool>) -> Vec<Course> {
        let (is_streamed, is_kept) = (self.call.stream, !self.call.stream);
        let calls = self.call.calling.is_some().then(|| family(self.words));
        let room = Room::is_needed(self.call).then(Room::new);
        let thinking = self.words.and_then(|words| words.thinking).filter(|_| self.call.is_chat());
        let mut courses = Vec::with_capacity(requests.len());
        for (choice, ((request, echo), is_begun)) in requests.into_iter().zip(echoes).zip(begun).enumerate() {
            let manner = Manner { calls, thinks: thinking.map(|way| (way, is_begun)), is_kept };
            let (stops, seed) = (request.parameters.stop.clone(), format!("{}{choice}", self.head.id));
            let reading = Reading::new(stops.iter().map(|stop| &stop[..]), manner, &seed);
            let meter = self.paid.cloned().map(|paid| Meter::new(paid, choice));
            // Each is signed.
            let delivery = Delivery::new(Arc::clone(self.shared), request, is_streamed, Arc::clone(self.stages), meter);
            let words = self.words.cloned();
            courses.push(Course::new(delivery, reading, words, echo, self.include_opening, room.clone()));
            yield_after(choice).await;
        }
        courses
    }
}

/// The model that is called. Nobody is asked to pay for what nobody answers, or for what its publisher offers no more.
fn meant(shared: &Shared, call: &Call, endpoint: &Endpoint, headers: &HeaderMap) -> Result<ModelRecord, ApiError> {
    let model = shared.directory.resolve(&call.model)?;
    if shared.desk.as_ref().is_some_and(|desk| desk.published.is_retired(&model.root)) {
        let message = format!("The model `{}` is retired: its publisher offers it no more.", &model.name[..]);
        let retired = ApiError::new(Code::ModelNotFound, message).with_param("model");
        return Err(retired.with_hint("GET /v1/models lists what is offered and served"));
    }
    // What is paid for already has its worker looked for, or is an answer that is given again.
    let is_new = [wire::SIGNATURE, wire::LEGACY_SIGNATURE].iter().all(|name| !headers.contains_key(*name));
    if is_new && endpoint.gives == Gives::Answers {
        shared.directory.refuse_unserved(&model)?;
    }
    Ok(model)
}

/// All answers in one body.
async fn whole(
    courses: Vec<Course>,
    head: Head,
    teller: Box<dyn Teller>,
    _seats: Seats,
    paid: Option<Arc<Paid>>,
    stages: &Stages,
) -> Result<Response, ApiError> {
    let said = futures::stream::iter(courses).map(Course::whole).buffered(AT_ONCE).try_collect();
    let said = stream::in_time(said, paid.as_deref()).await?;
    let mut said: Vec<_> = match (said, &paid) {
        (Ok(said), _) => said,
        (Err(error), None) => return Err(error),
        (Err(error), Some(paid)) => {
            paid.fail().await;
            return Err(error);
        }
    };
    let Some(paid) = paid else {
        let (body, said) = told(teller, head, said).await?;
        return Ok(answered::respond(body, &said, stages));
    };
    let ended = paid.finish(std::iter::empty(), &mut said).await?;
    let (body, said) = told(teller, head, said).await?;
    let mut response = answered::respond(body, &said, stages);
    paid.head_late(response.headers_mut(), &ended).await;
    Ok(paid.keep(response).await)
}

/// Reads a body, which may be megabytes of numbers.
async fn read(endpoint: &'static Endpoint, body: &Bytes) -> Result<Call, ApiError> {
    let bytes = body.clone();
    aside(bytes.len(), move || (endpoint.read)(&bytes)).await?
}

/// Writes a body, which may be megabytes of numbers.
async fn told(teller: Box<dyn Teller>, head: Head, said: Vec<Said>) -> Result<(String, Vec<Said>), ApiError> {
    let bytes = said.iter().map(length).fold(0, usize::saturating_add);
    aside(bytes, move || (teller.whole(&head, &said), said)).await
}

/// About how many bytes an answer has.
fn length(said: &Said) -> usize {
    let numbers = match &said.answered.opening.output {
        Output::Tensors(tensors) => tensors.iter().map(|tensor| tensor.data.len()).fold(0, usize::saturating_add),
        Output::Tokens(_) | Output::Scored(_) => 0,
    };
    // A token's score is a word and a number or two, and so is each of its alternatives.
    let scores =
        said.tokens.iter().map(|token| token.alternatives.len().saturating_add(1)).fold(0, usize::saturating_add);
    numbers.saturating_add(said.text.len()).saturating_add(scores.saturating_mul(64))
}

/// Between the jobs of a call others have the thread.
async fn yield_after(job: usize) {
    if job > 0 {
        tokio::task::yield_now().await;
    }
}

/// The payment that covers requests, `None` where they cost nothing, and what was counted of each for it.
async fn paid_for(
    seats: &Seats,
    shared: &Shared,
    headers: &HeaderMap,
    endpoint: &'static Endpoint,
    body: &Bytes,
    requests: &[Request],
    (model, words): (&ModelRecord, Option<&Arc<Words>>),
) -> Result<(Option<Arc<Paid>>, Vec<Option<Tokens>>), Unpaid> {
    let Some(desk) = &shared.desk else { return Ok((None, Vec::new())) };
    let price = desk.price(&model.root, &model.name);
    if price.is_free() {
        return Ok((None, Vec::new()));
    }
    let bytes = body.clone();
    let digested = aside(bytes.len(), move || (bill::digest(endpoint, &bytes), bytes)).await.map_err(Unpaid::Error)?;
    let brought = read_payment(headers);
    let purpose = || bill::purpose(desk, &brought, headers, &bill::least(desk, headers, endpoint, (model, price)));
    let counts = bill::counted(shared, &model.root, requests, words, purpose).await.map_err(Unpaid::Error)?;
    let most = bill::most(requests, &counts, words.map(|words| words.context)).map_err(Unpaid::Error)?;
    let billed = bill::bill(desk, headers, endpoint, digested, requests, most, (model, price));
    // What is paid for must get onto the ledger.
    let credit = || shared.credit.admit(shared.outbox.charges());
    let paid = desk.admit(brought, headers, &billed.as_bill(), seats, credit).await?;
    Ok((Some(Arc::new(paid)), counts))
}

/// Binds each request to its part of the payment.
fn cover(requests: &mut [Request], paid: Option<&Paid>) -> Result<(), ApiError> {
    let Some(paid) = paid else { return Ok(()) };
    for (place, request) in requests.iter_mut().enumerate() {
        request.payment = paid.covers(place, Digest(fresh()?));
    }
    Ok(())
}

/// The model's words: asked for where the answer cannot be told without them, taken where they are at hand.
async fn words(
    shared: &Shared,
    call: &Call,
    endpoint: &Endpoint,
    root: &Digest,
) -> Result<Option<Arc<Words>>, ApiError> {
    let is_needed = call.needs_words() || endpoint.gives != Gives::Answers;
    if !is_needed && !call.is_chat() && shared.desk.is_none() && !call.leaves_to_model() {
        return Ok(None);
    }
    let known = shared.vocabularies.within(root, shared.pace.vocabulary_wait).await;
    if is_needed && known.is_none() {
        shared.counting.admits(root).map_err(|refused| refused.told())?;
        let message = "The model's vocabulary is not known here yet, without which tokens have no names.";
        return Err(ApiError::new(Code::NoWorker, message).with_retry_after_s(2));
    }
    Ok(known)
}

async fn count(
    shared: &Shared,
    call: Call,
    root: &Digest,
    words: Option<Arc<Words>>,
    object: Option<&str>,
) -> Result<Response, ApiError> {
    let chat = call.jobs.into_iter().map(|job| job.input).find(|input| matches!(input, Input::Chat(_)));
    let (Some(chat), Some(words)) = (chat, words) else {
        return Err(ApiError::new(Code::InvalidValue, "Only conversations with language models have tokens to count."));
    };
    let question = question::ask(&chat, now_ms(), true);
    let counts = shared.counting.count(root, &words.head, Purpose::Count, vec![question]).await;
    let tokens = match counts.map_err(|uncounted| uncounted.told())?.pop() {
        Some(Count::Tokens(tokens)) => tokens.all,
        Some(Count::Refused(cause)) => {
            let message = format!("The model's template refuses the conversation: {cause}.");
            return Err(ApiError::new(Code::InvalidValue, message).with_param("messages"));
        }
        Some(Count::OwnTrouble(cause)) => return Err(own_trouble(&cause)),
        None => return Err(own_trouble("nothing was counted")),
    };
    let mut counted = json!({ "input_tokens": tokens });
    if let Some(object) = object {
        counted["object"] = object.into();
    }
    Ok(answered::json(&counted))
}

async fn requests(shared: &Shared, call: &Call, model: &ModelRecord) -> Result<Vec<Request>, ApiError> {
    Room::check(call)?;
    let seed = u64::from_be_bytes(fresh()?);
    let mut requests = Vec::with_capacity(call.jobs.len());
    for (place, job) in call.jobs.iter().enumerate() {
        let (input, parameters, terms) = (job.input.clone(), job.parameters(seed), call.terms.clone());
        let wish = Wish { model: model.root, kind: model.kind, input, parameters, terms };
        requests.push(wish.into_request(shared.circumstances()?)?);
        yield_after(place).await;
    }
    Ok(requests)
}
