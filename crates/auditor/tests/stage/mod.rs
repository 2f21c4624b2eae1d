//! Receipts true and false, and one real auditor between a validator and a worker that do what a test says.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
#![allow(dead_code, reason = "each test file uses its part of the stage")]

#[path = "../../../engine/tests/support/mod.rs"]
pub mod tiny;
pub mod validator;
pub mod worker;

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use auditor::{Auditor, AuditorError, Config, RATE_WHOLE, Windows};
use crypto::{Digest, SigningKey};
use engine::{Flow, Model};
use hub::Shelf;
use network::Client;
use protocol::{
    Assurance, Bytes, Chat, Element, Finish, Input, List, Opening, Output, Parameters, Privacy, Prompt, Receipt,
    Request, SignedReceipt, Tensor, Text, Version,
    registry::node_id,
    request::{Scored, ScoredToken, StreamHead, output_commitment, prompt_commitment, request_commitment},
};
use serde_json::Value;

pub use validator::Validator;
pub use worker::Worker;

pub const CHAIN: u64 = 31_337;
pub const RISK: &[u8] = include_bytes!("../../../../models/risk/risk-integer.ogm");

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub fn auditor_key() -> SigningKey {
    key(3)
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn chat_artefact() -> &'static [u8] {
    static ARTEFACT: OnceLock<Vec<u8>> = OnceLock::new();
    ARTEFACT.get_or_init(|| tiny::artefact(tiny::KINDS[0]))
}

pub fn chat_model() -> Model {
    Model::load(chat_artefact()).unwrap()
}

pub fn risk_model() -> Model {
    Model::load(RISK).unwrap()
}

/// What a worker signs, before it signs it.
#[derive(Clone)]
pub struct Draft {
    pub opening: Opening,
    pub finish: Finish,
    pub spec_version: u16,
    pub worker: u8,
}

impl Draft {
    /// The true answer to a question for the tiny language model.
    pub fn chat(parameters: Parameters) -> Self {
        Self::said_by(&chat_model(), parameters)
    }

    /// The true answer of a language model.
    pub fn said_by(model: &Model, parameters: Parameters) -> Self {
        let language = model.as_language().unwrap();
        let messages = vec![tiny::user("Why?")];
        let prompt = language.prompt(&messages, 1_700_000_000_000).unwrap();
        let generation = language.generate(&prompt, &parameters, &mut |_| Flow::Continue).unwrap();
        let input = Input::Chat(Chat::of(List::new(messages).unwrap()));
        let output = if parameters.scores > 0 || parameters.prompt_scores {
            let scored = generation.tokens.iter().zip(generation.scores);
            let tokens = scored.map(|(&token, score)| ScoredToken { token, score }).collect();
            let prompt = List::new(generation.prompt_scores).unwrap();
            Output::Scored(Scored { prompt, tokens: List::new(tokens).unwrap() })
        } else {
            Output::Tokens(List::new(generation.tokens).unwrap())
        };
        Self::new(request(model.root(), input, parameters), prompt, output, generation.finish)
    }

    /// The true embeddings of some texts.
    pub fn embedded(model: &Model, texts: &[&str]) -> Self {
        let language = model.as_language().unwrap();
        let texts: Vec<Prompt> = texts.iter().map(|text| Prompt::Text(Text::new(*text).unwrap())).collect();
        let prompts: Vec<Vec<u32>> = texts.iter().map(|text| language.embedded_prompt(text).unwrap()).collect();
        let embedding = |prompt: &Vec<u32>| {
            let values = language.embed(prompt).unwrap();
            Tensor {
                name: Text::new("embedding").unwrap(),
                element: Element::F32,
                shape: List::new(vec![values.len() as u64]).unwrap(),
                data: Bytes::new(values.iter().flat_map(|value| value.to_le_bytes()).collect()).unwrap(),
            }
        };
        let outputs = List::new(prompts.iter().map(embedding).collect()).unwrap();
        let request = request(model.root(), Input::Embed(List::new(texts).unwrap()), Parameters::default());
        Self::new(request, prompts.concat(), Output::Tensors(outputs), Finish::Complete)
    }

    /// The true answer to a question for the tensor model.
    pub fn risk() -> Self {
        let model = risk_model();
        let inputs = vec![floats("returns", 32), floats("statistics", 4)];
        let outputs = List::new(model.as_tensor().unwrap().run(&inputs).unwrap()).unwrap();
        let input = Input::Tensors(List::new(inputs).unwrap());
        let request = request(model.root(), input, Parameters::default());
        Self::new(request, Vec::new(), Output::Tensors(outputs), Finish::Complete)
    }

    /// What anybody may say that a model made of these inputs.
    pub fn claimed(model: Digest, inputs: Vec<Tensor>, outputs: Vec<Tensor>) -> Self {
        let input = Input::Tensors(List::new(inputs).unwrap());
        let request = request(model, input, Parameters::default());
        Self::new(request, Vec::new(), Output::Tensors(List::new(outputs).unwrap()), Finish::Complete)
    }

    fn new(request: Request, prompt: Vec<u32>, output: Output, finish: Finish) -> Self {
        let salt = |what: &[u8]| crypto::hash("og/test/salt", &[&request.nonce.0, what]);
        let opening = Opening {
            request_salt: salt(b"request"),
            prompt: List::new(prompt).unwrap(),
            prompt_salt: salt(b"prompt"),
            output,
            output_salt: salt(b"output"),
            request,
        };
        Self { opening, finish, spec_version: 1, worker: 1 }
    }

    pub fn tokens(&self) -> Vec<u32> {
        match &self.opening.output {
            Output::Tokens(tokens) => tokens.to_vec(),
            Output::Tensors(_) | Output::Scored(_) => panic!("tokens expected"),
        }
    }

