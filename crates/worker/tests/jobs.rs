//! Jobs over loopback: what is answered, what is refused, and what a reader's leaving means.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use std::{ffi::OsString, time::Duration};

use protocol::{
    Assurance, Constraint, Digest, Finish, Input, List, Output, Parameters, Prompt, Request, Role, Text,
    registry::node_id,
    service::{FailedFrame, Failure},
};
use stage::{CHAIN, Stage, auditor_key, chat, chat_model, gateway_key, key, now_ms, risk, worker_key};
use worker::{Worker, WorkerError};

fn says(failed: &FailedFrame, failure: Failure, words: &str) {
    assert_eq!(failed.failure, failure, "{}", &*failed.message);
    assert!(failed.message.contains(words), "{}", &*failed.message);
}

#[tokio::test]
async fn an_answer_is_streamed_and_its_receipt_is_whole() {
    let stage = Stage::new().await;
    let request = chat(9);
    let answered = stage.ask(request.clone()).await;
    let streamed: Vec<u32> = answered.tokens.iter().map(|frame| frame.token).collect();
    let done = answered.done();
    let receipt = &done.receipt.receipt;
    assert!(done.receipt.signature_holds());
    assert_eq!(done.opening.matches(receipt), Ok(()));
    assert_eq!(done.opening.request, request);
    assert_eq!(done.opening.output, Output::Tokens(List::new(streamed.clone()).unwrap()));
    assert_eq!((done.finish, receipt.finish, streamed.len()), (Finish::Length, Finish::Length, 9));
    assert_eq!((receipt.worker, receipt.key_valid_from), (node_id(&worker_key().public_key()), 3));
    assert!(receipt.received_at_ms <= receipt.finished_at_ms && receipt.finished_at_ms <= now_ms());
    let expected = chat_model();
    let expected = expected.as_language().unwrap();
    let truth = expected.generate(&done.opening.prompt, &request.parameters, &mut |_| engine::Flow::Continue);
    assert_eq!(truth.unwrap().tokens, streamed);
}

#[tokio::test]
async fn tensors_are_answered_and_receipts_form_a_chain() {
    let stage = Stage::new().await;
    let mut previous = Digest::ZERO;
    for sequence in 0..3 {
        let answered = stage.ask(risk()).await;
        let outputs = answered.tensors.clone().unwrap();
        let done = answered.done();
        assert_eq!(done.opening.output, Output::Tensors(outputs));
        let receipt = done.receipt.receipt;
        assert_eq!((receipt.sequence, receipt.previous), (sequence, previous));
        previous = receipt.id();
    }
    assert_eq!(stage.worker.chain().await.previous, previous);
}

#[tokio::test]
async fn a_receipt_is_durable_before_the_last_frame_is_sent() {
    let stage = Stage::new().await;
    for _ in 0..5 {
        let done = stage.ask(risk()).await.done();
        // The store shows only what was committed.
        let opening = stage.opening(done.receipt.receipt.id(), &auditor_key()).await.unwrap();
        assert_eq!(opening, done.opening);
    }
}

#[tokio::test]
async fn each_wrong_job_is_refused_and_none_leaves_a_receipt() {
    let stage = Stage::new().await;
    let changed = |change: fn(&mut Request)| {
        let mut request = risk();
        change(&mut request);
        request
    };
    let other_chain = stage.ask(changed(|request| request.chain_id = 1)).await.failed();
    says(&other_chain, Failure::BadRequest, &format!("for chain 1, this is chain {CHAIN}"));
    for (late, words) in [(-61_000_i64, "more than 60 s"), (61_000, "more than 60 s")] {
        let request = Request { issued_at_ms: now_ms().saturating_add_signed(late), ..risk() };
        says(&stage.ask(request).await.failed(), Failure::BadRequest, words);
    }
    let forged = risk().into_job(&key(8));
    says(&stage.ask_signed(forged).await.failed(), Failure::Unauthorised, "not signed by the gateway that it names");
    let stranger = Request { gateway: key(8).public_key(), ..risk() }.into_job(&key(8));
    says(&stage.ask_signed(stranger).await.failed(), Failure::Unauthorised, "the gateway is not registered");
    let auditor = Request { gateway: auditor_key().public_key(), ..risk() }.into_job(&auditor_key());
    says(&stage.ask_signed(auditor).await.failed(), Failure::Unauthorised, "the gateway is not registered");
    let unknown = stage.ask(changed(|request| request.model = Digest([7; 32]))).await.failed();
    says(&unknown, Failure::UnknownModel, "does not serve model 0707");
    let wrong = stage.ask(changed(|request| request.input = Input::Tensors(List::default()))).await.failed();
    says(&wrong, Failure::BadRequest, "returns");
    assert_eq!(stage.status().await["receipts"], 0);
    stage.ask(risk()).await.done();
}

