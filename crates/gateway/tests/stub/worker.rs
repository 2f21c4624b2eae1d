//! A worker that answers every conversation with the same words, honestly or as told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crypto::SigningKey;
use network::{
    Bytes, Noun, Server,
    axum::{Router, body::Body, extract::State, routing::post},
    frame_bytes, now_ms,
};
use protocol::{
    Digest, Element, Finish, Input, List, Opening, Output, Parameters, Prompt, Receipt, Request, Tensor, Text, Version,
    receipt::SignedReceipt,
    registry::node_id,
    request::{
        Alternative, Score, Scored, ScoredToken, StreamHead, output_commitment, prompt_commitment, request_commitment,
    },
    service::{DoneFrame, FailedFrame, Failure, Frame, SignedJob, TokenFrame},
};
use tokio::sync::mpsc;

use super::loopback;

pub const WORDS: [&str; 6] = ["The", " answer", " is", " forty", "-two", "."];

pub const SENTENCE: &str = "Näher: 1 + 1 = 2 €.";

/// What it takes every prompt for: `abc` in the tiny model's tokens.
pub const PROMPT: [u32; 3] = [103, 104, 105];

/// What it does with each job.
#[derive(Clone, Copy)]
pub enum Behaviour {
    Honest,
    /// Waits this long before each token.
    Slow(u64),
    /// Changes the final frame; signs it again where told to.
    Lies(fn(&mut DoneFrame, &SigningKey)),
    /// Cuts the stream after so many tokens.
    DiesAfter(usize),
    /// The same, and waits this long before each token.
    TiresAfter(usize, u64),
    /// Says `internal` after so many tokens.
    FailsAfter(usize),
    Refuses(Failure),
    /// Says `bad_request` after so many tokens.
    RefusesAfter(usize),
    /// Says it a while after it got a prompt that is this text; honest else.
    RefusesFor(&'static str),
    /// Where the prompt is this text, sends two tokens and cuts the stream when it is told to do anything else; honest else.
    BreaksFor(&'static str),
    /// Takes the job and says nothing.
    Silent,
    /// The same where the prompt is this text; honest else.
    SilentFor(&'static str),
    /// The same, and waits this long before each token else.
    SilentOrSlow(&'static str, u64),
    /// Sends tokens that no other worker sends, and cuts the stream after three.
    Raves,
    /// Sends more tokens than were asked for.
    Babbles,
    /// Says a sentence in these tokens.
    Says(fn(&str) -> Vec<(u32, String)>),
    /// Says this, a token a byte as the tiny model's tokenizer has them.
    Utters(&'static str),
    /// Scores what nobody asked to be scored.
    Scores,
    /// Changes what it says of a token's alternatives.
    Names(fn(&mut Vec<Alternative>)),
    /// Sends bytes that are no frame.
    Garbles,
}

pub struct Worker {
    pub key: SigningKey,
    server: Server,
    pub state: Arc<Stub>,
}

pub struct Stub {
    key: SigningKey,
    behaviour: Mutex<Behaviour>,
    sequence: AtomicU64,
    pub jobs: AtomicUsize,
    /// Jobs that were issued longer ago are refused, where it is told so.
    age_ms_max: AtomicU64,
    /// Streams that the gateway cut.
    pub cuts: AtomicUsize,
    /// What was asked last.
    pub last: Mutex<Option<Request>>,
}

impl Worker {
    pub async fn start(seed: u8, behaviour: Behaviour) -> Self {
        let key = SigningKey::from_seed(&[seed; 32]);
        let state = Arc::new(Stub {
            key: key.clone(),
            behaviour: Mutex::new(behaviour),
            sequence: AtomicU64::new(0),
            jobs: AtomicUsize::new(0),
            age_ms_max: AtomicU64::new(u64::MAX),
            cuts: AtomicUsize::new(0),
            last: Mutex::default(),
        });
        let router = Router::new().route("/jobs", post(take)).with_state(Arc::clone(&state));
        let server = Server::start(loopback(), router, network::Limits::default()).await.unwrap();
        Self { key, server, state }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    pub fn refuse_older_than(&self, age_ms: u64) {
        self.state.age_ms_max.store(age_ms, Ordering::SeqCst);
    }

    pub fn jobs(&self) -> usize {
        self.state.jobs.load(Ordering::SeqCst)
    }

    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    pub fn last(&self) -> Request {
        self.state.last.lock().unwrap().clone().unwrap()
    }
}

async fn take(State(stub): State<Arc<Stub>>, Noun(job): Noun<SignedJob>) -> Body {
    assert!(job.signature_holds());
    stub.jobs.fetch_add(1, Ordering::SeqCst);
    *stub.last.lock().unwrap() = Some(job.request.clone());
    let behaviour = *stub.behaviour.lock().unwrap();
    let (frames, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        if serve(&stub, behaviour, job.request, &frames).await.is_err() {
            stub.cuts.fetch_add(1, Ordering::SeqCst);
        }
    });
    Body::from_stream(futures::stream::unfold(receiver, |mut receiver: mpsc::Receiver<Option<Bytes>>| async move {
        match receiver.recv().await? {
            Some(frame) => Some((Ok::<_, std::io::Error>(frame), receiver)),
            None => Some((Err(std::io::Error::other("killed")), receiver)),
        }
    }))
}

type Frames = mpsc::Sender<Option<Bytes>>;

struct Cut;

async fn send(frames: &Frames, frame: &Frame) -> Result<(), Cut> {
    frames.send(Some(frame_bytes(frame))).await.map_err(|_| Cut)
}

fn failed(failure: Failure) -> Frame {
    Frame::Failed(FailedFrame { failure, message: Text::new("told to").unwrap() })
}

async fn serve(stub: &Stub, behaviour: Behaviour, request: Request, frames: &Frames) -> Result<(), Cut> {
    if now_ms().abs_diff(request.issued_at_ms) > stub.age_ms_max.load(Ordering::SeqCst) {
        return send(frames, &failed(Failure::BadRequest)).await;
    }
    match behaviour {
        Behaviour::Refuses(failure) => return send(frames, &failed(failure)).await,
        Behaviour::Silent => {
            frames.closed().await;
            return Err(Cut);
        }
        Behaviour::SilentFor(words) | Behaviour::SilentOrSlow(words, _) if is_text(&request.input, words) => {
            frames.closed().await;
            return Err(Cut);
        }
        Behaviour::RefusesFor(words) if is_text(&request.input, words) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return send(frames, &failed(Failure::BadRequest)).await;
        }
        Behaviour::BreaksFor(words) if is_text(&request.input, words) => {
            for (token, text) in (1..).zip(&WORDS[..2]) {
                send(frames, &word(&request, token, (*text).to_owned())).await?;
            }
            while matches!(*stub.behaviour.lock().unwrap(), Behaviour::BreaksFor(_)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            return frames.send(None).await.map_err(|_| Cut);
        }
        Behaviour::Garbles => {
            let garbage = Bytes::from_static(&[0, 0, 0, 3, 9, 9, 9]);
            return frames.send(Some(garbage)).await.map_err(|_| Cut);
        }
        _ => {}
    }
    let output = match &request.input {
        Input::Chat(_) | Input::Prompt(_) => stream(behaviour, &request, frames).await?,
        Input::Embed(texts) => {
            let tensors = List::new(texts.iter().map(embedding).collect()).unwrap();
            send(frames, &Frame::Tensors(tensors.clone())).await?;
            Some(Output::Tensors(tensors))
        }
        Input::Tensors(inputs) => {
            let tensors = List::new(vec![score(inputs)]).unwrap();
            send(frames, &Frame::Tensors(tensors.clone())).await?;
            Some(Output::Tensors(tensors))
        }
    };
    let Some(output) = output else { return Ok(()) };
    let mut done = finish(stub, request, output);
    if let Behaviour::Lies(lie) = behaviour {
        lie(&mut done, &stub.key);
    }
    send(frames, &Frame::Done(Box::new(done))).await
}

fn is_text(input: &Input, words: &str) -> bool {
    matches!(input, Input::Prompt(Prompt::Text(text)) if text[..] == *words)
}

/// Sends the words; `None` if the stream ended too early.
async fn stream(behaviour: Behaviour, request: &Request, frames: &Frames) -> Result<Option<Output>, Cut> {
    let wanted = usize::try_from(request.parameters.max_tokens).unwrap();
    let words: Vec<&str> = match behaviour {
        Behaviour::Babbles => WORDS.iter().cycle().copied().take(wanted + 1).collect(),
        _ => WORDS.iter().copied().take(wanted).collect(),
    };
    let mut tokens = Vec::new();
    if request.parameters.prompt_scores {
        send(frames, &Frame::PromptScores(List::new(prompt_scores(request)).unwrap())).await?;
    }
    let spoken = match behaviour {
        Behaviour::Utters(text) => Some(bytes_as_tokens(text).into_iter().take(wanted).collect()),
        Behaviour::Says(say) => Some(say(SENTENCE)),
        _ => None,
    };
    if let Some(spoken) = spoken {
        for (token, text) in spoken {
            tokens.push(token);
            send(frames, &word(request, token, text)).await?;
        }
        return Ok(Some(said(request, tokens)));
    }
    if let Behaviour::Names(change) = behaviour {
        let (token, text) = bytes_as_tokens("a").remove(0);
        let mut score = scored(token, request.parameters.scores);
        let mut alternatives = score.alternatives.into_inner();
        change(&mut alternatives);
        score.alternatives = List::new(alternatives).unwrap();
        send(frames, &Frame::Token(TokenFrame { token, text: Text::new(text).unwrap(), score: Some(score) })).await?;
        return Ok(Some(said(request, vec![token])));
    }
    for (index, text) in words.into_iter().enumerate() {
        match behaviour {
            Behaviour::DiesAfter(count) | Behaviour::TiresAfter(count, _) if index == count => {
                let _ = frames.send(None).await;
                return Ok(None);
            }
            Behaviour::FailsAfter(count) if index == count => {
                send(frames, &failed(Failure::Internal)).await?;
                return Ok(None);
            }
            Behaviour::RefusesAfter(count) if index == count => {
                send(frames, &failed(Failure::BadRequest)).await?;
                return Ok(None);
            }
            Behaviour::Raves if index == 3 => return Ok(None),
            Behaviour::Slow(wait_ms) | Behaviour::TiresAfter(_, wait_ms) | Behaviour::SilentOrSlow(_, wait_ms) => {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            _ => {}
        }
        let offset = if matches!(behaviour, Behaviour::Raves) { 100 } else { 1 };
        let token = u32::try_from(index).unwrap() + offset;
        tokens.push(token);
        let frame = match behaviour {
            Behaviour::Scores => {
                let text = Text::new(text).unwrap();
                Frame::Token(TokenFrame { token, text, score: Some(scored(token, 1)) })
            }
            _ => word(request, token, text.to_owned()),
        };
        send(frames, &frame).await?;
    }
    if matches!(behaviour, Behaviour::Babbles) {
        // Buffers on the way may hold all of it: it ends only when it is cut.
        frames.closed().await;
        return Err(Cut);
    }
    Ok(Some(said(request, tokens)))
}

/// The tokens of the tiny model's tokenizer: one for each byte, after six special ones.
pub fn bytes_as_tokens(text: &str) -> Vec<(u32, String)> {
    text.chars()
        .flat_map(|character| {
            let bytes = character.to_string().into_bytes();
            let last = bytes.len() - 1;
            // A character's text comes with its last byte.
            bytes.into_iter().enumerate().map(move |(index, byte)| {
                (u32::from(byte) + 6, if index == last { character.to_string() } else { String::new() })
            })
        })
        .collect()
}

/// Each token is as probable as its number says, and the letters from `a` on are its alternatives.
fn scored(token: u32, scores: u8) -> Score {
    let nats = |token: u32| -i32::try_from(token).unwrap() * 1_000;
    let alternatives = (0..u32::from(scores) - 1).map(|index| 103 + index);
    let alternatives = alternatives.map(|token| Alternative { token, logprob_micros: nats(token) }).collect();
    Score { logprob_micros: nats(token), alternatives: List::new(alternatives).unwrap() }
}

/// Of the prompt's tokens from the second on.
fn prompt_scores(request: &Request) -> Vec<Score> {
    PROMPT[1..].iter().map(|token| scored(*token, request.parameters.scores)).collect()
}

fn word(request: &Request, token: u32, text: String) -> Frame {
    let scores = request.parameters.scores;
    let score = (scores > 0).then(|| scored(token, scores));
    Frame::Token(TokenFrame { token, text: Text::new(text).unwrap(), score })
}

fn said(request: &Request, tokens: Vec<u32>) -> Output {
    let Parameters { scores, prompt_scores: has_prompt, .. } = request.parameters;
    if scores == 0 {
        return Output::Tokens(List::new(tokens).unwrap());
    }
    let prompt = if has_prompt { prompt_scores(request) } else { Vec::new() };
    let tokens = tokens.into_iter().map(|token| ScoredToken { token, score: scored(token, scores) }).collect();
    Output::Scored(Scored { prompt: List::new(prompt).unwrap(), tokens: List::new(tokens).unwrap() })
}

/// The text's length and its opposite.
fn embedding(text: &Prompt) -> Tensor {
    let length = match text {
        Prompt::Text(text) => text.len(),
        Prompt::Tokens(tokens) => tokens.len(),
    };
    let length = f32::from(u16::try_from(length).unwrap());
    let data = [length, -length].iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor {
        name: Text::new("embedding").unwrap(),
        element: Element::F32,
        shape: List::new(vec![2]).unwrap(),
        data: protocol::Bytes::new(data).unwrap(),
    }
}

/// The sum of all numbers that came in.
fn score(inputs: &[Tensor]) -> Tensor {
    let numbers = inputs.iter().flat_map(|tensor| tensor.data.chunks_exact(4));
    let sum: f32 = numbers.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).sum();
    Tensor {
        name: Text::new("score").unwrap(),
        element: Element::F32,
        shape: List::new(vec![1]).unwrap(),
        data: protocol::Bytes::new(sum.to_le_bytes().to_vec()).unwrap(),
    }
}

fn finish(stub: &Stub, request: Request, output: Output) -> DoneFrame {
    let wanted = usize::try_from(request.parameters.max_tokens).unwrap();
    let finish = match &output {
        Output::Tensors(_) => Finish::Complete,
        answer if answer.tokens() != WORDS.len() && answer.tokens() >= wanted => Finish::Length,
        Output::Tokens(_) | Output::Scored(_) => Finish::Stop,
    };
    let (request_salt, prompt_salt, output_salt) = (Digest([3; 32]), Digest([4; 32]), Digest([5; 32]));
    let prompt = List::new(PROMPT.to_vec()).unwrap();
    let commitment = request_commitment(&request_salt, &request);
    let receipt = Receipt {
        version: Version,
        spec_version: u16::from(request.model != super::WILD),
        chain_id: request.chain_id,
        request: commitment,
        prompt: prompt_commitment(&prompt_salt, &prompt),
        output: output_commitment(&output_salt, &output),
        model: request.model,
        parameters: (&request.parameters).into(),
        template_time_ms: request.template_time_ms,
        finish,
        prompt_tokens: 3,
        output_tokens: u32::try_from(output.tokens()).unwrap(),
        stream_head: StreamHead::start(&commitment).after(&output).0,
        worker: node_id(&stub.key.public_key()),
        worker_key: stub.key.public_key(),
        key_valid_from: 1,
        gateway: request.gateway,
        sequence: stub.sequence.fetch_add(1, Ordering::SeqCst),
        previous: Digest::ZERO,
        assurance: request.assurance,
        privacy: request.privacy,
        received_at_ms: request.issued_at_ms,
        finished_at_ms: request.issued_at_ms + 1,
        parents: request.parents.clone(),
        payment: None,
        charge: 0,
        nonce: request.nonce,
    }
    .billed(&request);
    let opening = Opening { request, request_salt, prompt, prompt_salt, output, output_salt };
    DoneFrame { receipt: receipt.sign(&stub.key), opening, finish }
}

/// Changes the receipt and signs it again, as a worker that lies on purpose would.
pub fn resign(done: &mut DoneFrame, key: &SigningKey, change: impl FnOnce(&mut Receipt)) {
    let SignedReceipt { mut receipt, .. } = done.receipt.clone();
    change(&mut receipt);
    done.receipt = receipt.sign(key);
}
