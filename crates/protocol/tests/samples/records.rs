//! Samples of what is kept: receipts, openings, epochs, registry records, bundles, trust.

use crypto::{
    PublicKey, SigningKey, hash,
    threshold::{GroupKey, GroupSignature},
};
use protocol::{
    Assurance, Bundle, Bytes, Certificate, Chat, Constraint, Digest, Element, EpochRecord, EvmAddress, Finish, Input,
    KeyRecord, List, Message, ModelRecord, NodeRecord, Opening, Output, Parameters, Payer, Payment, Privacy, Prompt,
    Quote, Receipt, ReceiptStatus, Request, Role, ShortBundle, SignedReceipt, Speaker, Standing, Tariff, Tensor, Terms,
    Text, Tool, ToolCall, Trust, Version,
    bundle::{ReceiptInclusion, StateLeaf, StateProof, SumStep},
    payment::Basis,
    price::{Money, Price, Rate, Unit, WHOLE},
    registry::{ModelKind, OPEN_END, node_id},
    request::{
        Alternative, Score, Scored, ScoredToken, StreamHead, TokenBias, output_commitment, prompt_commitment,
        request_commitment,
    },
    short_bundle::{LaterEpoch, ShortInclusion, ShortRotation, ShortStatus},
};

use super::{Kind, noun, plain, settlement::certified_rotation};

pub fn kinds() -> Vec<Kind> {
    let (chat, tensors) = (opening(chat(), tokens()), opening(tensor_input(), tensor_output()));
    let (prompt, tools) = (opening(prompt(), scored()), opening(tools(), tokens()));
    let embed = opening(embed(), tensor_output());
    vec![
        noun(
            "request",
            requests([
                ("chat", &chat),
                ("tensors", &tensors),
                ("prompt", &prompt),
                ("tools", &tools),
                ("embed", &embed),
            ]),
        ),
        noun(
            "receipt",
            vec![
                ("chat", receipt(&chat)),
                ("tensors", receipt(&tensors)),
                ("hashed", receipt_of(&prompt, Privacy::Hashed)),
                ("full", receipt_of(&chat, Privacy::Full)),
            ],
        ),
        plain("signed_receipt", vec![("chat", signed_receipt())]),
        noun("opening", vec![("chat", chat), ("tensors", tensors), ("prompt", prompt)]),
        noun("epoch_record", vec![("plain", epoch(41))]),
        plain("certificate", vec![("plain", certificate())]),
        noun("bundle", vec![("open", bundle(true)), ("closed", bundle(false))]),
        noun("short_bundle", vec![("open", short_bundle(true)), ("closed", short_bundle(false))]),
        plain("trust", vec![("plain", trust())]),
        plain("node_record", vec![("worker", node_record())]),
        plain("key_record", vec![("current", key_record(OPEN_END)), ("retired", key_record(99))]),
        plain(
            "model_record",
            vec![("plain", model_record(ModelKind::Exact)), ("float", model_record(ModelKind::Float))],
        ),
        plain("receipt_status", vec![("audited", status(Standing::Audited)), ("refuted", status(Standing::Refuted))]),
    ]
}

pub fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

pub fn list<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).unwrap()
}