#[tokio::test]
async fn a_retired_gateway_is_refused() {
    let stage = Stage::new().await;
    stage.validator.change(|ledger| ledger.keys.get_mut(&gateway_key().public_key()).unwrap().valid_until = 9);
    says(&stage.ask(risk()).await.failed(), Failure::Unauthorised, "not registered");
}

#[tokio::test]
async fn an_answer_that_could_not_be_opened_on_the_ledger_is_not_begun() {
    let stage = Stage::new().await;
    let parameters = Parameters { scores: 21, ..chat(10_000).parameters };
    let refused = stage.ask(Request { parameters, ..chat(1) }).await;
    assert!(refused.tokens.is_empty());
    says(&refused.failed(), Failure::ContextTooLong, "at most 917504 can be audited");
}

#[tokio::test]
async fn many_texts_are_answered_at_once_each_as_if_it_were_alone() {
    let stage = Stage::with(|config| config.places = 6).await;
    let asked = (0..12).map(|seed| {
        let parameters = Parameters { seed, temperature_micros: 900_000, ..chat(20 + 5 * seed as u32).parameters };
        stage.ask(Request { parameters, ..chat(1) })
    });
    let model = chat_model();
    for answered in futures::future::join_all(asked).await {
        let streamed: Vec<u32> = answered.tokens.iter().map(|frame| frame.token).collect();
        let done = answered.done();
        let parameters = &done.opening.request.parameters;
        let truth =
            model.as_language().unwrap().generate(&done.opening.prompt, parameters, &mut |_| engine::Flow::Continue);
        assert_eq!(truth.unwrap().tokens, streamed);
        assert_eq!(done.opening.output, Output::Tokens(List::new(streamed).unwrap()));
    }
    stage.until("free_places", 6).await;
}

#[tokio::test]
async fn texts_without_a_template_are_continued_and_scored() {
    let stage = Stage::new().await;
    let parameters =
        Parameters { scores: 3, prompt_scores: true, constraint: Some(regex("[a-f]{4,9}")), ..chat(5).parameters };
    let input = Input::Prompt(Prompt::Text(Text::new("Once upon").unwrap()));
    let answered = stage.ask(Request { input, parameters, ..chat(1) }).await;
    let (frames, scores) = (answered.tokens.clone(), answered.prompt_scores.clone().unwrap());
    let done = answered.done();
    let Output::Scored(scored) = &done.opening.output else { panic!("scores were asked for") };
    assert_eq!((done.opening.prompt.len(), scores.len()), (9, 8));
    assert_eq!((&scored.prompt, scored.tokens.len()), (&scores, 5));
    for (frame, token) in frames.iter().zip(scored.tokens.iter()) {
        assert_eq!((frame.token, frame.score.as_ref()), (token.token, Some(&token.score)));
        assert!(frame.text.chars().all(|letter| ('a'..='f').contains(&letter)), "{:?}", &*frame.text);
        assert_eq!(token.score.alternatives.len(), 2);
    }
    assert_eq!(done.opening.matches(&done.receipt.receipt), Ok(()));
}

