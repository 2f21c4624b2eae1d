//! Jinja as chat templates know it: Python's methods, its way of writing values, and the functions that they are given.

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use super::python;

/// An environment for one template, which ends after `fuel` steps; `mark` is no part of any text.
pub(super) fn new(fuel: u64, mark: char) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(fuel));
    environment.set_syntax(syntax()?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_formatter(|out, _, value| {
        let refused = |cause: std::fmt::Error| Error::new(ErrorKind::WriteFailure, cause.to_string());
        std::fmt::Write::write_str(out, &python::text(value)?).map_err(refused)
    });
    environment.set_unknown_method_callback(method);
    // They show how the engine itself writes values down, with names that another compiler may give otherwise.
    environment.remove_global("debug");
    environment.remove_filter("pprint");
    environment.add_function("raise_exception", |text: Value| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, python::text(&text)?))
    });
    environment.add_filter("tojson", move |value: Value, ascii: Option<bool>, arguments: Kwargs| {
        python::to_json(&value, &arguments, ascii, mark)
    });
    environment.add_filter("string", |value: Value| python::text(&value));
    environment.add_filter("join", join);
    environment.add_filter("entries", entries);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    // Texts and mappings have a length and entries, which is all that Python asks of a sequence.
    environment.add_test("sequence", |value: Value| has_entries(&value));
    environment.add_test("iterable", |value: Value| has_entries(&value) || value.kind() == ValueKind::Iterable);
    environment.add_test("number", |value: Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    Ok(environment)
}

/// As the reference implementation of chat templates sets them.
fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

/// Whether a template raises to a power. The engine does so by the platform's mathematical library, whose last bit is
/// another one elsewhere; its own lexer is asked, so that none of its operators can be hidden from us.
pub(super) fn raises(source: &str) -> Result<bool, Error> {
    let mut opens = false;
    // What cannot be read is refused by the parser, in its words.
    for (token, _) in tokenize(source, false, syntax()?).map_while(Result::ok) {
        // In front of an argument the sign takes a mapping apart.
        if matches!(token, Token::Pow) && !opens {
            return Ok(true);
        }
        opens = matches!(token, Token::ParenOpen | Token::Comma);
    }
    Ok(false)
}

fn has_entries(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
}

/// Entries one after another, written as Python writes them.
fn join(value: Value, between: Option<String>, arguments: Kwargs) -> Result<String, Error> {
    let attribute: Option<String> = arguments.get("attribute")?;
    let named: Option<String> = arguments.get("d")?;
    arguments.assert_all_used()?;
    let between = between.or(named).unwrap_or_default();
    python::join(&value, &between, |entry| match &attribute {
        Some(attribute) => entry.get_attr(attribute),
        None => Ok(entry),
    })
}

/// What a loop goes through: `None` has no entries, not even none.
fn entries(value: Value) -> Result<Value, Error> {
    if value.is_none() { Err(Error::new(ErrorKind::InvalidOperation, "None has no entries")) } else { Ok(value) }
}

fn length(value: Value) -> Result<usize, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(0),
        kind => value.len().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("a {kind} has no length"))),
    }
}

/// Methods of Python's texts, lists and mappings.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let text = |index: usize| arguments.get(index).and_then(Value::as_str);
    if let (Some(own), "join", [entries]) = (value.as_str(), name, arguments) {
        return python::join(entries, own, Ok).map(Value::from);
    }
    if name == "format" && value.as_str().is_some() {
        // What holds values is written here, where its length is bounded.
        let written = |value: &Value| match value.kind() {
            ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => python::text(value).map(Value::from),
            _ => Ok(value.clone()),
        };
        let arguments: Vec<Value> = arguments.iter().map(written).collect::<Result<_, _>>()?;
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, &arguments);
    }
    match (value.as_str(), name, text(0)) {
        (Some(own), "removeprefix", Some(part)) => Ok(Value::from(own.strip_prefix(part).unwrap_or(own))),
        (Some(own), "removesuffix", Some(part)) => Ok(Value::from(own.strip_suffix(part).unwrap_or(own))),
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments),
    }
}
