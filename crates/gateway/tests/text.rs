//! Text is what its tokens say, or it is not acknowledged.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod stub;

use engine::Model;
use graph::LanguageKind;
use network::{
    Server,
    axum::{Router, extract::Path, routing::get},
};
use protocol::{
    SignedReceipt,
    request::{Alternative, Sampling},
};
use serde_json::{Value, json};
use stub::{
    Behaviour, Client, Stage, Validator, config, pace, restart,
    worker::{SENTENCE, WORDS, bytes_as_tokens},
};

async fn hub(artefact: Vec<u8>) -> Server {
    // What is no artefact has no head, and goes out as it is.
    let head = graph::Head::cut(&artefact.clone().into()).unwrap_or(artefact);
    let serve = move |Path(_): Path<String>| async move { head };
    let router = Router::new().route("/artefacts/{root}/head", get(serve));
    Server::start(stub::loopback(), router, network::Limits::default()).await.unwrap()
}

/// A stage whose gateway asks `hub`, and whose model is the tiny one.
async fn stage(behaviour: Behaviour, hub: &Server) -> (Stage, String) {
    stage_of(&support::artefact(LanguageKind::Integer), behaviour, hub).await
}

async fn stage_of(artefact: &[u8], behaviour: Behaviour, hub: &Server) -> (Stage, String) {
    let root = Model::load(artefact.to_vec()).unwrap().root();
    let Stage { validator, gateway, folder, workers, .. } = Stage::with(&[behaviour]).await;
    gateway.stop().await;
    publish(&validator, root);
    let mut config = config(&validator, &folder, pace());
    config.hubs = vec![hub.url()];
    let gateway = restart(config).await;
    let stage = Stage { client: Client::new(gateway.address()), validator, gateway, folder, workers };
    let body = stub::client::chat_body(r#","stream":true"#).replace("tiny", &root.to_string());
    (stage, body)
}

fn publish(validator: &Validator, root: protocol::Digest) {
    validator.change(|ledger| {
        ledger.models[0].root = root;
        for node in &mut ledger.nodes {
            node.models = protocol::List::new(vec![root]).unwrap();
        }
    });
}

#[tokio::test]
async fn text_that_its_tokens_do_not_say_is_not_acknowledged() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Honest, &hub).await;
    let answer = stage.client.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.streamed_text(), WORDS.concat());
    assert!(answer.body.contains("not what its tokens say"), "{}", answer.body);
    assert!(!answer.is_done() && !answer.body.contains("receipt_id"));
}