#[tokio::test]
async fn a_constraint_that_cannot_be_followed_is_the_callers_mistake_and_runs_nothing() {
    let stage = Stage::new().await;
    let parameters = Parameters { constraint: Some(regex("(")), ..chat(5).parameters };
    let refused = stage.ask(Request { parameters, ..chat(1) }).await;
    assert!(refused.tokens.is_empty());
    says(&refused.failed(), Failure::BadRequest, "the regular expression is refused");
    let input = Input::Embed(List::new(vec![Prompt::Tokens(List::new(vec![7]).unwrap())]).unwrap());
    says(&stage.ask(Request { input, ..chat(1) }).await.failed(), Failure::BadRequest, "no output that embeddings");
}

/// A worker that serves a model for embeddings too, and a request of so many texts of so many tokens.
async fn embedding_stage() -> (Stage, impl Fn(usize, usize) -> Request) {
    embedding_stage_within(u64::MAX).await
}

async fn embedding_stage_within(work_max: u64) -> (Stage, impl Fn(usize, usize) -> Request) {
    let stage = Stage::with(|config| {
        config.work_max = work_max;
        let shelf = hub::Shelf::open(&config.directory.join("models")).unwrap();
        config.models.push(shelf.put(stage::embedder()).unwrap().root);
        config.threads = 2;
    })
    .await;
    let model = engine::Model::load(stage::embedder()).unwrap().root();
    let text = |tokens: usize, index: usize| Prompt::Tokens(List::new(vec![7 + (index % 9) as u32; tokens]).unwrap());
    let embed = move |texts: usize, tokens: usize| {
        let texts = (0..texts).map(|index| text(tokens, index)).collect();
        Request { model, input: Input::Embed(List::new(texts).unwrap()), ..chat(0) }
    };
    (stage, embed)
}

/// The language model with a template that compares lists that hold one another twice: one step, for ages.
fn endless() -> Vec<u8> {
    let (mut model, _) = graph::Model::from_artefact(&stage::chat_artefact().into()).unwrap();
    let graph::Purpose::Language(language) = &mut model.purpose else { panic!("a language model") };
    language.template = "{%- set n = namespace(a=[], b=[]) -%}{%- for i in range(60) -%}{%- set n.a = [n.a, n.a] -%}\
        {%- set n.b = [n.b, n.b] -%}{%- endfor -%}{{- n.a == n.b -}}"
        .to_owned();
    model.to_artefact()
}

#[tokio::test]
async fn a_template_that_never_ends_costs_a_process_and_its_place_is_free() {
    let artefact = endless();
    let model = engine::Model::load(artefact.clone()).unwrap().root();
    let stage = Stage::with(|config| {
        let shelf = hub::Shelf::open(&config.directory.join("models")).unwrap();
        config.models.push(shelf.put(&artefact).unwrap().root);
        config.places = 2;
    })
    .await;
    let asked = || Request { model, ..chat(1) };
    // Who leaves frees its place at once.
    assert!(tokio::time::timeout(Duration::from_millis(300), stage.ask(asked())).await.is_err());
    stage.until("free_places", 2).await;
    says(&stage.ask(asked()).await.failed(), Failure::BadRequest, "took more than 5 s of computing");
    assert_eq!(stage.status().await["free_places"], 2);
    stage.ask(chat(1)).await.done();
    // What does without the template is made by another process.
    let input = Input::Prompt(Prompt::Text(Text::new("Once upon").unwrap()));
    stage.ask(Request { input, ..asked() }).await.done();
}

#[tokio::test]
async fn a_prompt_whose_fresh_process_the_machine_ends_may_be_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let [crowded, last] = ["crowded", "last"].map(|name| folder.path().join(name));
    // Its number stays when another program takes its place.
    let (is_crowded, told) = (crowded.display(), last.display());
    let script = format!("[ ! -e {is_crowded} ] || kill -KILL $$; echo $$ > {told}; exec \"$0\" \"$@\"");
    let program = stage::prompter();
    let mut arguments: Vec<OsString> = vec!["-c".into(), script.into(), program.path.into()];
    arguments.extend(program.arguments);
    let prompter = worker::Program { path: "/bin/sh".into(), arguments };
    let stage = Stage::with(|config| (config.prompter, config.models) = (prompter, vec![chat(0).model])).await;
    stage.ask(chat(1)).await.done();
    std::fs::write(&crowded, "").unwrap();
    let kill = format!("kill -KILL {}", std::fs::read_to_string(&last).unwrap());
    assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    says(&stage.ask(chat(1)).await.failed(), Failure::Busy, "the machine, which wants memory");
    std::fs::remove_file(&crowded).unwrap();
    stage.ask(chat(1)).await.done();
}

