//! What a chat request may say, what it may not, and how each refusal names its parameter.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use api::{ApiError, Call, Code, limits};
use graph::Defaults;
use protocol::{Assurance, Chat, Constraint, Input, Parameters, Privacy, Speaker, registry::ModelKind};

fn parse(fields: &str) -> Result<Call, ApiError> {
    let body = format!(r#"{{"model":"tiny","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
    support::read("/v1/chat/completions", body.as_bytes())
}

fn parse_messages(messages: &str) -> Result<Call, ApiError> {
    support::read("/v1/chat/completions", format!(r#"{{"model":"tiny","messages":{messages}}}"#).as_bytes())
}

fn chat(call: &Call) -> &Chat {
    let Input::Chat(chat) = &call.jobs[0].input else { panic!("a conversation expected") };
    chat
}

fn check_refused(result: Result<Call, ApiError>, code: Code, param: &str) {
    let error = result.expect_err(param);
    assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{error}");
    assert!(error.message.contains(param), "{error}");
}

#[test]
fn the_shortest_request_takes_every_default() {
    let request = parse("").unwrap();
    let expected = Parameters { max_tokens: 1_024, temperature_micros: 1_000_000, seed: 7, ..Parameters::default() };
    assert_eq!(request.jobs[0].parameters(7), expected);
    assert!(!request.stream && request.jobs.len() == 1);
    assert_eq!(
        (request.terms.assurance_of(ModelKind::Exact).unwrap(), request.terms.privacy()),
        (Assurance::Audited, Privacy::Private)
    );
}

#[test]
fn every_parameter_arrives() {
    let fields = r#","max_completion_tokens":9,"temperature":0.7,"top_p":0.95,"seed":42,"stop":["a","b"],"stream":true,
        "stream_options":{"include_usage":true},"og":{"assurance":"signed","privacy":"full","top_k":5,"parents":[]}"#;
    let request = parse(fields).unwrap();
    let parameters = request.jobs[0].parameters(7);
    assert_eq!((parameters.max_tokens, parameters.temperature_micros, parameters.top_p_micros), (9, 700_000, 950_000));
    assert_eq!((parameters.seed, parameters.top_k), (42, 5));
    assert_eq!(parameters.stop.iter().map(|stop| &stop[..]).collect::<Vec<_>>(), ["a", "b"]);
    assert!(request.stream);
    assert_eq!(
        (request.terms.assurance_of(ModelKind::Exact).unwrap(), request.terms.privacy()),
        (Assurance::Signed, Privacy::Full)
    );
}

#[test]
fn what_bends_and_binds_an_answer_arrives() {
    let fields = r#","min_p":0.1,"repetition_penalty":1.1,"presence_penalty":-0.5,"frequency_penalty":2,"top_k":7,
        "logit_bias":{"9":-100,"3":0.5},"logprobs":true,"top_logprobs":20,
        "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"array"}}}"#;
    let parameters = parse(fields).unwrap().jobs[0].parameters(0);
    assert_eq!(
        (parameters.min_p_micros, parameters.repetition_penalty_micros, parameters.top_k),
        (100_000, 1_100_000, 7)
    );
    assert_eq!((parameters.presence_penalty_micros, parameters.frequency_penalty_micros), (-500_000, 2_000_000));
    let biases: Vec<_> = parameters.logit_bias.iter().map(|bias| (bias.token, bias.bias_micros)).collect();
    assert_eq!(biases, [(3, 500_000), (9, -100_000_000)], "rising by token");
    assert_eq!(parameters.scores, 21);
    let schema = |text: &str| Some(Constraint::JsonSchema(protocol::Text::new(text).unwrap()));
    assert_eq!(parameters.constraint, schema(r#"{"type":"array"}"#));
    let any = parse(r#","response_format":{"type":"json_object"}"#).unwrap();
    assert_eq!(any.jobs[0].parameters(0).constraint, schema(r#"{"type":"object"}"#));
}

#[test]
fn several_answers_are_as_many_jobs_with_seeds_of_their_own() {
    let call = parse(r#","n":3,"temperature":1,"seed":5"#).unwrap();
    assert_eq!(call.jobs.iter().map(|job| job.parameters(9).seed).collect::<Vec<_>>(), [5, 6, 7]);
    let call = parse(r#","n":2,"temperature":1"#).unwrap();
    assert_eq!(call.jobs.iter().map(|job| job.parameters(9).seed).collect::<Vec<_>>(), [9, 10]);
}

#[test]
fn what_is_left_out_is_the_models_to_say_and_nothing_else_is() {
    let defaults = Defaults { temperature_micros: 600_000, top_p_micros: 950_000, top_k: 20, ..Defaults::greedy(99) };
    let settled = |fields: &str, defaults| {
        let mut call = parse(fields).unwrap();
        let left = call.leaves_to_model();
        call.settle(defaults);
        let parameters = call.jobs[0].parameters(7);
        let Parameters { max_tokens, temperature_micros, top_p_micros, top_k, seed, .. } = parameters;
        (left, (max_tokens, temperature_micros, top_p_micros, top_k, seed))
    };
    assert_eq!(settled("", defaults), (true, (99, 600_000, 950_000, 20, 7)));
    assert_eq!(settled(r#","temperature":0,"max_tokens":5"#, defaults), (true, (5, 0, 950_000, 20, 0)));
    assert_eq!(settled(r#","og":{"top_k":0},"top_p":1"#, defaults), (true, (99, 600_000, 1_000_000, 0, 7)));
    let four = r#","temperature":0.5,"max_completion_tokens":5,"top_p":0.25,"top_k":3,"seed":1"#;
    let four = |left| settled(&format!("{four}{left}"), defaults);
    assert_eq!(four(""), (true, (5, 500_000, 250_000, 3, 1)));
    let all = r#","min_p":0,"repetition_penalty":1,"presence_penalty":0,"frequency_penalty":0"#;
    assert_eq!(four(all), (false, (5, 500_000, 250_000, 3, 1)));
    // What a publisher wrote may be anything.
    let wild =
        Defaults { temperature_micros: u32::MAX, top_p_micros: u32::MAX, top_k: u32::MAX, ..Defaults::greedy(0) };
    assert_eq!(settled("", wild).1, (1, 2_000_000, 1_000_000, u32::MAX, 7));
    let greedy = Defaults { temperature_micros: 0, ..defaults };
    assert_eq!(settled("", greedy).1.1, 0);
    assert_eq!(settled(r#","n":2"#, greedy).1.1, 1_000_000, "two answers that nobody wants alike");
    assert_eq!(settled(r#","n":2,"temperature":0"#, greedy).1.1, 0);
}

#[test]
fn penalties_and_the_least_share_are_the_models_to_say_as_well_within_what_callers_may_ask_for() {
    let settled = |fields: &str, defaults| {
        let mut call = parse(fields).unwrap();
        call.settle(defaults);
        let parameters = call.jobs[0].parameters(7);
        let of_counts = (parameters.presence_penalty_micros, parameters.frequency_penalty_micros);
        (parameters.min_p_micros, parameters.repetition_penalty_micros, of_counts)
    };
    let defaults = |min_p, repetition, presence, frequency| Defaults {
        min_p_micros: min_p,
        repetition_penalty_micros: repetition,
        presence_penalty_micros: presence,
        frequency_penalty_micros: frequency,
        ..Defaults::greedy(9)
    };
    let own = defaults(50_000, 1_100_000, -300_000, 200_000);
    assert_eq!(settled("", own), (50_000, 1_100_000, (-300_000, 200_000)));
    assert_eq!(settled("", Defaults::greedy(9)), (0, 1_000_000, (0, 0)));
    let named = r#","min_p":0,"repetition_penalty":1,"presence_penalty":0,"frequency_penalty":0.5"#;
    assert_eq!(settled(named, own), (0, 1_000_000, (0, 500_000)));
    let wild = defaults(u32::MAX, u32::MAX, i32::MIN, i32::MAX);
    assert_eq!(settled("", wild), (1_000_000, 2_000_000, (-2_000_000, 2_000_000)));
    assert_eq!(settled("", defaults(0, 0, 0, 0)).1, 1_000_000, "no penalty at all");
}

#[test]
fn a_completion_has_sixteen_tokens_where_nobody_says_it_and_embeddings_leave_nothing_to_the_model() {
    let mut call = support::read("/v1/completions", br#"{"model":"tiny","prompt":["a","b"]}"#).unwrap();
    call.settle(Defaults::greedy(99));
    let drawn: Vec<_> =
        call.jobs.iter().map(|job| (job.parameters.max_tokens, job.parameters.temperature_micros)).collect();
    assert_eq!(drawn, [(16, 0), (16, 0)], "two prompts are not two answers to one");
    assert!(!support::read("/v1/embeddings", br#"{"model":"tiny","input":"a"}"#).unwrap().leaves_to_model());
}

#[test]
fn tools_are_shown_unless_calls_are_forbidden() {
    let tools =
        r#","tools":[{"type":"function","function":{"name":"find","description":"d","parameters":{"type":"object"}}}]"#;
    let call = parse(tools).unwrap();
    let tool = &chat(&call).tools[0];
    assert_eq!((&tool.name[..], &tool.description[..], &tool.parameters[..]), ("find", "d", r#"{"type":"object"}"#));
    assert_eq!(call.calling.unwrap().choice, api::Choice::Auto);
    let none = parse(&format!(r#"{tools},"tool_choice":"none""#)).unwrap();
    assert!(chat(&none).tools.is_empty() && none.calling.is_none());
    let bare = parse(r#","tools":[{"type":"function","function":{"name":"now"}}]"#).unwrap();
    let nothing = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
    assert_eq!(&chat(&bare).tools[0].parameters[..], nothing, "templates look into a schema without asking for one");
    let named = parse(&format!(r#"{tools},"tool_choice":{{"type":"function","function":{{"name":"find"}}}}"#)).unwrap();
    assert_eq!(named.calling.unwrap().choice, api::Choice::Named("find".to_owned()));
}

#[test]
fn the_template_is_told_what_it_may_know() {
    let call = parse(r#","chat_template_kwargs":{"enable_thinking":false},"reasoning_effort":"low""#).unwrap();
    assert_eq!(&chat(&call).template_arguments[..], r#"{"enable_thinking":false,"reasoning_effort":"low"}"#);
}

#[test]
fn a_sampled_answer_without_a_seed_takes_a_fresh_one() {
    assert_eq!(parse(r#","temperature":1"#).unwrap().jobs[0].parameters(7).seed, 7);
    assert_eq!(parse(r#","temperature":1,"seed":3"#).unwrap().jobs[0].parameters(7).seed, 3);
    assert_eq!(parse(r#","seed":-1"#).unwrap().jobs[0].parameters(7).seed, u64::MAX);
}

#[test]
fn what_the_real_service_lets_pass_passes() {
    let lenient = [
        r#","user":"me","metadata":{"a":1},"store":false,"a_field_of_next_year":[1,2]"#,
        r#","n":1,"logprobs":false,"tools":[],"response_format":{"type":"text"},"stop":null,"seed":null"#,
        r#","presence_penalty":0,"frequency_penalty":0.0,"logit_bias":{},"tool_choice":"none","top_logprobs":0"#,
        r#","max_tokens":5,"max_completion_tokens":5,"temperature":2,"top_p":1,"modalities":["text"]"#,
        r#","stream":false,"stream_options":null,"og":null"#,
    ];
    for fields in lenient {
        assert!(parse(fields).is_ok(), "{fields}: {:?}", parse(fields));
    }
}

#[test]
fn each_wrong_type_is_refused_by_name() {
    let cases = [
        (r#","temperature":"hot""#, "temperature"),
        (r#","top_p":[]"#, "top_p"),
        (r#","max_tokens":1.5"#, "max_tokens"),
        (r#","max_completion_tokens":"9""#, "max_completion_tokens"),
        (r#","seed":"x""#, "seed"),
        (r#","stop":5"#, "stop"),
        (r#","stop":["a",5]"#, "stop[1]"),
        (r#","stream":"yes""#, "stream"),
        (r#","stream":true,"stream_options":1"#, "stream_options"),
        (r#","stream":true,"stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (r#","n":"1""#, "n"),
        (r#","og":7"#, "og"),
        (r#","og":{"assurance":7}"#, "og.assurance"),
        (r#","og":{"parents":"x"}"#, "og.parents"),
    ];
    for (fields, param) in cases {
        check_refused(parse(fields), Code::InvalidType, param);
    }
}

#[test]
fn each_value_out_of_range_is_refused_by_name() {
    let cases = [
        (r#","temperature":2.1"#, "temperature"),
        (r#","temperature":-0.1"#, "temperature"),
        (r#","top_p":1.1"#, "top_p"),
        (r#","max_tokens":0"#, "max_tokens"),
        (r#","max_tokens":-1"#, "max_tokens"),
        (r#","max_tokens":65537"#, "max_tokens"),
        (r#","max_tokens":1,"max_completion_tokens":2"#, "max_tokens"),
        (r#","n":0"#, "n"),
        (r#","n":129"#, "n"),
        (r#","presence_penalty":2.1"#, "presence_penalty"),
        (r#","frequency_penalty":-2.1"#, "frequency_penalty"),
        (r#","repetition_penalty":0"#, "repetition_penalty"),
        (r#","min_p":1.5"#, "min_p"),
        (r#","logit_bias":{"x":1}"#, "logit_bias.x"),
        (r#","logit_bias":{"07":1}"#, "logit_bias.07"),
        (r#","logit_bias":{"5":101}"#, "logit_bias.5"),
        (r#","top_logprobs":3"#, "top_logprobs"),
        (r#","logprobs":true,"top_logprobs":21"#, "top_logprobs"),
        (r#","tool_choice":"required""#, "tool_choice"),
        (r#","tool_choice":"sometimes""#, "tool_choice"),
        (r#","tool_choice":{"type":"function","function":{"name":"find"}}"#, "tool_choice.function.name"),
        (r#","tools":[{"type":"function","function":{"name":""}}]"#, "tools[0].function.name"),
        (r#","response_format":{"type":"poem"}"#, "response_format.type"),
        (r#","og":{"regex":"a","grammar":"b"}"#, "og.grammar"),
        (r#","stop":"""#, "stop"),
        (r#","stream_options":{"include_usage":true}"#, "stream_options"),
        (r#","og":{"assurance":"maybe"}"#, "og.assurance"),
        (r#","og":{"privacy":"open"}"#, "og.privacy"),
        (r#","og":{"parents":["abc"]}"#, "og.parents[0]"),
    ];
    for (fields, param) in cases {
        check_refused(parse(fields), Code::InvalidValue, param);
    }
}

#[test]
fn what_nothing_honours_is_refused_by_name() {
    let cases = [
        (r#","functions":[{}]"#, "functions"),
        (r#","modalities":["audio"]"#, "modalities"),
        (r#","audio":{}"#, "audio"),
        (r#","prediction":{}"#, "prediction"),
        (r#","web_search_options":{}"#, "web_search_options"),
        (r#","og":{"asurance":"signed"}"#, "og.asurance"),
    ];
    for (fields, param) in cases {
        check_refused(parse(fields), Code::UnsupportedParameter, param);
    }
    check_refused(parse(r#","og":{"assurance":"proven"}"#), Code::UnsupportedValue, "og.assurance");
}

#[test]
fn each_way_to_write_messages_is_read() {
    let request = parse_messages(
        r#"[{"role":"developer","content":"be brief"},{"role":"system","content":""},
            {"role":"user","content":[{"type":"text","text":"one "},{"type":"text","text":"two"}],"name":"ann"},
            {"role":"assistant","content":null,"reasoning_content":"hm",
             "tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","content":"4","tool_call_id":"x"}]"#,
    )
    .unwrap();
    let speakers: Vec<Speaker> = chat(&request).messages.iter().map(|message| message.speaker).collect();
    assert_eq!(speakers, [Speaker::System, Speaker::System, Speaker::User, Speaker::Assistant, Speaker::Tool]);
    let messages = &chat(&request).messages;
    assert_eq!((&messages[2].content[..], &messages[2].name[..]), ("one two", "ann"));
    assert_eq!((&messages[3].content[..], &messages[3].reasoning[..]), ("", "hm"));
    assert_eq!((&messages[3].tool_calls[0].name[..], &messages[4].tool_call_id[..]), ("f", "x"));
}

#[test]
fn each_wrong_message_is_refused_by_name() {
    let cases = [
        ("[]", Code::InvalidValue, "messages"),
        ("null", Code::MissingParameter, "messages"),
        (r#""hi""#, Code::InvalidType, "messages"),
        ("[5]", Code::InvalidType, "messages[0]"),
        (r#"[{"content":"x"}]"#, Code::MissingParameter, "messages[0].role"),
        (r#"[{"role":"user"}]"#, Code::MissingParameter, "messages[0].content"),
        (r#"[{"role":"user","content":null}]"#, Code::MissingParameter, "messages[0].content"),
        (r#"[{"role":"king","content":"x"}]"#, Code::InvalidValue, "messages[0].role"),
        (r#"[{"role":"user","content":7}]"#, Code::InvalidType, "messages[0].content"),
        (r#"[{"role":"user","content":["x"]}]"#, Code::InvalidType, "messages[0].content[0]"),
        (r#"[{"role":"user","content":[{"type":"text"}]}]"#, Code::MissingParameter, "messages[0].content[0].text"),
        (
            r#"[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
            Code::UnsupportedValue,
            "messages[0].content[0].type",
        ),
        (
            r#"[{"role":"assistant","content":"x","tool_calls":[{}]}]"#,
            Code::MissingParameter,
            "messages[0].tool_calls[0].function",
        ),
    ];
    for (messages, code, param) in cases {
        check_refused(parse_messages(messages), code, param);
    }
}

#[test]
fn each_limit_holds_at_its_edge() {
    let messages = |count: usize| format!("[{}]", vec![r#"{"role":"user","content":"x"}"#; count].join(","));
    assert!(parse_messages(&messages(limits::MESSAGES_MAX)).is_ok());
    check_refused(parse_messages(&messages(limits::MESSAGES_MAX + 1)), Code::TooMany, "messages");
    let content = |bytes: usize| format!(r#"[{{"role":"user","content":"{}"}}]"#, "x".repeat(bytes));
    assert!(parse_messages(&content(limits::CONTENT_BYTES_MAX)).is_ok());
    check_refused(parse_messages(&content(limits::CONTENT_BYTES_MAX + 1)), Code::TooLong, "messages[0].content");
    let half = format!(r#"{{"role":"user","content":"{}"}}"#, "x".repeat(limits::CONTENT_BYTES_MAX / 2 + 1));
    check_refused(parse_messages(&format!("[{half},{half}]")), Code::ContextLengthExceeded, "messages");
    let parts = vec![r#"{"type":"text","text":""}"#; limits::PARTS_MAX + 1].join(",");
    check_refused(
        parse_messages(&format!(r#"[{{"role":"user","content":[{parts}]}}]"#)),
        Code::TooMany,
        "messages[0].content",
    );
    check_refused(parse(&format!(r#","stop":["{}"]"#, "x".repeat(257))), Code::TooLong, "stop[0]");
    check_refused(parse(&format!(r#","stop":[{}]"#, [r#""x""#; 9].join(","))), Code::TooMany, "stop");
    let parents = vec![format!(r#""{}""#, "0".repeat(64)); limits::PARENTS_MAX + 1].join(",");
    check_refused(parse(&format!(r#","og":{{"parents":[{parents}]}}"#)), Code::TooMany, "og.parents");
}

#[test]
fn a_body_that_is_no_request_is_refused() {
    let refused = |body: &str| support::read("/v1/chat/completions", body.as_bytes()).unwrap_err();
    assert_eq!(refused("").code, Code::InvalidJson);
    assert_eq!(refused("{\"model\":").code, Code::InvalidJson);
    assert_eq!(refused("[]").code, Code::InvalidType);
    assert_eq!(refused(r#"{"messages":[]}"#).param.as_deref(), Some("model"));
    assert_eq!(refused(r#"{"model":5}"#).code, Code::InvalidType);
    assert_eq!(refused(r#"{"model":""}"#).code, Code::InvalidValue);
    assert_eq!(refused(&format!(r#"{{"model":"{}"}}"#, "m".repeat(129))).code, Code::TooLong);
    let twice = refused(r#"{"model":"a","model":"b"}"#);
    assert_eq!((twice.code, twice.param.as_deref()), (Code::InvalidJson, Some("model")));
}

#[test]
fn the_assurance_header_is_taken_unless_it_contradicts_the_body() {
    let terms = |fields: &str| parse(fields).unwrap().terms;
    let asked = terms("").with_assurance_header(Some("signed")).unwrap();
    assert_eq!(asked.assurance_of(ModelKind::Exact).unwrap(), Assurance::Signed);
    assert_eq!(
        terms("").with_assurance_header(Some("auto")).unwrap().assurance_of(ModelKind::Exact).unwrap(),
        Assurance::Audited
    );
    let both = r#","og":{"assurance":"audited"}"#;
    assert!(terms(both).with_assurance_header(Some("audited")).is_ok());
    assert!(terms(both).with_assurance_header(None).is_ok());
    let error = terms(both).with_assurance_header(Some("signed")).unwrap_err();
    assert_eq!((error.code, error.param.as_deref()), (Code::InvalidValue, Some("x-og-assurance")));
    assert!(terms("").with_assurance_header(Some("quorum")).is_err());
}
