//! What a template sees of a conversation: the shapes that chat interfaces have, every text of a caller marked.

use minijinja::{Value, value::ValueKind};
use protocol::{Message, Tool, ToolCall};

use super::{Conversation, MARK, PromptError, marks::Marks};

/// Names that callers cannot give variables.
const RESERVED: [&str; 8] = [
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "bos_token",
    "eos_token",
    "strftime_now",
    "raise_exception",
];

/// The pairs of a JSON object, in their order.
pub(super) fn pairs(json: &str) -> Result<Vec<(String, Value)>, String> {
    let value: Value = serde_json::from_str(json).map_err(|cause| cause.to_string())?;
    if value.kind() != ValueKind::Map {
        return Err(format!("it is of the kind {}", value.kind()));
    }
    let keys = value.try_iter().map_err(|cause| cause.to_string())?;
    let pair = |key: Value| Some((key.as_str()?.to_owned(), value.get_item(&key).ok()?));
    Ok(keys.filter_map(pair).collect())
}

/// The variables of a conversation; `plain` arguments of calls stay the texts that they are.
pub(super) fn of(conversation: &Conversation, marks: &Marks, plain: bool) -> Result<Vec<(String, Value)>, PromptError> {
    if conversation.messages.is_empty() {
        return Err(PromptError::Empty);
    }
    let mut messages = Vec::new();
    for (index, message) in conversation.messages.iter().enumerate() {
        if texts(message).any(|text| text.contains(MARK)) {
            return Err(PromptError::Mark { message: index });
        }
        messages.push(self::message(message, marks, plain));
    }
    let mut tools = Vec::new();
    for (index, tool) in conversation.tools.iter().enumerate() {
        tools.push(self::tool(index, tool, marks)?);
    }
    let tools = if tools.is_empty() { Value::from(()) } else { Value::from(tools) };
    let mut variables = vec![("messages".to_owned(), Value::from(messages)), ("tools".to_owned(), tools)];
    variables.push(("documents".to_owned(), Value::from(())));
    if !conversation.arguments.is_empty() {
        let refused = |cause: String| PromptError::Arguments { cause };
        for (name, value) in pairs(conversation.arguments).map_err(refused)? {
            if RESERVED.contains(&&*name) {
                return Err(PromptError::Argument { name });
            }
            let marked =
                marked(&value, marks).ok_or_else(|| refused("it holds the noncharacter U+10FFFF".to_owned()))?;
            variables.push((name, marked));
        }
    }
    Ok(variables)
}

/// All texts of a message.
fn texts(message: &Message) -> impl Iterator<Item = &str> {
    let calls = message.tool_calls.iter().flat_map(|call| [&*call.id, &*call.name, &*call.arguments]);
    [&*message.content, &*message.reasoning, &*message.tool_call_id, &*message.name].into_iter().chain(calls)
}

fn message(message: &Message, marks: &Marks, plain: bool) -> Value {
    let text = |text: &str| Value::from(marks.marked(text));
    let mut pairs = vec![("role", Value::from(message.speaker.word())), ("content", text(&message.content))];
    if !message.reasoning.is_empty() {
        pairs.push(("reasoning_content", text(&message.reasoning)));
        pairs.push(("thinking", text(&message.reasoning)));
    }
    if !message.tool_calls.is_empty() {
        pairs.push(("tool_calls", message.tool_calls.iter().map(|call| self::call(call, marks, plain)).collect()));
    }
    for (name, value) in [("tool_call_id", &*message.tool_call_id), ("name", &*message.name)] {
        if !value.is_empty() {
            pairs.push((name, text(value)));
        }
    }
    Value::from_pairs(pairs)
}

fn call(call: &ToolCall, marks: &Marks, plain: bool) -> Value {
    let object = || pairs(&call.arguments).ok().map(Value::from_pairs).and_then(|value| marked(&value, marks));
    let arguments = if plain { None } else { object() };
    let arguments = arguments.unwrap_or_else(|| Value::from(marks.marked(&call.arguments)));
    let function = Value::from_pairs([("name", Value::from(marks.marked(&call.name))), ("arguments", arguments)]);
    let id = Value::from(marks.marked(&call.id));
    Value::from_pairs([("id", id), ("type", Value::from("function")), ("function", function)])
}

fn tool(index: usize, tool: &Tool, marks: &Marks) -> Result<Value, PromptError> {
    if [&*tool.name, &*tool.description, &*tool.parameters].iter().any(|text| text.contains(MARK)) {
        return Err(PromptError::ToolMark { tool: index });
    }
    let mut function = vec![("name", Value::from(marks.marked(&tool.name)))];
    if !tool.description.is_empty() {
        function.push(("description", Value::from(marks.marked(&tool.description))));
    }
    if !tool.parameters.is_empty() {
        let refused = |cause| PromptError::Parameters { tool: index, cause };
        let parameters = Value::from_pairs(pairs(&tool.parameters).map_err(refused)?);
        let parameters = marked(&parameters, marks).ok_or(PromptError::ToolMark { tool: index })?;
        function.push(("parameters", parameters));
    }
    let function = Value::from_pairs(function);
    Ok(Value::from_pairs([("type", Value::from("function")), ("function", function)]))
}

/// A value with all texts in it marked; none where one holds the mark itself.
fn marked(value: &Value, marks: &Marks) -> Option<Value> {
    match value.kind() {
        ValueKind::String => {
            let text = value.as_str()?;
            (!text.contains(MARK)).then(|| Value::from(marks.marked(text)))
        }
        ValueKind::Seq => {
            value.try_iter().ok()?.map(|entry| marked(&entry, marks)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        ValueKind::Map => {
            let pair = |key: Value| Some((marked(&key, marks)?, marked(&value.get_item(&key).ok()?, marks)?));
            Some(Value::from_pairs(value.try_iter().ok()?.map(pair).collect::<Option<Vec<_>>>()?))
        }
        _ => Some(value.clone()),
    }
}