#[tokio::test]
async fn a_worker_does_not_start_where_nothing_makes_its_prompts() {
    let validator = stage::Validator::start().await;
    let cases = [
        ("/nowhere/at/all", "", "failed to start"),
        ("/bin/true", "", "ended its process otherwise"),
        ("/bin/sh", "kill -KILL $$", "the machine, which wants memory"),
    ];
    for (path, script, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let arguments = if script.is_empty() { Vec::new() } else { vec!["-c".into(), script.into()] };
        let prompter = worker::Program { path: path.into(), arguments };
        let models = vec![chat(0).model];
        let config = worker::Config { prompter, models, ..stage::config(&validator, &folder) };
        let refused = Worker::start(config).await.err().unwrap();
        assert!(matches!(refused, WorkerError::Prompting(_)), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_model_whose_words_cannot_be_read_keeps_no_other_from_being_served() {
    let (chat_model, risk_model) = (chat(0).model, risk().model);
    let ends = || worker::Program { path: "/bin/true".into(), arguments: Vec::new() };
    let stage = Stage::with(|config| (config.prompter, config.models) = (ends(), vec![chat_model, risk_model])).await;
    stage.ask(risk()).await.done();
    says(&stage.ask(chat(1)).await.failed(), Failure::UnknownModel, "does not serve");
    assert_eq!(stage.status().await["models"].as_object().unwrap().len(), 1);
    // Nor where its operator asks for it later.
    let (wanted, list) = tokio::sync::watch::channel(vec![chat_model, risk_model]);
    let stage = Stage::with(|config| {
        (config.prompter, config.models, config.wanted) = (ends(), Vec::new(), Some(list));
    })
    .await;
    let has_come = async {
        while stage.status().await["models"].get(risk_model.to_string()).is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), has_come).await.unwrap();
    stage.ask(risk()).await.done();
    drop(wanted);
}

#[tokio::test]
async fn a_model_whose_tokenizer_does_not_parse_is_read_in_a_process_of_its_own_and_left_out() {
    let (mut model, _) = graph::Model::from_artefact(&stage::chat_artefact().into()).unwrap();
    let graph::Purpose::Language(language) = &mut model.purpose else { panic!("a language model") };
    language.tokenizer = b"no tokenizer".to_vec();
    let artefact = model.to_artefact();
    let root = graph::Model::content_root(&artefact.clone().into()).unwrap();
    let stage = Stage::with(|config| {
        let shelf = hub::Shelf::open(&config.directory.join("models")).unwrap();
        let mut incoming = shelf.incoming().unwrap();
        incoming.write(&artefact).unwrap();
        shelf.keep(incoming, Some(root)).unwrap();
        config.models.insert(0, root);
    })
    .await;
    stage.ask(chat(1)).await.done();
    says(&stage.ask(Request { model: root, ..chat(1) }).await.failed(), Failure::UnknownModel, "does not serve");
}

#[tokio::test]
async fn what_cannot_be_judged_within_the_networks_windows_is_refused_before_it_is_run() {
    let work = chat_model().work();
    let prompt = chat_model().as_language().unwrap().prompt(&[stage::tiny::user(stage::PROMPT)], 1_700_000_000_000);
    let length = prompt.unwrap().len();
    let judged = |tokens: usize| Stage::with(move |config| config.work_max = work.of(tokens));
    // Room for five tokens of an answer, however many are asked for.
    let stage = judged(length + 5).await;
    let done = stage.ask(chat(stage::LONG)).await.done();
    assert_eq!((done.receipt.receipt.output_tokens, done.finish), (5, Finish::Length));
    let whole = chat_model();
    let judge = whole.within(work.of(length + 5));
    let (language, request) = (judge.as_language().unwrap(), &done.opening.request);
    let Output::Tokens(tokens) = &done.opening.output else { panic!("tokens were said") };
    let checked = language.check(&done.opening.prompt, &request.parameters, tokens, done.finish);
    assert_eq!(checked, Ok(engine::Check::Equal), "whoever judges by the same rules agrees");
    let stage = judged(length).await;
    let refused = stage.ask(chat(1)).await.failed();
    says(&refused, Failure::ContextTooLong, "; hint: of the 16384 tokens of this model");
    says(&refused, Failure::ContextTooLong, &format!("windows let {length} be judged"));
    assert_eq!(stage.status().await["models"][chat(1).model.to_string()]["context"], length);
    let stage = Stage::with(|config| config.work_max = 0).await;
    says(&stage.ask(chat(1)).await.failed(), Failure::ContextTooLong, "let 1 be judged");
    says(&stage.ask(risk()).await.failed(), Failure::BadRequest, "0 can be judged; hint: send less at a time");
    assert_eq!(stage.status().await["receipts"], 0);
}

#[tokio::test]
async fn texts_to_embed_are_refused_together_where_their_sum_cannot_be_judged() {
    let work = engine::Model::load(stage::embedder()).unwrap().work();
    let (stage, embed) = embedding_stage_within(2 * work.of(30)).await;
    stage.ask(embed(2, 30)).await.done();
    let request = embed(3, 30);
    let refused = stage.ask(request.clone()).await.failed();
    let words = format!("takes {} units of work to re-execute", 3 * work.of(30));
    says(&refused, Failure::ContextTooLong, &words);
    assert_eq!(rows(&stage, &request.model).await, 60);
}

#[tokio::test]
async fn a_model_that_has_all_places_it_can_leaves_another_its_own() {
    let stage = Stage::with(|config| config.places = 4).await;
    let long = [stage.begin().await, stage.begin().await, stage.begin().await];
    assert_eq!(stage.status().await["free_places"], 1);
    let waiting = stage.ask(chat(1));
    let waited = tokio::time::timeout(Duration::from_millis(300), waiting).await;
    assert!(waited.is_err(), "its model has no place left");
    stage.ask(risk()).await.done();
    drop(long);
    stage.ask(chat(1)).await.done();
}

#[tokio::test]
async fn a_model_that_is_taken_up_later_has_its_own_places() {
    let (chat_model, risk_model) = (chat(0).model, risk().model);
    let (wanted, list) = tokio::sync::watch::channel(vec![chat_model]);
    let stage = Stage::with(|config| {
        (config.places, config.models, config.wanted) = (4, vec![chat_model], Some(list));
    })
    .await;
    let mut long = Vec::new();
    for _ in 0..4 {
        long.push(stage.begin().await);
    }
    wanted.send(vec![chat_model, risk_model]).unwrap();
    while stage.status().await["models"].get(risk_model.to_string()).is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stage.status().await["free_places"], 0);
    let before = stage.ask(chat(1));
    tokio::pin!(before);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut before).await.is_err());
    long.pop();
    stage.ask(risk()).await.done();
    long.pop();
    before.await.done();
}

