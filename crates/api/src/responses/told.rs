//! Responses as they go back: whole, and as the sequence of numbered events from `response.created` to
//! `response.completed`.

use protocol::{Parameters, ToolCall};
use serde_json::{Value, json};

use crate::{
    answer::{nats, og},
    call::{Head, Teller, usage},
    error::{ApiError, Dialect},
    field::Object,
    said::{End, Part, Said, SaidToken},
    sse::Events,
};

/// What a response repeats of its request.
pub(super) struct Asked {
    fields: Value,
}

impl Asked {
    pub fn new(body: &Object<'_>, max_tokens: Option<u32>, parameters: &Parameters) -> Self {
        let given = |name: &str| body.get(name).and_then(|field| serde_json::to_value(field.json).ok());
        let format = given("text").and_then(|text| text.get("format").cloned());
        let fields = json!({
            "instructions": given("instructions"),
            "tools": given("tools").map_or_else(|| json!([]), tools),
            "tool_choice": given("tool_choice").unwrap_or_else(|| json!("auto")),
            "parallel_tool_calls": given("parallel_tool_calls").unwrap_or(Value::Bool(true)),
            "text": { "format": format.map_or_else(|| json!({ "type": "text" }), told_format) },
            "top_logprobs": parameters.scores.saturating_sub(1),
            "reasoning": given("reasoning").map(|reasoning| with(reasoning, &["effort", "summary"])),
            "max_output_tokens": max_tokens,
            "max_tool_calls": given("max_tool_calls"),
            "metadata": given("metadata").unwrap_or_else(|| json!({})),
            "safety_identifier": given("safety_identifier"),
            "prompt_cache_key": given("prompt_cache_key"),
            "previous_response_id": null,
            "truncation": "disabled",
            "store": false,
            "background": false,
            "service_tier": "default",
        });
        let mut asked = Self { fields };
        asked.settle(parameters);
        asked
    }

    /// What the model may have decided.
    fn settle(&mut self, parameters: &Parameters) {
        let millionths = |micros: u32| Value::from(f64::from(micros) / 1e6);
        self.fields["temperature"] = millionths(parameters.temperature_micros);
        self.fields["top_p"] = millionths(parameters.top_p_micros);
        self.fields["presence_penalty"] = nats(parameters.presence_penalty_micros).into();
        self.fields["frequency_penalty"] = nats(parameters.frequency_penalty_micros).into();
    }
}

/// With a null for each of `names` that is not there: what a caller may leave out, an answer says.
fn with(mut object: Value, names: &[&str]) -> Value {
    if let Value::Object(fields) = &mut object {
        names.iter().for_each(|name| {
            fields.entry(*name).or_insert(Value::Null);
        });
    }
    object
}

fn tools(given: Value) -> Value {
    let Value::Array(tools) = given else { return given };
    tools.into_iter().map(|tool| with(tool, &["description", "parameters", "strict"])).collect()
}

/// A schema is kept to whether it was asked to be strict or not, and its echo says so.
fn told_format(format: Value) -> Value {
    if format["type"] != "json_schema" {
        return format;
    }
    let mut format = with(format, &["name", "description"]);
    format["strict"] = true.into();
    format
}

/// Where a stream of items stands.
pub(super) struct Responding {
    asked: Asked,
    sequence: u64,
    /// Finished items.
    items: Vec<Value>,
    /// The thoughts that are open.
    thought: Option<String>,
    /// The text of the message that is open, and its scored tokens.
    text: Option<(String, Vec<SaidToken>)>,
}

fn scores(tokens: &[SaidToken]) -> Vec<Value> {
    let score = |text: &str, micros: i32| {
        let bytes = if text.contains(char::REPLACEMENT_CHARACTER) { &[] } else { text.as_bytes() };
        json!({ "token": text, "logprob": nats(micros), "bytes": bytes })
    };
    let scored = |token: &SaidToken| {
        let mut scored = score(&token.text, token.logprob_micros.unwrap_or_default());
        scored["top_logprobs"] = token.alternatives.iter().map(|(text, micros)| score(text, *micros)).collect();
        scored
    };
    tokens.iter().map(scored).collect()
}

fn text_part(text: &str, logprobs: &[Value]) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
}

fn thought_part(text: &str) -> Value {
    json!({ "type": "reasoning_text", "text": text })
}

fn reasoning(head: &Head, item: usize, status: &str, content: &[Value]) -> Value {
    let id = format!("rs_{}{item}", head.id);
    json!({ "type": "reasoning", "id": id, "status": status, "summary": [], "content": content })
}

