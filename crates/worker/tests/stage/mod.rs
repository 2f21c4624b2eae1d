//! One real worker before a validator that says what a test tells it to, on free loopback ports.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(dead_code, reason = "each test file uses its part of the stage")]

#[path = "../../../engine/tests/support/mod.rs"]
pub mod tiny;
pub mod validator;

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crypto::{Digest, SigningKey};
use engine::{CheckpointFiles, CompileOptions, Model, WeightFiles, compile_checkpoint};
use graph::LanguageKind;
use hub::Shelf;
use network::{Client, NetworkError};
use protocol::{
    Assurance, Bytes, Chat, Element, Input, List, Opening, Parameters, Privacy, Request, Tensor, Text, Version,
    request::{Score, TOKENS_MAX},
    service::{DoneFrame, FailedFrame, Frame, OpeningRequest, TokenFrame},
};
use serde_json::{Value, json};
use storage::Sealer;
use worker::{Config, Lifetime, Program, Worker, WorkerError};

pub use validator::Validator;

pub const CHAIN: u64 = 31_337;
pub const RISK: &[u8] = include_bytes!("../../../../models/risk/risk-integer.ogm");
/// Long enough that a job is still running when a test has looked around.
pub const LONG: u32 = 16_000;
pub const PROMPT: &str = "Wherefore art thou?";

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub fn worker_key() -> SigningKey {
    key(1)
}

pub fn gateway_key() -> SigningKey {
    key(2)
}

pub fn auditor_key() -> SigningKey {
    key(3)
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The tiny language model with a context in which it can talk for seconds.
pub fn chat_artefact() -> &'static [u8] {
    static ARTEFACT: OnceLock<Vec<u8>> = OnceLock::new();
    ARTEFACT.get_or_init(|| long(LanguageKind::Integer))
}

/// The same with an output that embeddings are made of.
pub fn embedder() -> &'static [u8] {
    static ARTEFACT: OnceLock<Vec<u8>> = OnceLock::new();
    ARTEFACT.get_or_init(|| long(LanguageKind::Ordered))
}

fn long(kind: LanguageKind) -> Vec<u8> {
    let files = tiny::checkpoint(7);
    let mut config: Value = serde_json::from_slice(&files.config).unwrap();
    config["max_position_embeddings"] = json!(LONG + 384);
    let config = config.to_string();
    let turns = ["A word.", "Why 12 of 345?"].map(|text| {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        json!({"messages": [turn("user", text), turn("assistant", "So it is.")]}).to_string()
    });
    let calibration = turns.join("\n");
    let files = CheckpointFiles {
        weights: WeightFiles::Safetensors { files: &[files.weights.into()], config: config.as_bytes() },
        tokenizer: &files.tokenizer,
        template: tiny::TEMPLATE,
        calibration: &calibration,
        stop_tokens: &[],
    };
    compile_checkpoint(&files, "tiny", &CompileOptions::of(kind, tiny::DEFAULTS)).unwrap()
}

pub fn chat_model() -> Model {
    Model::load(chat_artefact()).unwrap()
}

pub fn risk_model() -> Model {
    Model::load(RISK).unwrap()
}

pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A fresh question for the language model.
pub fn chat(max_tokens: u32) -> Request {
    static ROOT: OnceLock<Digest> = OnceLock::new();
    let input = Input::Chat(Chat::of(List::new(vec![tiny::user(PROMPT)]).unwrap()));
    request(*ROOT.get_or_init(|| chat_model().root()), input, max_tokens)
}

/// A fresh question for the tensor model: 32 returns and 4 statistics.
pub fn risk() -> Request {
    let floats = |name: &str, count: u8| Tensor {
        name: Text::new(name).unwrap(),
        element: Element::F32,
        shape: List::new(vec![1, u64::from(count)]).unwrap(),
        data: Bytes::new((0..count).flat_map(|i| (f32::from(i) / 8.0 - 1.0).to_le_bytes()).collect()).unwrap(),
    };
    let inputs = vec![floats("returns", 32), floats("statistics", 4)];
    request(risk_model().root(), Input::Tensors(List::new(inputs).unwrap()), 0)
}

fn request(model: Digest, input: Input, max_tokens: u32) -> Request {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nonce = crypto::hash("og/test/nonce", &[&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes()]);
    Request {
        version: Version,
        chain_id: CHAIN,
        model,
        input,
        parameters: Parameters { max_tokens, ..Parameters::default() },
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: 1_700_000_000_000,
        issued_at_ms: now_ms(),
        gateway: gateway_key().public_key(),
        parents: List::default(),
        payment: None,
        nonce,
    }
}

/// What a job came to.
#[derive(Debug)]
pub struct Answered {
    pub tokens: Vec<TokenFrame>,
    pub tensors: Option<List<Tensor, 64>>,
    pub prompt_scores: Option<List<Score, TOKENS_MAX>>,
    pub last: Option<Result<DoneFrame, FailedFrame>>,
}

impl Answered {
    pub fn done(self) -> DoneFrame {
        self.last.unwrap().unwrap()
    }