async fn rows(stage: &Stage, model: &Digest) -> u64 {
    stage.status().await["models"][model.to_string()]["rows"].as_u64().unwrap()
}

#[tokio::test]
async fn embeddings_are_what_the_model_says_of_each_text_alone() {
    let (stage, embed) = embedding_stage().await;
    let request = embed(3, 70);
    let done = stage.ask(request.clone()).await.done();
    let Output::Tensors(outputs) = &done.opening.output else { panic!("embeddings are tensors") };
    let (model, Input::Embed(texts)) = (engine::Model::load(stage::embedder()).unwrap(), &request.input) else {
        panic!("texts were sent")
    };
    let language = model.as_language().unwrap();
    for (text, output) in texts.iter().zip(outputs.iter()) {
        let expected = language.embed(&language.embedded_prompt(text).unwrap()).unwrap();
        let data: Vec<u8> = expected.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!((&*output.name, &output.data[..]), ("embedding", &data[..]));
    }
    assert_eq!((done.opening.prompt.len(), done.finish), (210, Finish::Complete));
    assert_eq!(done.opening.matches(&done.receipt.receipt), Ok(()));
}

#[tokio::test]
async fn embeddings_that_are_too_much_are_refused_before_a_row_is_run() {
    let (stage, embed) = embedding_stage().await;
    let request = embed(16, 4_097);
    says(&stage.ask(request.clone()).await.failed(), Failure::ContextTooLong, "more than 65536 tokens together");
    says(&stage.ask(embed(2, 16_385)).await.failed(), Failure::ContextTooLong, "leaves room for 16384");
    let mut unknown = embed(2, 5);
    if let Input::Embed(texts) = &mut unknown.input {
        let mut all = texts.to_vec();
        all[1] = Prompt::Tokens(List::new(vec![7, 9_999]).unwrap());
        *texts = List::new(all).unwrap();
    }
    says(&stage.ask(unknown).await.failed(), Failure::BadRequest, "holds token 9999 at 1");
    assert_eq!((rows(&stage, &request.model).await, stage.status().await["receipts"].clone()), (0, 0.into()));
}

