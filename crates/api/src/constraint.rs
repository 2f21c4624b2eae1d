//! What binds an answer: a schema, an expression or a grammar, by the names that OpenAI, Anthropic, vLLM and SGLang have for it. One at a
//! time: two are refused, because only one of them could bind.

use protocol::{Constraint, Text};

use crate::{
    error::{ApiError, Code},
    field::{Field, Object},
    json::Json,
    limits::CHOICES_MAX,
    terms::Terms,
    unsupported::{Unsupported, never, off, refuse_unsupported},
};

/// What binds, and the field that says so.
pub(crate) type Bond = (String, Constraint);
type Read = fn(&Field<'_>) -> Result<Constraint, ApiError>;

/// Names of vLLM's and SGLang's at the top of a body.
static NAMES: [(&str, Read); 6] = [
    ("guided_json", schema),
    ("guided_regex", regex),
    ("guided_choice", choice),
    ("guided_grammar", grammar),
    ("json_schema", schema),
    ("regex", regex),
];
/// Those under vLLM's `structured_outputs`.
static INSIDE: [(&str, Read); 4] = [("json", schema), ("regex", regex), ("choice", choice), ("grammar", grammar)];
const ANY_OBJECT: &str = "json_object";
/// What else that object may hold: nothing here falls back to anything.
const NO_FALLBACK: &str = "disable_fallback";

static UNSUPPORTED: &[Unsupported] = &[
    Unsupported::new("whitespace_pattern", never, "white space has a bound of its own", "say grammar"),
    Unsupported::new("disable_any_whitespace", off, "white space has a bound of its own", "say grammar"),
    Unsupported::new("disable_additional_properties", off, "a schema means what it says", "say so in the schema"),
    Unsupported::new("structural_tag", never, "nothing reads such tags", "say grammar"),
];

/// What binds the answer, whoever's name it has: `format` is what the dialect itself says.
pub(crate) fn constraint(
    body: &Object<'_>,
    terms: &Terms,
    format: Option<Bond>,
) -> Result<Option<Constraint>, ApiError> {
    let mut bonds: Vec<Bond> = format.into_iter().collect();
    bonds.extend(named(body, &NAMES)?);
    if let Some(field) = body.get("structured_outputs") {
        bonds.extend(structured(&field)?);
    }
    bonds.extend(terms.constraint.clone().map(|own| ("og".to_owned(), own)));
    let mut bonds = bonds.into_iter();
    match (bonds.next(), bonds.next()) {
        (Some((first, _)), Some((second, _))) => {
            let message = format!("'{first}' and '{second}' both bind the answer: give one of them.");
            Err(ApiError::new(Code::InvalidValue, message).with_param(second))
        }
        (bond, _) => Ok(bond.map(|(_, constraint)| constraint)),
    }
}

fn named(object: &Object<'_>, names: &[(&str, Read)]) -> Result<Vec<Bond>, ApiError> {
    let fields = names.iter().filter_map(|(name, read)| Some((object.get(name)?, read)));
    fields.map(|(field, read)| Ok((field.path.clone(), read(&field)?))).collect()
}

fn structured(field: &Field<'_>) -> Result<Vec<Bond>, ApiError> {
    let object = field.object()?;
    refuse_unsupported(&object, UNSUPPORTED)?;
    let own = INSIDE.iter().map(|(name, _)| *name).chain([ANY_OBJECT, NO_FALLBACK]);
    object.only(&own.chain(UNSUPPORTED.iter().map(|row| row.name)).collect::<Vec<_>>())?;
    let mut bonds = named(&object, &INSIDE)?;
    if let Some(any) = object.get(ANY_OBJECT).filter(|any| *any.json != Json::Flag(false)) {
        any.flag()?;
        bonds.push((any.path, any_object()));
    }
    Ok(bonds)
}

fn any_object() -> Constraint {
    Constraint::JsonSchema(Text::new(r#"{"type":"object"}"#).unwrap_or_default())
}

/// A schema, or its JSON as text.
fn schema(field: &Field<'_>) -> Result<Constraint, ApiError> {
    let read = |json: &Json| {
        let schema = Field { path: field.path.clone(), json };
        schema.object()?;
        schema.json_text().map(Constraint::JsonSchema)
    };
    match field.json {
        Json::Text(text) => {
            let parsed = Json::parse(text.as_bytes());
            read(&parsed.map_err(|_| ApiError::wrong_value(&field.path, "other text", "a JSON schema"))?)
        }
        json => read(json),
    }
}

fn regex(field: &Field<'_>) -> Result<Constraint, ApiError> {
    field.bounded().map(Constraint::Regex)
}

/// One of several texts, as the expression that they are.
fn choice(field: &Field<'_>) -> Result<Constraint, ApiError> {
    let items = field.list(CHOICES_MAX)?;
    if items.is_empty() {
        return Err(ApiError::wrong_value(&field.path, "an empty array", "at least one answer"));
    }
    let one = |item: &Field<'_>| match item.text()? {
        "" => Err(ApiError::wrong_value(&item.path, "an empty one", "a string that can be an answer")),
        text => Ok(escaped(text)),
    };
    let texts = items.iter().map(one).collect::<Result<Vec<_>, ApiError>>()?;
    Text::new(texts.join("|")).map(Constraint::Regex).map_err(|error| field.too_long(error))
}

/// The expression that nothing but `text` matches.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A grammar as Lark writes it. vLLM takes one with `::=` for another notation, and so is it refused here.
fn grammar(field: &Field<'_>) -> Result<Constraint, ApiError> {
    if field.text()?.contains("::=") {
        let refused = field.unsupported_value("grammars are written as Lark has them, and this one has '::='");
        return Err(refused.with_hint(r#"write rules as in start: "yes" | "no""#));
    }
    field.bounded().map(Constraint::Grammar)
}

/// What a schema's wrapper asks for: `{"type": "text" | "json_object" | "json_schema", …}`. The schema lies in the field
/// `inside`, or in the wrapper itself.
pub(crate) fn format(field: &Field<'_>, inside: Option<&str>) -> Result<Option<Bond>, ApiError> {
    let wrapper = field.object()?;
    let kind = wrapper.need("type")?;
    let bond = match kind.text()? {
        "text" => None,
        "json_object" => Some(any_object()),
        "json_schema" => {
            let schema = match inside {
                Some(name) => wrapper.need(name)?.object()?.need("schema")?,
                None => wrapper.need("schema")?,
            };
            schema.object()?;
            Some(Constraint::JsonSchema(schema.json_text()?))
        }
        _ => return Err(ApiError::wrong_value(&kind.path, "another word", "one of text, json_object, json_schema")),
    };
    Ok(bond.map(|constraint| (field.path.clone(), constraint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(body: &str) -> Result<Option<Constraint>, ApiError> {
        let json = Json::parse(body.as_bytes()).unwrap();
        let body = Object::body(&json).unwrap();
        let own = body.get("response_format").map(|field| format(&field, Some("json_schema"))).transpose()?.flatten();
        constraint(&body, &Terms::read(&body)?, own)
    }

    #[test]
    fn every_name_binds_by_what_it_says() {
        let schema = Constraint::JsonSchema(Text::new(r#"{"type":"object"}"#).unwrap());
        let regex = |text: &str| Constraint::Regex(Text::new(text).unwrap());
        let grammar = Constraint::Grammar(Text::new("start: \"a\"").unwrap());
        let cases = [
            (r#"{"guided_json":{"type":"object"}}"#, schema.clone()),
            (r#"{"guided_json":"{ \"type\" : \"object\" }"}"#, schema.clone()),
            (r#"{"json_schema":{"type":"object"}}"#, schema.clone()),
            (
                r#"{"structured_outputs":{"json":{"type":"object"},"regex":null,"disable_fallback":true}}"#,
                schema.clone(),
            ),
            (r#"{"structured_outputs":{"json_object":true,"disable_any_whitespace":false}}"#, schema.clone()),
            (r#"{"response_format":{"type":"json_object"}}"#, schema),
            (r#"{"guided_regex":"[0-9]+"}"#, regex("[0-9]+")),
            (r#"{"regex":"[0-9]+","response_format":{"type":"text"}}"#, regex("[0-9]+")),
            (r#"{"structured_outputs":{"regex":"[0-9]+"}}"#, regex("[0-9]+")),
            (r#"{"guided_choice":["yes","no (not yet)","a/b"]}"#, regex(r"yes|no \(not yet\)|a/b")),
            (r#"{"structured_outputs":{"choice":["1.5","x-y"]}}"#, regex(r"1\.5|x\-y")),
            (r#"{"guided_grammar":"start: \"a\""}"#, grammar.clone()),
            (r#"{"og":{"grammar":"start: \"a\""}}"#, grammar),
        ];
        for (body, expected) in cases {
            assert_eq!(bound(body), Ok(Some(expected)), "{body}");
        }
        let free = [r"{}", r#"{"structured_outputs":{}}"#, r#"{"structured_outputs":{"json_object":false}}"#];
        for body in free {
            assert_eq!(bound(body), Ok(None), "{body}");
        }
    }

    #[test]
    fn what_cannot_bind_is_refused_by_name() {
        let cases = [
            (r#"{"guided_json":"{"}"#, Code::InvalidValue, "guided_json"),
            (r#"{"guided_json":"[1]"}"#, Code::InvalidType, "guided_json"),
            (r#"{"guided_json":7}"#, Code::InvalidType, "guided_json"),
            (r#"{"guided_regex":[]}"#, Code::InvalidType, "guided_regex"),
            (r#"{"guided_choice":[]}"#, Code::InvalidValue, "guided_choice"),
            (r#"{"guided_choice":["a",""]}"#, Code::InvalidValue, "guided_choice[1]"),
            (r#"{"guided_choice":["a",7]}"#, Code::InvalidType, "guided_choice[1]"),
            (r#"{"guided_grammar":"root ::= \"a\""}"#, Code::UnsupportedValue, "guided_grammar"),
            (r#"{"structured_outputs":[]}"#, Code::InvalidType, "structured_outputs"),
            (r#"{"structured_outputs":{"jsn":{}}}"#, Code::UnsupportedParameter, "structured_outputs.jsn"),
            (r#"{"structured_outputs":{"json_object":1}}"#, Code::InvalidType, "structured_outputs.json_object"),
            (
                r#"{"structured_outputs":{"json":{},"whitespace_pattern":" "}}"#,
                Code::UnsupportedParameter,
                "structured_outputs.whitespace_pattern",
            ),
            (r#"{"guided_json":{},"guided_regex":"a"}"#, Code::InvalidValue, "guided_regex"),
            (r#"{"structured_outputs":{"json":{},"regex":"a"}}"#, Code::InvalidValue, "structured_outputs.regex"),
            (r#"{"response_format":{"type":"json_object"},"og":{"regex":"a"}}"#, Code::InvalidValue, "og"),
            (r#"{"guided_choice":["a"],"og":{"grammar":"start: \"a\""}}"#, Code::InvalidValue, "og"),
        ];
        for (body, code, param) in cases {
            let error = bound(body).expect_err(body);
            assert_eq!((error.code, error.param.as_deref()), (code, Some(param)), "{body}: {error}");
        }
        let many = format!(r#"{{"guided_choice":[{}]}}"#, vec![r#""a""#; CHOICES_MAX + 1].join(","));
        assert_eq!(bound(&many).unwrap_err().code, Code::TooMany);
        let long = format!(r#"{{"guided_choice":["{}"]}}"#, "a".repeat(crate::limits::SCHEMA_BYTES_MAX + 1));
        assert_eq!(bound(&long).unwrap_err().code, Code::TooLong);
    }
}