/// Where the only part of an item stands.
fn place(id: &str, item: usize) -> Value {
    json!({ "item_id": id, "output_index": item, "content_index": 0 })
}

fn message(head: &Head, item: usize, status: &str, content: &[Value]) -> Value {
    let id = format!("msg_{}{item}", head.id);
    json!({ "type": "message", "id": id, "status": status, "role": "assistant", "content": content })
}

fn function_call(head: &Head, item: usize, status: &str, call: &ToolCall, arguments: &str) -> Value {
    json!({
        "type": "function_call",
        "id": format!("fc_{}{item}", head.id),
        "call_id": &call.id[..],
        "name": &call.name[..],
        "arguments": arguments,
        "status": status,
    })
}

impl Responding {
    pub fn new(asked: Asked) -> Self {
        Self { asked, sequence: 0, items: Vec::new(), thought: None, text: None }
    }

    /// The response while it comes, or, with what was said, when it is whole.
    fn response(&self, head: &Head, output: &[Value], said: Option<&[Said]>) -> Value {
        let mut response = self.asked.fields.clone();
        let end = said.and_then(|said| said.first()).map(|said| &said.end);
        let status = match end {
            None => "in_progress",
            Some(End::Length) => "incomplete",
            Some(End::Stop | End::StopText(_) | End::Calls | End::Complete) => "completed",
        };
        response["id"] = format!("resp_{}", head.id).into();
        response["object"] = "response".into();
        response["created_at"] = head.created.into();
        response["completed_at"] = (status == "completed").then_some(head.created).into();
        response["status"] = status.into();
        response["model"] = head.model.as_str().into();
        response["error"] = Value::Null;
        let incomplete = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
        response["incomplete_details"] = incomplete.unwrap_or_default();
        response["output"] = output.into();
        response["usage"] = Value::Null;
        if let Some(said) = said {
            let usage = usage(said);
            let thoughts = usage.completion_tokens_details.map_or(0, |details| details.reasoning_tokens);
            response["usage"] = json!({
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": { "reasoning_tokens": thoughts },
                "total_tokens": usage.total_tokens,
            });
            response["og"] = serde_json::to_value(og(said)).unwrap_or_default();
        }
        response
    }

    fn send(&mut self, events: &mut Events, name: &str, mut event: Value) {
        event["type"] = name.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence = self.sequence.saturating_add(1);
        events.named(name, &event.to_string());
    }

    /// Begins an item of one part.
    fn open(&mut self, added: &Value, part: Value, events: &mut Events) {
        let item = self.items.len();
        let mut begun = place(added["id"].as_str().unwrap_or_default(), item);
        begun["part"] = part;
        self.send(events, "response.output_item.added", json!({ "output_index": item, "item": added }));
        self.send(events, "response.content_part.added", begun);
    }

    /// Ends an item of one part, whose own last event has left.
    fn finish(&mut self, whole: Value, events: &mut Events) {
        let item = self.items.len();
        let mut done = place(whole["id"].as_str().unwrap_or_default(), item);
        done["part"] = whole["content"][0].clone();
        self.send(events, "response.content_part.done", done);
        self.send(events, "response.output_item.done", json!({ "output_index": item, "item": &whole }));
        self.items.push(whole);
    }

    fn think(&mut self, head: &Head, text: &str, events: &mut Events) {
        let item = self.items.len();
        let begun = reasoning(head, item, "in_progress", &[]);
        if self.thought.is_none() {
            self.open(&begun, thought_part(""), events);
        }
        self.thought.get_or_insert_default().push_str(text);
        let mut delta = place(begun["id"].as_str().unwrap_or_default(), item);
        delta["delta"] = text.into();
        self.send(events, "response.reasoning_text.delta", delta);
    }

    /// Ends the thoughts that are open, if any are.
    fn close_thought(&mut self, head: &Head, status: &str, events: &mut Events) {
        let Some(thought) = self.thought.take() else { return };
        let item = self.items.len();
        let whole = reasoning(head, item, status, &[thought_part(&thought)]);
        let mut done = place(whole["id"].as_str().unwrap_or_default(), item);
        done["text"] = thought.into();
        self.send(events, "response.reasoning_text.done", done);
        self.finish(whole, events);
    }