#[tokio::test]
async fn a_reader_that_leaves_an_embedding_frees_the_place_before_its_texts_are_run() {
    let (stage, embed) = embedding_stage().await;
    let request = embed(4, 16_000);
    let job = request.clone().into_job(&gateway_key());
    let frames = stage.client.post_for_frames(&format!("{}/jobs", stage.worker.url()), &job).await.unwrap();
    while rows(&stage, &request.model).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(frames);
    stage.until("free_places", 1).await;
    assert!(rows(&stage, &request.model).await < 64_000, "all of it was run");
    assert_eq!(stage.status().await["receipts"], 0);
}

#[tokio::test]
async fn a_model_runs_on_as_many_threads_as_the_worker_is_told() {
    let (stage, _) = embedding_stage().await;
    let models = stage.status().await["models"].clone();
    let threads: Vec<u64> =
        models.as_object().unwrap().values().filter_map(|model| model["threads"].as_u64()).collect();
    assert_eq!(threads, [2, 2, 2]);
}

#[tokio::test]
async fn texts_have_the_memory_and_the_places_that_the_worker_is_told() {
    let stage = Stage::with(|config| {
        config.cache_bytes = Some(512 << 20);
        config.places = 3;
    })
    .await;
    let status = stage.status().await;
    assert_eq!((status["places"].as_u64(), status["free_places"].as_u64()), (Some(3), Some(3)));
    let languages = |status: &serde_json::Value| -> Vec<serde_json::Value> {
        let models = status["models"].as_object().unwrap().values();
        models.filter(|model| model["cache_bytes"].is_u64()).cloned().collect()
    };
    let told = languages(&status);
    assert_eq!((told.len(), told[0]["cache_bytes"].as_u64()), (1, Some(512 << 20)), "{status}");
    assert_eq!(told[0]["context"], told[0]["own_context"]);
    stage.ask(chat(4)).await.done();
    // No page of any text has room.
    let stage = Stage::with(|config| config.cache_bytes = Some(1)).await;
    assert_eq!(languages(&stage.status().await)[0]["context"], 0);
    says(&stage.ask(chat(4)).await.failed(), Failure::ContextTooLong, "bytes of memory");
}

#[tokio::test]
async fn more_memory_for_texts_than_the_machine_has_keeps_the_worker_from_starting() {
    let validator = stage::Validator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = worker::Config { cache_bytes: Some(u64::MAX), ..stage::config(&validator, &folder) };
    let refused = Worker::start(config).await.err().unwrap();
    assert!(matches!(refused, WorkerError::TooMuchMemory { .. }), "{refused}");
}

fn regex(pattern: &str) -> Constraint {
    Constraint::Regex(Text::new(pattern).unwrap())
}