    pub fn tensors(&self) -> Vec<Tensor> {
        match &self.opening.output {
            Output::Tensors(tensors) => tensors.to_vec(),
            Output::Tokens(_) | Output::Scored(_) => panic!("tensors expected"),
        }
    }

    /// The same with another first byte than the true answer's.
    #[must_use]
    pub fn lying(self) -> Self {
        let mut tensors = self.tensors();
        let mut data = tensors[0].data.to_vec();
        data[0] ^= 1;
        tensors[0].data = Bytes::new(data).unwrap();
        self.computing(tensors)
    }

    #[must_use]
    pub fn saying(mut self, tokens: Vec<u32>) -> Self {
        self.opening.output = Output::Tokens(List::new(tokens).unwrap());
        self
    }

    pub fn scored(&self) -> Scored {
        match &self.opening.output {
            Output::Scored(scored) => scored.clone(),
            Output::Tokens(_) | Output::Tensors(_) => panic!("scores expected"),
        }
    }

    #[must_use]
    pub fn scoring(mut self, scored: Scored) -> Self {
        self.opening.output = Output::Scored(scored);
        self
    }

    #[must_use]
    pub fn computing(mut self, tensors: Vec<Tensor>) -> Self {
        self.opening.output = Output::Tensors(List::new(tensors).unwrap());
        self
    }

    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A receipt that commits to exactly this opening, true or not.
    pub fn sign(&self) -> SignedReceipt {
        let (opening, request, key) = (&self.opening, &self.opening.request, key(self.worker));
        let commitment = request_commitment(&opening.request_salt, request);
        let receipt = Receipt {
            version: Version,
            spec_version: self.spec_version,
            chain_id: request.chain_id,
            request: commitment,
            prompt: prompt_commitment(&opening.prompt_salt, &opening.prompt),
            output: output_commitment(&opening.output_salt, &opening.output),
            model: request.model,
            parameters: (&request.parameters).into(),
            template_time_ms: request.template_time_ms,
            finish: self.finish,
            prompt_tokens: u32::try_from(opening.prompt.len()).unwrap(),
            output_tokens: u32::try_from(opening.output.tokens()).unwrap(),
            stream_head: StreamHead::start(&commitment).after(&opening.output).0,
            worker: node_id(&key.public_key()),
            worker_key: key.public_key(),
            key_valid_from: 0,
            gateway: request.gateway,
            sequence: 0,
            previous: Digest::ZERO,
            assurance: request.assurance,
            privacy: request.privacy,
            received_at_ms: 1,
            finished_at_ms: 2,
            parents: request.parents.clone(),
            payment: None,
            charge: 0,
            nonce: request.nonce,
        };
        receipt.sign(&key)
    }
}

pub fn floats(name: &str, count: u8) -> Tensor {
    Tensor {
        name: Text::new(name).unwrap(),
        element: Element::F32,
        shape: List::new(vec![1, u64::from(count)]).unwrap(),
        data: Bytes::new((0..count).flat_map(|i| (f32::from(i) / 8.0 - 1.0).to_le_bytes()).collect()).unwrap(),
    }
}

fn request(model: Digest, input: Input, parameters: Parameters) -> Request {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    Request {
        version: Version,
        chain_id: CHAIN,
        model,
        input,
        parameters,
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: 1_700_000_000_000,
        issued_at_ms: 1,
        gateway: key(2).public_key(),
        parents: List::default(),
        payment: None,
        nonce: crypto::hash("og/test/nonce", &[&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes()]),
    }
}

/// One auditor, one validator, one worker.
pub struct Stage {
    pub validator: Validator,
    pub worker: Worker,
    pub auditor: Auditor,
    pub folder: tempfile::TempDir,
    pub config: Config,
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (validator, worker) = (Validator::start().await, Worker::start(1).await);
        validator.register(&worker);
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(&folder.path().join("models")).unwrap();
        shelf.put(RISK).unwrap();
        let mut config = Config {
            listen: loopback(),
            directory: folder.path().to_owned(),
            chain_id: CHAIN,
            key: auditor_key(),
            validators: vec![validator.url()],
            hubs: Vec::new(),
            judge: None,
            windows: Windows::UNBOUNDED,
            rate: RATE_WHOLE,
        };
        change(&mut config);
        let auditor = Auditor::start(config.clone()).await.unwrap();
        Self { validator, worker, auditor, folder, config }
    }

    /// Stops the auditor and starts it again on the same directory.
    pub async fn restarted(self) -> Self {
        let Self { validator, worker, auditor, folder, config } = self;
        auditor.stop().await;
        for _ in 0..500 {
            match Auditor::start(config.clone()).await {
                // The old file is released a moment after the old auditor stopped.
                Err(AuditorError::Store(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                started => return Self { auditor: started.unwrap(), validator, worker, folder, config },
            }
        }
        panic!("the directory stays locked");
    }

    /// Anchors a receipt in the newest epoch; the worker opens it.
    pub fn anchor(&self, draft: &Draft) -> Digest {
        self.worker.keep(draft);
        self.validator.anchor(draft.sign())
    }

    pub async fn status(&self) -> Value {
        let bytes = Client::default().get_bytes(&format!("{}/status", self.auditor.url())).await.unwrap();
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

    /// Waits until the validator has taken so many transactions, and until no audit is under way.
    pub async fn settled(&self, actions: usize) {
        for _ in 0..1_000 {
            if self.validator.actions().len() >= actions {
                return self.until("pending", 0).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} actions: {}", self.validator.actions().len(), self.status().await);
    }
}