    pub fn failed(self) -> FailedFrame {
        self.last.unwrap().unwrap_err()
    }
}

pub struct Stage {
    pub validator: Validator,
    pub worker: Worker,
    pub client: Client,
    pub folder: tempfile::TempDir,
    pub config: Config,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let validator = Validator::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&validator, &folder);
        change(&mut config);
        let worker = Worker::start(config.clone()).await.unwrap();
        Self { validator, worker, client: Client::new(std::time::Duration::from_secs(30)), folder, config }
    }

    /// Stops the worker and starts it again on the same directory.
    pub async fn restarted(self) -> Self {
        let Self { validator, worker, client, folder, config } = self;
        worker.stop().await;
        Self { worker: start_again(&config).await, validator, client, folder, config }
    }

    pub async fn ask(&self, request: Request) -> Answered {
        self.ask_signed(request.into_job(&gateway_key())).await
    }

    pub async fn ask_signed(&self, job: protocol::service::SignedJob) -> Answered {
        let mut frames = self.client.post_for_frames(&format!("{}/jobs", self.worker.url()), &job).await.unwrap();
        let mut answered = Answered { tokens: Vec::new(), tensors: None, prompt_scores: None, last: None };
        while let Some(frame) = frames.next::<Frame>().await.unwrap() {
            assert!(answered.last.is_none(), "nothing follows the last frame");
            match frame {
                Frame::Token(token) => answered.tokens.push(token),
                Frame::Tensors(tensors) => answered.tensors = Some(tensors),
                Frame::PromptScores(scores) => answered.prompt_scores = Some(scores),
                Frame::Done(done) => answered.last = Some(Ok(*done)),
                Frame::Failed(failed) => answered.last = Some(Err(failed)),
            }
        }
        answered
    }

    /// Begins a long job and gives its frames once the first token has come.
    pub async fn begin(&self) -> network::Frames {
        let job = chat(LONG).into_job(&gateway_key());
        let mut frames = self.client.post_for_frames(&format!("{}/jobs", self.worker.url()), &job).await.unwrap();
        assert!(matches!(frames.next::<Frame>().await.unwrap(), Some(Frame::Token(_))));
        frames
    }

    pub async fn status(&self) -> Value {
        let bytes = self.client.get_bytes(&format!("{}/status", self.worker.url())).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Waits until the status says so.
    pub async fn until(&self, name: &str, value: u64) {
        for _ in 0..1_000 {
            if self.status().await[name] == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} never became {value}: {}", self.status().await);
    }

    pub async fn opening(&self, receipt: Digest, key: &SigningKey) -> Result<Opening, NetworkError> {
        self.opening_changed(receipt, key, |_| {}).await
    }

    pub async fn opening_changed(
        &self,
        receipt: Digest,
        key: &SigningKey,
        change: impl FnOnce(&mut OpeningRequest),
    ) -> Result<Opening, NetworkError> {
        let auditor = key.public_key();
        let mut request = OpeningRequest { version: Version, chain_id: CHAIN, receipt, auditor, asked_at_ms: now_ms() };
        change(&mut request);
        self.client.post(&format!("{}/openings", self.worker.url()), &request.sign(key)).await
    }
}

pub fn config(validator: &Validator, folder: &tempfile::TempDir) -> Config {
    let shelf = Shelf::open(&folder.path().join("models")).unwrap();
    let models = vec![shelf.put(chat_artefact()).unwrap().root, shelf.put(RISK).unwrap().root];
    Config {
        listen: loopback(),
        directory: folder.path().to_owned(),
        chain_id: CHAIN,
        key: worker_key(),
        sealer: Sealer::new([9; 32]),
        validators: vec![validator.url()],
        hubs: Vec::new(),
        models,
        wanted: None,
        places: 1,
        cache_bytes: None,
        threads: 1,
        work_max: u64::MAX,
        float: float_program(),
        prompter: prompter(),
        evidence: Lifetime { anchoring_ms: 600_000, epochs: 21, least_ms: 681_000 },
        adversary: None,
    }
}

/// The test file that has `the_process` among its tests.
pub fn float_program() -> float::Program {
    let arguments = ["--exact", "the_process", "--ignored", "--nocapture"].map(Into::into).to_vec();
    float::Program { path: std::env::current_exe().unwrap(), arguments }
}

/// The test file that runs: it makes prompts where its standard input is a worker's socket.
pub fn prompter() -> Program {
    let arguments = ["stage::what_makes_prompts_ends_where_its_standard_input_is_no_socket", "--exact", "--nocapture"];
    Program { path: std::env::current_exe().unwrap(), arguments: arguments.map(Into::into).to_vec() }
}

#[test]
fn what_makes_prompts_ends_where_its_standard_input_is_no_socket() {
    assert!(worker::serve().is_err());
}

/// The old file is released a moment after the old worker stopped.
pub async fn start_again(config: &Config) -> Worker {
    for _ in 0..500 {
        match Worker::start(config.clone()).await {
            Err(WorkerError::Evidence(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            started => return started.unwrap(),
        }
    }
    panic!("the directory stays locked");
}