#[tokio::test]
async fn a_job_is_served_once_and_a_restart_does_not_forget_it() {
    let stage = Stage::new().await;
    let request = risk();
    stage.ask(request.clone()).await.done();
    says(&stage.ask(request.clone()).await.failed(), Failure::Unauthorised, "served already");
    let stage = stage.restarted().await;
    says(&stage.ask(request).await.failed(), Failure::Unauthorised, "served already");
    assert_eq!(stage.ask(risk()).await.done().receipt.receipt.sequence, 1);
}

#[tokio::test]
async fn a_reader_that_leaves_frees_the_place_and_leaves_no_receipt() {
    let stage = Stage::new().await;
    let frames = stage.begin().await;
    assert_eq!(stage.status().await["free_places"], 0);
    drop(frames);
    stage.until("free_places", 1).await;
    assert_eq!(stage.status().await["receipts"], 0);
    assert_eq!(stage.ask(risk()).await.done().receipt.receipt.sequence, 0, "no number was used up");
}

#[tokio::test]
async fn what_is_too_much_is_told_so_and_who_leaves_the_queue_makes_room() {
    let stage = Stage::new().await;
    let running = stage.begin().await;
    let url = format!("{}/jobs", stage.worker.url());
    let mut queue = Vec::new();
    for _ in 0..48 {
        queue.push(stage.client.post_for_frames(&url, &risk().into_job(&gateway_key())).await.unwrap());
    }
    stage.until("waiting", 48).await;
    says(&stage.ask(risk()).await.failed(), Failure::Busy, "too many jobs of its model are waiting");
    // What is left is for those of the other model.
    for _ in 0..16 {
        queue.push(stage.client.post_for_frames(&url, &chat(1).into_job(&gateway_key())).await.unwrap());
    }
    stage.until("waiting", 64).await;
    says(&stage.ask(chat(1)).await.failed(), Failure::Busy, "too many jobs of its model are waiting");
    drop(queue);
    stage.until("waiting", 0).await;
    drop(running);
    stage.ask(risk()).await.done();
    assert_eq!(stage.status().await["receipts"], 1, "those who left got none");
}

#[tokio::test]
async fn strangers_cost_the_validators_little() {
    let stage = Stage::new().await;
    let lookups = || stage.validator.change(|ledger| ledger.lookups);
    let job = |seed: u8| Request { gateway: key(seed).public_key(), ..risk() }.into_job(&key(seed));
    let before = lookups();
    for _ in 0..10 {
        says(&stage.ask_signed(job(50)).await.failed(), Failure::Unauthorised, "not registered");
    }
    assert_eq!(lookups() - before, 1, "an unknown key is asked about once in a while");
    let began = std::time::Instant::now();
    let crowd = futures::future::join_all((60..=255).map(|seed| stage.ask_signed(job(seed)))).await;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    assert!(lookups() - before <= 1 + 64 * seconds, "{} lookups in {seconds} s", lookups() - before);
    let crowded = crowd.into_iter().map(stage::Answered::failed).filter(|failed| failed.failure == Failure::Busy);
    crowded.for_each(|failed| says(&failed, Failure::Busy, "too many unknown keys ask at once"));
    stage.validator.register(&key(59).public_key(), Role::Gateway);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.ask_signed(job(59)).await.done();
}

#[tokio::test]
async fn a_gateway_that_is_known_is_served_while_no_validator_answers() {
    let stage = Stage::new().await;
    stage.ask(risk()).await.done();
    stage.validator.change(|ledger| ledger.is_away = true);
    stage.ask(risk()).await.done();
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    stage.ask(risk()).await.done();
    let stranger = Request { gateway: key(9).public_key(), ..risk() }.into_job(&key(9));
    says(&stage.ask_signed(stranger).await.failed(), Failure::Busy, "failed to look the gateway up");
}

