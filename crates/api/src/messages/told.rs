//! Anthropic messages as they go back: whole, and as the events from `message_start` to `message_stop`.

use protocol::ToolCall;
use serde_json::{Value, json};

use crate::{
    answer::og,
    call::{Head, Teller, usage},
    error::Dialect,
    said::{End, Part, Said},
    sse::Events,
};

/// Where a stream of blocks stands.
#[derive(Default)]
pub(super) struct Telling {
    blocks: usize,
    /// What the block that is open holds.
    open: Option<Block>,
}

/// A block that comes in pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
}

impl Block {
    /// The block as far as `text`. Nobody signs thoughts for whoever sends them back: the receipt has their tokens.
    fn of(self, text: &str) -> Value {
        match self {
            Self::Thinking => json!({ "type": "thinking", "thinking": text, "signature": "" }),
            Self::Text => json!({ "type": "text", "text": text }),
        }
    }

    fn delta(self, text: &str) -> Value {
        match self {
            Self::Thinking => json!({ "type": "thinking_delta", "thinking": text }),
            Self::Text => json!({ "type": "text_delta", "text": text }),
        }
    }
}

fn stop_reason(end: &End) -> &'static str {
    match end {
        End::Stop | End::Complete => "end_turn",
        End::StopText(_) => "stop_sequence",
        End::Length => "max_tokens",
        End::Calls => "tool_use",
    }
}

fn stop_sequence(end: &End) -> Option<&str> {
    match end {
        End::StopText(text) => Some(text),
        End::Stop | End::Complete | End::Length | End::Calls => None,
    }
}

/// The arguments as an object; what is none is wrapped, so that nothing is lost.
fn input(call: &ToolCall) -> Value {
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({ "arguments": &call.arguments[..] }),
    }
}

fn used(said: &[Said]) -> Value {
    let usage = usage(said);
    json!({
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    })
}

fn message(head: &Head, content: Vec<Value>) -> Value {
    json!({
        "id": format!("msg_{}", head.id),
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": content,
        "stop_reason": null,
        "stop_sequence": null,
        "usage": { "input_tokens": 0, "output_tokens": 0 },
    })
}

impl Telling {
    fn send(events: &mut Events, name: &str, mut event: Value) {
        event["type"] = name.into();
        events.named(name, &event.to_string());
    }

    fn open(&mut self, block: &Value, events: &mut Events) {
        Self::send(events, "content_block_start", json!({ "index": self.blocks, "content_block": block }));
    }

    fn delta(&mut self, delta: &Value, events: &mut Events) {
        Self::send(events, "content_block_delta", json!({ "index": self.blocks, "delta": delta }));
    }

    fn close(&mut self, events: &mut Events) {
        Self::send(events, "content_block_stop", json!({ "index": self.blocks }));
        self.blocks = self.blocks.saturating_add(1);
        self.open = None;
    }

    /// Ends the block that is open, if one is.
    fn close_open(&mut self, events: &mut Events) {
        if self.open.is_some() {
            self.close(events);
        }
    }

    fn add(&mut self, block: Block, text: &str, events: &mut Events) {
        if text.is_empty() {
            return;
        }
        if self.open != Some(block) {
            self.close_open(events);
            self.open(&block.of(""), events);
            self.open = Some(block);
        }
        self.delta(&block.delta(text), events);
    }

    fn call(&mut self, call: &ToolCall, events: &mut Events) {
        self.close_open(events);
        let block = json!({ "type": "tool_use", "id": &call.id[..], "name": &call.name[..], "input": {} });
        self.open(&block, events);
        self.delta(&json!({ "type": "input_json_delta", "partial_json": input(call).to_string() }), events);
        self.close(events);
    }
}

impl Teller for Telling {
    fn whole(&self, head: &Head, said: &[Said]) -> String {
        let Some(first) = said.first() else { return String::new() };
        let blocks = [(Block::Thinking, &first.thought), (Block::Text, &first.text)];
        let blocks = blocks.into_iter().filter(|(_, text)| !text.is_empty());
        let mut content: Vec<Value> = blocks.map(|(block, text)| block.of(text)).collect();
        content.extend(first.calls.iter().map(
            |call| json!({ "type": "tool_use", "id": &call.id[..], "name": &call.name[..], "input": input(call) }),
        ));
        let mut whole = message(head, content);
        whole["stop_reason"] = stop_reason(&first.end).into();
        whole["stop_sequence"] = stop_sequence(&first.end).into();
        whole["usage"] = used(said);
        whole["og"] = serde_json::to_value(og(said)).unwrap_or_default();
        whole.to_string()
    }

    fn begin(&mut self, head: &Head, _jobs: usize, events: &mut Events) {
        Self::send(events, "message_start", json!({ "message": message(head, Vec::new()) }));
    }

    fn part(&mut self, _head: &Head, _choice: usize, part: &Part, events: &mut Events) {
        self.add(Block::Thinking, &part.thought, events);
        self.add(Block::Text, &part.text, events);
        for call in &part.calls {
            self.call(call, events);
        }
    }

    fn end(&mut self, _head: &Head, said: &[Said], events: &mut Events) {
        self.close_open(events);
        let Some(first) = said.first() else { return };
        let delta = json!({ "stop_reason": stop_reason(&first.end), "stop_sequence": stop_sequence(&first.end) });
        let og = serde_json::to_value(og(said)).unwrap_or_default();
        Self::send(events, "message_delta", json!({ "delta": delta, "usage": used(said), "og": og }));
        Self::send(events, "message_stop", json!({}));
    }

    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }
}