#[tokio::test]
async fn text_that_its_tokens_say_passes_however_it_is_cut() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Says(bytes_as_tokens), &hub).await;
    let answer = stage.client.post("/v1/chat/completions", &body).await;
    assert!(answer.is_done(), "{}", answer.body);
    assert_eq!(answer.streamed_text(), SENTENCE);
    let metrics = stage.client.get("/metrics").await.body;
    assert!(metrics.contains("og_gateway_texts_unchecked_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_hub_that_lies_or_is_away_stops_no_answer_but_is_counted() {
    for artefact in [b"nonsense".to_vec(), support::artefact(LanguageKind::Ordered)] {
        let hub = hub(artefact).await;
        let (stage, body) = stage(Behaviour::Honest, &hub).await;
        let answer = stage.client.post("/v1/chat/completions", &body).await;
        assert!(answer.is_done(), "{}", answer.body);
        let metrics = stage.client.get("/metrics").await.body;
        assert!(metrics.contains("og_gateway_texts_unchecked_total 1\n"), "{metrics}");
    }
}

#[tokio::test]
async fn scores_are_told_in_the_words_of_the_models_tokenizer() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Utters("ab"), &hub).await;
    let scored = body.replace(r#""stream":true"#, r#""logprobs":true,"top_logprobs":2"#);
    let answer = stage.client.post("/v1/chat/completions", &scored).await;
    let told = answer.json()["choices"][0]["logprobs"]["content"].clone();
    assert_eq!((told[0]["token"].as_str(), told[1]["token"].as_str()), (Some("a"), Some("b")), "{}", answer.body);
    assert_eq!(told[1]["logprob"], -0.104);
    assert_eq!(told[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(told[0]["bytes"], serde_json::json!([97]));
    let model = stage.validator.change(|ledger| ledger.models[0].root);
    let completion = format!(r#"{{"model":"{model}","prompt":[103,104,105],"echo":true,"logprobs":1,"max_tokens":1}}"#);
    let answer = stage.client.post("/v1/completions", &completion).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["text"], "abca");
    assert_eq!(choice["logprobs"]["tokens"], serde_json::json!(["a", "b", "c", "a"]));
    assert_eq!(choice["logprobs"]["token_logprobs"], serde_json::json!([null, -0.104, -0.105, -0.103]));
    assert_eq!(choice["logprobs"]["text_offset"], serde_json::json!([0, 1, 2, 3]));
    assert!(choice["logprobs"]["top_logprobs"][0].is_null());
}

#[tokio::test]
async fn a_worker_that_names_more_alternatives_than_were_asked_for_or_one_twice_has_failed() {
    type Lie = fn(&mut Vec<Alternative>);
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, body) = stage(Behaviour::Honest, &hub).await;
    let lies: [(Lie, &str); 2] = [
        (|named| named.push(Alternative { token: 99, logprob_micros: 0 }), "3 alternatives to a token, at most 2"),
        (|named| named[1] = named[0].clone(), "named an alternative twice"),
    ];
    for (lie, told) in lies {
        stage.workers[0].behave(Behaviour::Names(lie));
        for scored in [r#""logprobs":true,"top_logprobs":2"#, r#""logprobs":true,"top_logprobs":2,"stream":true"#] {
            let answer = stage.client.post("/v1/chat/completions", &body.replace(r#""stream":true"#, scored)).await;
            assert_eq!(answer.error().1, "worker_failed");
            assert!(answer.body.contains(told), "{}", answer.body);
        }
    }
}

/// The tiny model whose language is changed.
fn with(change: impl FnOnce(&mut graph::Language)) -> Vec<u8> {
    let (mut model, _) = graph::Model::from_artefact(&support::artefact(LanguageKind::Integer).into()).unwrap();
    let graph::Purpose::Language(language) = &mut model.purpose else { panic!("a language model") };
    change(language);
    model.to_artefact()
}

/// The tiny model whose head says something else.
fn with_defaults(defaults: graph::Defaults) -> Vec<u8> {
    with(|language| language.defaults = defaults)
}

/// One whose template knows thoughts and calls, and begins thoughts where it is told to.
fn thinker() -> Vec<u8> {
    let begins = "{%- if enable_thinking is defined and enable_thinking -%}{{- '<think>\n' -}}{%- endif -%}";
    with(|language| language.template = ["{#- <tool_call></think> -#}", support::TEMPLATE, begins].concat())
}

/// Thoughts, a sentence, and a call between the tiny model's own marks, which have no text.
fn thinks_and_calls(_: &str) -> Vec<(u32, String)> {
    let mut tokens = bytes_as_tokens("<think>\nhm\n</think>\n\nSo.");
    tokens.push((3, String::new()));
    tokens.extend(bytes_as_tokens(r#"{"name":"find","arguments":{"q":1}}"#));
    tokens.push((4, String::new()));
    tokens
}

/// What follows where the prompt has begun thoughts.
fn goes_on_thinking(_: &str) -> Vec<(u32, String)> {
    bytes_as_tokens("hm\n</think>\n\nTwo.")
}

/// The data of events with names.
fn named_events(body: &str) -> Vec<Value> {
    let data = |event: &str| serde_json::from_str(event.split_once("\ndata: ")?.1).ok();
    body.split("\n\n").filter_map(data).collect()
}

/// What the deltas of a kind come to, and all that they say.
fn told(events: &[Value], kind: &str, name: &str) -> String {
    let deltas = events.iter().filter(|event| event["type"] == kind);
    let text = |event: &Value| event["delta"].as_str().or(event["delta"][name].as_str()).unwrap_or_default().to_owned();
    deltas.map(text).collect()
}

#[tokio::test]
async fn completions_tell_thoughts_calls_and_text_apart_also_where_marks_have_no_text() {
    let artefact = thinker();
    let hub = hub(artefact.clone()).await;
    let (stage, body) = stage_of(&artefact, Behaviour::Says(thinks_and_calls), &hub).await;
    let tools = r#","max_tokens":200,"tools":[{"type":"function","function":{"name":"find","parameters":{}}}]"#;
    let whole = stage.client.post("/v1/chat/completions", &body.replace(r#","stream":true"#, tools)).await.json();
    let (choice, usage) = (&whole["choices"][0], &whole["usage"]);
    assert_eq!(choice["message"]["reasoning_content"], "hm\n", "{whole}");
    assert_eq!(choice["message"]["content"], "So.");
    assert_eq!(choice["message"]["tool_calls"][0]["function"], json!({ "name": "find", "arguments": r#"{"q":1}"# }));
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], "<think>\nhm\n</think>".len());
    let streamed = stage.client.post("/v1/chat/completions", &body.replace(r#"}]"#, &format!("}}]{tools}"))).await;
    let delta = |event: &Value| event["choices"][0]["delta"].clone();
    let deltas: Vec<Value> = streamed.events().iter().map(delta).collect();
    let thought: String = deltas.iter().filter_map(|delta| delta["reasoning_content"].as_str()).collect();
    assert_eq!((thought.as_str(), streamed.streamed_text().as_str()), ("hm\n", "So."));
    let call = deltas.iter().find(|delta| delta["tool_calls"].is_array()).unwrap();
    assert_eq!(call["tool_calls"][0]["function"]["name"], "find");
    assert!(streamed.is_done() && !streamed.body.contains("<tool_call>"), "{}", streamed.body);
}

#[tokio::test]
async fn responses_have_an_item_and_messages_a_block_of_thoughts() {
    let artefact = thinker();
    let root = Model::load(artefact.clone()).unwrap().root();
    let hub = hub(artefact.clone()).await;
    let (stage, _) = stage_of(&artefact, Behaviour::Says(thinks_and_calls), &hub).await;
    let ask = |fields: &str| {
        let tool = r#"{"type":"function","name":"find","parameters":{}}"#;
        format!(r#"{{"model":"{root}","input":"hi","max_output_tokens":200,"tools":[{tool}]{fields}}}"#)
    };
    let whole = stage.client.post("/v1/responses", &ask("")).await.json();
    let kinds: Vec<&str> =
        whole["output"].as_array().unwrap().iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"], "{whole}");
    assert_eq!(whole["output"][0]["content"], json!([{ "type": "reasoning_text", "text": "hm\n" }]));
    assert_eq!((&whole["output"][0]["summary"], &whole["output"][0]["status"]), (&json!([]), &json!("completed")));
    assert_eq!(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 19);
    let events = named_events(&stage.client.post("/v1/responses", &ask(r#","stream":true"#)).await.body);
    assert_eq!(told(&events, "response.reasoning_text.delta", ""), "hm\n");
    assert_eq!(told(&events, "response.output_text.delta", ""), "So.");
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    let items: Value = done.map(|event| event["item"].clone()).collect();
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["response"]["output"]), (&json!("response.completed"), &items));
    let ask = |fields: &str| {
        let tools = r#"[{"name":"find","input_schema":{"type":"object"}}]"#;
        let messages = r#"[{"role":"user","content":"hi"}]"#;
        format!(r#"{{"model":"{root}","max_tokens":200,"messages":{messages},"tools":{tools}{fields}}}"#)
    };
    let whole = stage.client.post("/v1/messages", &ask("")).await.json();
    assert_eq!(whole["content"][0], json!({ "type": "thinking", "thinking": "hm\n", "signature": "" }));
    let kinds = [&whole["content"][1]["text"], &whole["content"][2]["name"], &whole["stop_reason"]];
    assert_eq!(kinds, [&json!("So."), &json!("find"), &json!("tool_use")]);
    let events = named_events(&stage.client.post("/v1/messages", &ask(r#","stream":true"#)).await.body);
    let begun = events.iter().filter_map(|event| event["content_block"]["type"].as_str()).collect::<Vec<_>>();
    assert_eq!(begun, ["thinking", "text", "tool_use"]);
    assert_eq!(told(&events, "content_block_delta", "thinking"), "hm\n");
}

#[tokio::test]
async fn thoughts_that_the_prompt_has_begun_are_thoughts_from_the_first_token_on() {
    let artefact = thinker();
    let root = Model::load(artefact.clone()).unwrap().root();
    let hub = hub(artefact.clone()).await;
    let (stage, body) = stage_of(&artefact, Behaviour::Says(goes_on_thinking), &hub).await;
    for (thinks, thought, text) in [(true, json!("hm\n"), "Two."), (false, Value::Null, "hm\n</think>\n\nTwo.")] {
        let fields = format!(r#","chat_template_kwargs":{{"enable_thinking":{thinks}}}"#);
        let asked = body.replace(r#","stream":true"#, &fields);
        let whole = stage.client.post("/v1/chat/completions", &asked).await.json();
        let message = &whole["choices"][0]["message"];
        assert_eq!((&message["reasoning_content"], &message["content"]), (&thought, &json!(text)), "{whole}");
        let streamed = stage.client.post("/v1/chat/completions", &body.replace(r#"}]"#, &format!("}}]{fields}"))).await;
        assert_eq!(streamed.streamed_text(), text);
    }
    // What is bound from its first token on has no thoughts, whatever its prompt began.
    for bound in [r#""response_format":{"type":"json_object"}"#, r#""og":{"regex":"[^x]*"}"#] {
        let asked = body
            .replace(r#","stream":true"#, &format!(r#",{bound},"chat_template_kwargs":{{"enable_thinking":true}}"#));
        let message = stage.client.post("/v1/chat/completions", &asked).await.json()["choices"][0]["message"].clone();
        assert_eq!(
            (&message["reasoning_content"], &message["content"]),
            (&Value::Null, &json!("hm\n</think>\n\nTwo."))
        );
    }
    let ask = |thinking: &str| {
        let messages = r#"[{"role":"user","content":"hi"}]"#;
        format!(r#"{{"model":"{root}","max_tokens":200,"messages":{messages},"thinking":{thinking}}}"#)
    };
    for enabled in [r#"{"type":"enabled","budget_tokens":200}"#, r#"{"type":"adaptive"}"#] {
        let whole = stage.client.post("/v1/messages", &ask(enabled)).await.json();
        assert_eq!((&whole["content"][0]["thinking"], &whole["content"][1]["text"]), (&json!("hm\n"), &json!("Two.")));
    }
    let whole = stage.client.post("/v1/messages", &ask(r#"{"type":"disabled"}"#)).await.json();
    assert_eq!(whole["content"][0]["type"], "text", "{whole}");
}

#[tokio::test]
async fn a_model_that_does_not_think_is_asked_for_no_thoughts_and_what_looks_like_them_is_its_text() {
    let artefact = support::artefact(LanguageKind::Integer);
    let root = Model::load(artefact.clone()).unwrap().root();
    let hub = hub(artefact).await;
    let (stage, body) = stage(Behaviour::Says(thinks_and_calls), &hub).await;
    let whole =
        stage.client.post("/v1/chat/completions", &body.replace(r#""stream":true"#, r#""max_tokens":200"#)).await;
    let whole = whole.json();
    let message = &whole["choices"][0]["message"];
    assert!(message["content"].as_str().unwrap().starts_with("<think>\nhm\n</think>\n\nSo."), "{message}");
    assert!(message.get("reasoning_content").is_none() && whole["usage"].get("completion_tokens_details").is_none());
    let messages = r#""max_tokens":9,"messages":[{"role":"user","content":"hi"}]"#;
    for (path, thinking) in [
        ("/v1/messages", r#"{"type":"enabled","budget_tokens":9}"#),
        ("/v1/messages", r#"{"type":"adaptive"}"#),
        ("/v1/messages/count_tokens", r#"{"type":"enabled","budget_tokens":9}"#),
    ] {
        let ask = format!(r#"{{"model":"{root}",{messages},"thinking":{thinking}}}"#);
        let expected = (400, "unsupported_parameter".to_owned(), "thinking".to_owned());
        assert_eq!(stage.client.post(path, &ask).await.error(), expected, "{thinking}");
    }
    assert_eq!(stage.workers[0].jobs(), 1);
}

/// What the receipts of an answer without a stream say of sampling.
async fn sampling(stage: &Stage, body: &str) -> Vec<Sampling> {
    let headers = "content-type: application/json\r\nx-og-opening: include\r\n";
    let answer = stage.client.post_with("/v1/chat/completions", headers, body).await.json();
    let told = answer["og"].as_array().cloned().unwrap_or_else(|| vec![answer["og"].clone()]);
    let receipt = |og: &serde_json::Value| -> SignedReceipt {
        api::face::read(og["receipt"].to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {answer}"))
    };
    told.iter().map(|og| receipt(og).receipt.parameters).collect()
}

#[tokio::test]
async fn what_a_caller_leaves_out_is_what_the_models_head_says_and_stands_in_the_receipts() {
    let defaults = graph::Defaults {
        temperature_micros: 800_000,
        top_p_micros: 900_000,
        top_k: 30,
        min_p_micros: 50_000,
        repetition_penalty_micros: 1_100_000,
        presence_penalty_micros: -300_000,
        frequency_penalty_micros: 200_000,
        ..graph::Defaults::greedy(500)
    };
    let artefact = with_defaults(defaults);
    let hub = hub(artefact.clone()).await;
    let (stage, body) = stage_of(&artefact, Behaviour::Says(bytes_as_tokens), &hub).await;
    let ask = |fields: &str| body.replace(r#","stream":true"#, fields);
    let four = sampling(&stage, &ask(r#","n":4"#)).await;
    let chosen =
        |sampling: &Sampling| (sampling.max_tokens, sampling.temperature_micros, sampling.top_p_micros, sampling.top_k);
    assert!(four.len() == 4 && four.iter().all(|sampling| chosen(sampling) == (500, 800_000, 900_000, 30)), "{four:?}");
    let penalties = |told: &Sampling| {
        let of_counts = (told.presence_penalty_micros, told.frequency_penalty_micros);
        (told.min_p_micros, told.repetition_penalty_micros, of_counts)
    };
    assert!(four.iter().all(|told| penalties(told) == (50_000, 1_100_000, (-300_000, 200_000))), "{four:?}");
    let seeds: std::collections::BTreeSet<u64> = four.iter().map(|sampling| sampling.seed).collect();
    assert_eq!(seeds.len(), 4);
    let named = r#","temperature":0,"max_tokens":400,"top_p":1,"og":{"top_k":0}"#;
    let named = sampling(&stage, &ask(named)).await;
    assert_eq!((chosen(&named[0]), named[0].seed), ((400, 0, 1_000_000, 0), 0));
    let named = r#","min_p":0,"repetition_penalty":1,"presence_penalty":0,"frequency_penalty":0"#;
    assert_eq!(penalties(&sampling(&stage, &ask(named)).await[0]), (0, 1_000_000, (0, 0)));
    let response = format!(r#"{{"model":"{}","input":"hi"}}"#, Model::load(artefact).unwrap().root());
    let told = stage.client.post("/v1/responses", &response).await.json();
    assert_eq!((&told["temperature"], &told["top_p"]), (&serde_json::json!(0.8), &serde_json::json!(0.9)));
    assert_eq!(
        (&told["presence_penalty"], &told["frequency_penalty"]),
        (&serde_json::json!(-0.3), &serde_json::json!(0.2))
    );
}

#[tokio::test]
async fn several_answers_are_no_copies_unless_their_caller_wants_them() {
    let greedy = graph::Defaults { top_p_micros: u32::MAX, ..graph::Defaults::greedy(u32::MAX) };
    let artefact = with_defaults(greedy);
    let hub = hub(artefact.clone()).await;
    let (stage, body) = stage_of(&artefact, Behaviour::Says(bytes_as_tokens), &hub).await;
    let ask = |fields: &str| body.replace(r#","stream":true"#, fields);
    for (fields, temperature) in [("", 0), (r#","n":2"#, 1_000_000), (r#","n":2,"temperature":0"#, 0)] {
        let told = sampling(&stage, &ask(fields)).await;
        let expected = (4_096, temperature, 1_000_000);
        let within = |told: &Sampling| (told.max_tokens, told.temperature_micros, told.top_p_micros) == expected;
        assert!(told.iter().all(within), "{fields}: {told:?}");
    }
}

#[tokio::test]
async fn where_no_hub_has_the_models_head_sampling_is_as_other_services_do_it() {
    let stage = Stage::with(&[Behaviour::Honest]).await;
    let told = sampling(&stage, &stub::client::chat_body("")).await;
    assert_eq!((told[0].max_tokens, told[0].temperature_micros, told[0].top_p_micros), (1_024, 1_000_000, 1_000_000));
}

#[tokio::test]
async fn tokens_of_a_conversation_are_counted_without_a_worker() {
    let hub = hub(support::artefact(LanguageKind::Integer)).await;
    let (stage, _) = stage(Behaviour::Honest, &hub).await;
    let model = stage.validator.change(|ledger| ledger.models[0].root);
    let tool =
        |name: &str| format!(r#"{{"type":"function","name":"find","description":"d","{name}":{{"type":"object"}}}}"#);
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    for (path, asked, tools, object) in [
        ("/v1/messages/count_tokens", messages, tool("input_schema"), None),
        ("/v1/responses/input_tokens", r#""input":"hi""#, tool("parameters"), Some("response.input_tokens")),
    ] {
        let mut counts = Vec::new();
        for tools in ["", &format!(r#","tools":[{tools}]"#)] {
            let ask = format!(r#"{{"model":"{model}",{asked}{tools}}}"#);
            let counted = stage.client.post(path, &ask).await.json();
            assert_eq!(counted["object"].as_str(), object);
            counts.push(counted["input_tokens"].as_u64().unwrap());
        }
        assert!(counts[0] > 2, "{path}: {counts:?}");
        // The tiny model's template shows no tools; where one does, they count.
        assert!(counts[1] >= counts[0], "{path}: {counts:?}");
    }
    assert_eq!(stage.workers[0].jobs(), 0);
}