#[tokio::test]
async fn a_worker_starts_with_a_workers_key_that_counts_and_with_no_other() {
    let Stage { validator, worker, config, folder, .. } = Stage::new().await;
    worker.stop().await;
    let start = async |change: fn(&mut worker::Config)| {
        let mut config = config.clone();
        config.directory = tempfile::tempdir().unwrap().path().to_owned();
        config.models = Vec::new();
        change(&mut config);
        Worker::start(config).await.map(|_| ()).unwrap_err()
    };
    let found = start(|config| config.key = auditor_key()).await;
    assert!(matches!(found, WorkerError::NotAWorker { found: Role::Auditor }), "{found}");
    let found = start(|config| config.models = vec![Digest([7; 32])]).await;
    assert!(matches!(found, WorkerError::Models(_)), "{found}");
    validator.change(|ledger| ledger.keys.get_mut(&worker_key().public_key()).unwrap().valid_until = 9);
    let found = start(|_| {}).await;
    assert!(matches!(found, WorkerError::Retired { until: 9 }), "{found}");
    // A key that nobody registered is waited for, but not where there is nothing to wait for.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let unknown = worker::Config { listen: taken.local_addr().unwrap(), key: auditor_key(), ..config.clone() };
    validator.change(|ledger| ledger.keys.clear());
    let found = Worker::start(unknown).await.map(|_| ()).unwrap_err();
    assert!(matches!(found, WorkerError::Network(network::NetworkError::Listen { .. })), "{found}");
    drop(folder);
}

#[tokio::test]
async fn a_float_models_answer_is_signed_for_as_such_and_nothing_more_is_promised() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/risk/risk.onnx")).unwrap();
    let float = graph::Model::of_float("floats", 1, file.into());
    let root = float.root();
    let stage = Stage::with(|config| {
        let shelf = hub::Shelf::open(&config.directory.join("models")).unwrap();
        config.models.push(shelf.put(&float.to_artefact()).unwrap().root);
    })
    .await;
    let asked = |assurance| Request { model: root, assurance, ..risk() };
    let done = stage.ask(asked(Assurance::Signed)).await.done();
    let receipt = &done.receipt.receipt;
    assert_eq!((receipt.model, receipt.spec_version), (root, protocol::receipt::NO_EXACT_FORM));
    assert_eq!((receipt.assurance, done.opening.matches(receipt)), (Assurance::Signed, Ok(())));
    assert!(!receipt.is_exact() && done.receipt.signature_holds());
    // Beside it, an exact model's answer says by which arithmetic it was computed.
    assert_eq!(stage.ask(risk()).await.done().receipt.receipt.spec_version, engine::SPEC_VERSION);
    for assurance in [Assurance::Attested, Assurance::Audited, Assurance::Quorum, Assurance::Proven] {
        let failed = stage.ask(asked(assurance)).await.failed();
        says(&failed, Failure::BadRequest, "the model has no exact form");
    }
    let chatting = Request { input: chat(4).input, ..asked(Assurance::Signed) };
    says(&stage.ask(chatting).await.failed(), Failure::BadRequest, "takes tensors");
    let mut wrong = asked(Assurance::Signed);
    wrong.input = Input::Tensors(List::default());
    says(&stage.ask(wrong).await.failed(), Failure::BadRequest, "input returns is missing");
}

#[tokio::test]
async fn a_float_model_that_the_runtime_does_not_take_keeps_the_worker_from_starting() {
    let validator = stage::Validator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = stage::config(&validator, &folder);
    let model = graph::Model::of_float("nonsense", 1, b"nonsense".to_vec().into());
    let shelf = hub::Shelf::open(&config.directory.join("models")).unwrap();
    config.models = vec![shelf.put(&model.to_artefact()).unwrap().root];
    let refused = worker::Worker::start(config).await.err().unwrap();
    assert!(refused.to_string().contains("does not take the model"), "{refused}");
}

#[test]
#[ignore = "is the float runtime's process"]
fn the_process() {
    let refused = float::serve().err();
    panic!("standard input is no socket: {refused:?}");
}

#[tokio::test]
async fn a_worker_that_is_not_registered_yet_waits() {
    let validator = stage::Validator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = worker::Config { key: key(30), ..stage::config(&validator, &folder) };
    let starting = tokio::spawn(Worker::start(config));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!starting.is_finished());
    validator.register(&key(30).public_key(), Role::Worker);
    starting.await.unwrap().unwrap().stop().await;
}