pub fn digest(name: &str) -> Digest {
    hash("og/test", &[name.as_bytes()])
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

pub fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

fn chat() -> Input {
    let say = |speaker, content| Message::say(speaker, text(content));
    Input::Chat(Chat::of(list(vec![say(Speaker::System, "Be brief."), say(Speaker::User, "Wie geht's? ✓")])))
}

fn tools() -> Input {
    let call = ToolCall { id: text("call_1"), name: text("height"), arguments: text(r#"{"of":"K2"}"#) };
    let asks = Message {
        reasoning: text("I do not know it."),
        tool_calls: list(vec![call]),
        ..Message::say(Speaker::Assistant, text(""))
    };
    let answers =
        Message { tool_call_id: text("call_1"), name: text("height"), ..Message::say(Speaker::Tool, text("8611 m")) };
    let parameters = text(r#"{"type":"object","properties":{"of":{"type":"string"}}}"#);
    Input::Chat(Chat {
        messages: list(vec![Message::say(Speaker::User, text("How high is K2?")), asks, answers]),
        tools: list(vec![Tool { name: text("height"), description: text("Of a mountain."), parameters }]),
        template_arguments: text(r#"{"enable_thinking":false}"#),
    })
}

fn prompt() -> Input {
    Input::Prompt(Prompt::Text(text("Once upon")))
}

fn embed() -> Input {
    Input::Embed(list(vec![Prompt::Text(text("a")), Prompt::Tokens(list(vec![1, 2]))]))
}

pub fn score(logprob_micros: i32) -> Score {
    let other = |token, logprob_micros| Alternative { token, logprob_micros };
    Score { logprob_micros, alternatives: list(vec![other(5, -1), other(9, -2_000_000_000)]) }
}

fn scored() -> Output {
    let tokens = list(vec![ScoredToken { token: 5, score: score(-1) }]);
    Output::Scored(Scored { prompt: list(vec![score(-3), score(-4)]), tokens })
}

fn requests<const N: usize>(openings: [(&'static str, &Opening); N]) -> Vec<(&'static str, Request)> {
    openings.into_iter().map(|(name, opening)| (name, opening.request.clone())).collect()
}

fn tokens() -> Output {
    Output::Tokens(list(vec![5, 6, 4_000_000_000]))
}

fn tensor(name: &str, element: Element, shape: Vec<u64>) -> Tensor {
    let bytes = shape.iter().product::<u64>() as usize * element.bytes();
    let data = Bytes::new((0..bytes).map(|byte| byte as u8).collect()).unwrap();
    Tensor { name: text(name), element, shape: list(shape), data }
}

fn tensor_input() -> Input {
    Input::Tensors(list(vec![tensor("window", Element::F32, vec![1, 3]), tensor("flag", Element::Bool, vec![])]))
}

fn tensor_output() -> Output {
    Output::Tensors(list(vec![tensor("score", Element::F64, vec![1])]))
}

/// Dollars for a chat, by the token; OPG for a prompt, by the call; nothing for tensors.
fn payment(input: &Input) -> Option<Payment> {
    let money = |unit, decimals| Money { unit, decimals };
    let price =
        |unit| Price { unit, per_call: 1, per_input_token: WHOLE / 1_000_000, per_output_token: WHOLE / 100_000 };
    let rate = Some(Rate { usd_per_opg: WHOLE / 10, at_ms: 1_790_000_000_000 });
    let (basis, tariff) = match input {
        Input::Chat(_) => {
            (Basis::Metered, Tariff { price: price(Unit::Usd), per_mille: 1_050, money: money(Unit::Usd, 6), rate })
        }
        Input::Prompt(_) => (
            Basis::Whole,
            Tariff { price: price(Unit::Opg), per_mille: 1_000, money: money(Unit::Opg, 18), rate: None },
        ),
        Input::Tensors(_) | Input::Embed(_) => return None,
    };
    let terms = Terms { tariff, basis, max: Quote { amount: 1_500, opg: u128::MAX } };
    let (asset, account) = (EvmAddress([0xa5; 20]), EvmAddress([0x5a; 20]));
    let payer = Payer { network: 8_453, asset, account, purse: digest("purse") };
    Some(Payment { payer, salt: digest("payer salt"), terms })
}

pub fn request(input: Input) -> Request {
    let payment = payment(&input);
    let stop = list(vec![text("###"), text("\n\n")]);
    Request {
        version: Version,
        chain_id: 7,
        model: digest("model"),
        input,
        parameters: Parameters {
            max_tokens: 64,
            temperature_micros: 700_000,
            seed: u64::MAX,
            stop,
            presence_penalty_micros: -2_000_000,
            logit_bias: list(vec![TokenBias { token: 3, bias_micros: -100_000_000 }]),
            constraint: Some(Constraint::JsonSchema(text(r#"{"type":"object"}"#))),
            ..Parameters::default()
        },
        assurance: Assurance::Audited,
        privacy: Privacy::Private,
        template_time_ms: 1_790_000_000_000,
        issued_at_ms: 1_790_000_000_123,
        gateway: public(12),
        parents: list(vec![digest("parent")]),
        payment,
        nonce: digest("nonce"),
    }
}

fn opening(input: Input, output: Output) -> Opening {
    let prompt = if matches!(input, Input::Tensors(_)) { vec![] } else { vec![1, 17, 300] };
    Opening {
        request: request(input),
        request_salt: digest("request salt"),
        prompt: list(prompt),
        prompt_salt: digest("prompt salt"),
        output,
        output_salt: digest("output salt"),
    }
}

pub fn chat_opening() -> Opening {
    opening(chat(), tokens())
}

pub fn tensor_frames() -> List<Tensor, 64> {
    list(vec![tensor("score", Element::I8, vec![2, 2])])
}

fn receipt(opening: &Opening) -> Receipt {
    let (request, key) = (&opening.request, public(11));
    let commitment = request_commitment(&opening.request_salt, request);
    let finish = if matches!(opening.output, Output::Tensors(_)) { Finish::Complete } else { Finish::Stop };
    Receipt {
        version: Version,
        spec_version: 1,
        chain_id: request.chain_id,
        request: commitment,
        prompt: prompt_commitment(&opening.prompt_salt, &opening.prompt),
        output: output_commitment(&opening.output_salt, &opening.output),
        model: request.model,
        parameters: (&request.parameters).into(),
        template_time_ms: request.template_time_ms,
        finish,
        prompt_tokens: opening.prompt.len() as u32,
        output_tokens: opening.output.tokens() as u32,
        stream_head: StreamHead::start(&commitment).after(&opening.output).0,
        worker: node_id(&key),
        worker_key: key,
        key_valid_from: 2,
        gateway: request.gateway,
        sequence: 3,
        previous: digest("previous"),
        assurance: request.assurance,
        privacy: request.privacy,
        received_at_ms: 1_790_000_000_200,
        finished_at_ms: 1_790_000_000_900,
        parents: request.parents.clone(),
        payment: None,
        charge: 0,
        nonce: request.nonce,
    }
    .billed(request)
}

fn receipt_of(opening: &Opening, privacy: Privacy) -> Receipt {
    let mut opening = opening.clone();
    opening.request.privacy = privacy;
    receipt(&opening)
}

pub fn signed_receipt() -> SignedReceipt {
    receipt(&chat_opening()).sign(&key(11))
}

pub fn epoch(number: u64) -> EpochRecord {
    EpochRecord {
        version: Version,
        chain_id: 7,
        epoch: number,
        first_height: 1_600,
        last_height: 1_639,
        time_ms: 1_790_000_001_000,
        history_root: digest("history"),
        receipts_root: digest("receipts"),
        receipts_count: 3,
        receipts_sum: 4_500_000_000_000_000_000_000,
        verdicts_root: digest("verdicts"),
        state_root: digest("state"),
        challenge_window: 15,
    }
}

pub fn certificate() -> Certificate {
    Certificate { epoch: 41, signature: GroupSignature([0xab; 48]) }
}

fn state_proof(found: Option<&str>) -> StateProof {
    let found = found.map(|name| StateLeaf { key: digest(name), value: digest("value") });
    StateProof { siblings: list(vec![digest("a"), Digest::ZERO, digest("b")]), found }
}

fn bundle(open: bool) -> Bundle {
    let step = |name| SumStep { digest: digest(name), sum: u128::MAX };
    Bundle {
        version: Version,
        chain_id: 7,
        receipt: signed_receipt(),
        opening: open.then(chat_opening),
        inclusion: ReceiptInclusion { epoch: epoch(38), index: 1, path: list(vec![step("x"), step("y")]) },
        as_of: epoch(41),
        certificate: certificate(),
        history: list(vec![digest("h0"), digest("h1")]),
        key: key_record(OPEN_END),
        key_proof: state_proof(Some("key")),
        status: status(Standing::Anchored),
        status_proof: state_proof(None),
        rotations: list(if open { Vec::new() } else { vec![certified_rotation()] }),
    }
}

/// In the right shape; leads to no whole one.
fn short_bundle(open: bool) -> ShortBundle {
    let (anchoring, later) = (epoch(38), epoch(41));
    let rotation = certified_rotation();
    let (serial, key) = (rotation.rotation.serial, rotation.rotation.key);
    ShortBundle {
        version: Version,
        receipt: signed_receipt(),
        opening: open.then(chat_opening),
        inclusion: ShortInclusion {
            epoch: anchoring.epoch,
            first_height: anchoring.first_height,
            last_height: anchoring.last_height,
            time_ms: anchoring.time_ms,
            history_root: anchoring.history_root,
            receipts_count: anchoring.receipts_count,
            verdicts_root: anchoring.verdicts_root,
            state_root: anchoring.state_root,
            challenge_window: anchoring.challenge_window,
            index: 1,
            path: list(vec![SumStep { digest: digest("x"), sum: u128::MAX }]),
        },
        as_of: open.then(|| LaterEpoch {
            epoch: later.epoch,
            first_height: later.first_height,
            last_height: later.last_height,
            time_ms: later.time_ms,
            receipts_root: later.receipts_root,
            receipts_count: later.receipts_count,
            receipts_sum: later.receipts_sum,
            verdicts_root: later.verdicts_root,
            challenge_window: later.challenge_window,
            history: list(vec![digest("h0"), digest("h1")]),
        }),
        certificate: certificate().signature,
        key_valid_until: if open { OPEN_END } else { 99 },
        key_path: list(vec![digest("a"), Digest::ZERO, digest("b")]),
        status: ShortStatus {
            gateway: node_id(&public(12)),
            standing: Standing::Audited,
            audits: 2,
            slashed: 500_000_000_000_000_000_000,
        },
        status_path: list(vec![digest("c")]),
        rotations: list(match open {
            true => Vec::new(),
            false => vec![ShortRotation { serial, key, signature: rotation.signature }],
        }),
    }
}

fn trust() -> Trust {
    Trust { version: Version, network: text("devnet"), chain_id: 7, network_key: GroupKey([0xcd; 96]) }
}

pub fn node_record() -> NodeRecord {
    NodeRecord {
        node: node_id(&public(11)),
        role: Role::Worker,
        operator: EvmAddress([0xa1; 20]),
        payout: EvmAddress([0xa2; 20]),
        endpoint: text("http://127.0.0.1:7101"),
        stake: 10_000_000_000_000_000_000_000,
        slashed: 0,
        jailed: false,
        registered_epoch: 2,
        models: list(vec![digest("model"), digest("scorer")]),
    }
}

fn key_record(valid_until: u64) -> KeyRecord {
    KeyRecord { key: public(11), node: node_id(&public(11)), role: Role::Worker, valid_from: 2, valid_until }
}

fn model_record(kind: ModelKind) -> ModelRecord {
    ModelRecord {
        root: digest("model"),
        name: text("og-demo"),
        kind,
        publisher: EvmAddress([0xa1; 20]),
        published_epoch: 0,
        published_at_ms: 1_789_999_999_000,
    }
}

pub fn status(standing: Standing) -> ReceiptStatus {
    ReceiptStatus {
        receipt: digest("receipt"),
        worker: node_id(&public(11)),
        gateway: node_id(&public(12)),
        epoch: 38,
        index: 1,
        standing,
        audits: 2,
        slashed: 500_000_000_000_000_000_000,
    }
}