    fn show(&mut self, head: &Head, part: &Part, events: &mut Events) {
        self.close_thought(head, "completed", events);
        let item = self.items.len();
        let begun = message(head, item, "in_progress", &[]);
        if self.text.is_none() {
            self.open(&begun, text_part("", &[]), events);
        }
        let (text, tokens) = self.text.get_or_insert_default();
        text.push_str(&part.text);
        tokens.extend_from_slice(&part.tokens);
        let mut delta = place(begun["id"].as_str().unwrap_or_default(), item);
        delta["delta"] = part.text.as_str().into();
        delta["logprobs"] = scores(&part.tokens).into();
        self.send(events, "response.output_text.delta", delta);
    }

    /// Ends what is open, if anything is.
    fn close(&mut self, head: &Head, status: &str, events: &mut Events) {
        self.close_thought(head, status, events);
        let Some((text, tokens)) = self.text.take() else { return };
        let item = self.items.len();
        let whole = message(head, item, status, &[text_part(&text, &scores(&tokens))]);
        let mut done = place(whole["id"].as_str().unwrap_or_default(), item);
        done["logprobs"] = whole["content"][0]["logprobs"].clone();
        done["text"] = text.into();
        self.send(events, "response.output_text.done", done);
        self.finish(whole, events);
    }

    fn call(&mut self, head: &Head, call: &ToolCall, events: &mut Events) {
        self.close(head, "completed", events);
        let item = self.items.len();
        let added = function_call(head, item, "in_progress", call, "");
        let id = added["id"].clone();
        self.send(events, "response.output_item.added", json!({ "output_index": item, "item": added }));
        let arguments = &call.arguments[..];
        let delta = json!({ "item_id": id, "output_index": item, "delta": arguments });
        self.send(events, "response.function_call_arguments.delta", delta);
        let done = json!({ "item_id": id, "output_index": item, "name": &call.name[..], "arguments": arguments });
        self.send(events, "response.function_call_arguments.done", done);
        let whole = function_call(head, item, "completed", call, arguments);
        self.send(events, "response.output_item.done", json!({ "output_index": item, "item": whole }));
        self.items.push(whole);
    }
}

fn status(said: &Said) -> &'static str {
    if said.end == End::Length { "incomplete" } else { "completed" }
}

impl Teller for Responding {
    /// The events that end an item say again what it has.
    fn keeps_words(&self) -> bool {
        true
    }

    fn settled(&mut self, parameters: &Parameters) {
        self.asked.settle(parameters);
    }

    fn whole(&self, head: &Head, said: &[Said]) -> String {
        let Some(first) = said.first() else { return String::new() };
        let mut items = Vec::new();
        let is_silent = first.text.is_empty();
        if !first.thought.is_empty() {
            let is_all = is_silent && first.calls.is_empty();
            let status = if is_all { status(first) } else { "completed" };
            items.push(reasoning(head, 0, status, &[thought_part(&first.thought)]));
        }
        if !is_silent || first.calls.is_empty() && items.is_empty() {
            let part = text_part(&first.text, &scores(&first.tokens));
            items.push(message(head, items.len(), status(first), &[part]));
        }
        for call in &first.calls {
            items.push(function_call(head, items.len(), "completed", call, &call.arguments));
        }
        self.response(head, &items, Some(said)).to_string()
    }

    fn begin(&mut self, head: &Head, _jobs: usize, events: &mut Events) {
        for name in ["response.created", "response.in_progress"] {
            let response = self.response(head, &[], None);
            self.send(events, name, json!({ "response": response }));
        }
    }

    fn part(&mut self, head: &Head, _choice: usize, part: &Part, events: &mut Events) {
        if !part.thought.is_empty() {
            self.think(head, &part.thought, events);
        }
        if !part.text.is_empty() || !part.tokens.is_empty() && part.calls.is_empty() {
            self.show(head, part, events);
        }
        for call in &part.calls {
            self.call(head, call, events);
        }
    }

    fn end(&mut self, head: &Head, said: &[Said], events: &mut Events) {
        let Some(first) = said.first() else { return };
        if self.text.is_none() && self.thought.is_none() && self.items.is_empty() {
            self.show(head, &Part::default(), events);
        }
        self.close(head, status(first), events);
        let items = std::mem::take(&mut self.items);
        let response = self.response(head, &items, Some(said));
        self.send(events, &format!("response.{}", status(first)), json!({ "response": response }));
        events.data("[DONE]");
    }

    fn failed(&self, error: &ApiError, events: &mut Events) {
        let mut event: Value = serde_json::from_str(&error.to_json(Dialect::OpenAi)).unwrap_or_default();
        event["type"] = "error".into();
        event["code"] = error.code.word().into();
        event["message"] = error.message.as_str().into();
        event["param"] = error.param.as_deref().into();
        event["sequence_number"] = self.sequence.into();
        events.named("error", &event.to_string());
    }
}
