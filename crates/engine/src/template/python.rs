//! How Python writes values: chat templates are written for it, and their text must have the same bytes here.

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

/// Values in values, at most so deep.
const DEPTH_MAX: usize = 200;
/// Longest that a value may be when it is written: lists may hold the same list twice, and that one another, so that a
/// few steps make a value whose text would fill any memory. Every value in a value writes at least a letter.
const WRITTEN_BYTES_MAX: usize = super::RENDERED_BYTES_MAX;

fn refused(cause: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, cause)
}

/// Refuses what is nested too deep, or is too long already.
fn bounded(depth: usize, text: &str) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(refused("a value is nested too deep to be written"));
    }
    if text.len() > WRITTEN_BYTES_MAX {
        return Err(refused(format!("a value has more than {WRITTEN_BYTES_MAX} bytes when it is written")));
    }
    Ok(())
}

/// Entries one after another, each as `str` writes it or as `each` does.
pub(super) fn join(
    entries: &Value,
    between: &str,
    each: impl Fn(Value) -> Result<Value, Error>,
) -> Result<String, Error> {
    let mut joined = String::new();
    for (index, entry) in entries.try_iter()?.enumerate() {
        joined.push_str(if index > 0 { between } else { "" });
        joined.push_str(&text(&each(entry)?)?);
        bounded(0, &joined)?;
        // Empty entries are no letters.
        if index > WRITTEN_BYTES_MAX {
            return Err(refused(format!("more than {WRITTEN_BYTES_MAX} entries are joined")));
        }
    }
    Ok(joined)
}

/// A value as `str` writes it.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    match (value.kind(), value.as_str()) {
        (_, Some(text)) => Ok(text.to_owned()),
        (ValueKind::Undefined, _) => Ok(String::new()),
        _ => {
            let mut text = String::new();
            represent(value, 0, &mut text)?;
            Ok(text)
        }
    }
}

/// A value as `repr` writes it.
fn represent(value: &Value, depth: usize, text: &mut String) -> Result<(), Error> {
    bounded(depth, text)?;
    match value.kind() {
        ValueKind::Undefined => text.push_str("Undefined"),
        ValueKind::None => text.push_str("None"),
        ValueKind::Bool => text.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => text.push_str(&number(value)),
        ValueKind::String => quote(value.as_str().unwrap_or_default(), text),
        ValueKind::Seq => {
            text.push('[');
            each(value, |index, entry, _| {
                text.push_str(if index > 0 { ", " } else { "" });
                represent(&entry, depth + 1, text)
            })?;
            text.push(']');
        }
        ValueKind::Map => {
            text.push('{');
            each(value, |index, key, map| {
                text.push_str(if index > 0 { ", " } else { "" });
                represent(&key, depth + 1, text)?;
                text.push_str(": ");
                represent(&map.get_item(&key)?, depth + 1, text)
            })?;
            text.push('}');
        }
        other => return Err(refused(format!("a value of the kind {other} cannot be written"))),
    }
    Ok(())
}

fn each(value: &Value, mut take: impl FnMut(usize, Value, &Value) -> Result<(), Error>) -> Result<(), Error> {
    for (index, entry) in value.try_iter()?.enumerate() {
        take(index, entry, value)?;
    }
    Ok(())
}

/// A text in single quotes, or in double ones where it holds single ones only.
fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            letter if letter == mark => out.extend(['\\', letter]),
            letter if (letter as u32) < 0x20 || letter as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", letter as u32));
            }
            letter => out.push(letter),
        }
    }
    out.push(mark);
}

/// A number; floats with the fewest digits that give them back, and a power of ten from 16 digits on.
fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => self::float(float),
        _ => value.to_string(),
    }
}

fn float(value: f64) -> String {
    if value.is_nan() || value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return if value.is_nan() { "nan".to_owned() } else { format!("{sign}inf") };
    }
    let written = format!("{value:e}");
    let (digits, power) = written.split_once('e').unwrap_or((&written, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&power) {
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", power.abs());
    }
    format!("{value:?}")
}

/// How `json.dumps` is to write.
struct Style {
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
    /// What is no part of any text, and passes unescaped.
    mark: char,
}

/// The filter `tojson` as chat templates have it: `json.dumps`, and letters beyond ASCII as they are.
pub(super) fn to_json(value: &Value, arguments: &Kwargs, ascii: Option<bool>, mark: char) -> Result<String, Error> {
    let indent: Option<Value> = arguments.get("indent")?;
    let stated = indent.filter(|indent| !indent.is_none() && !indent.is_undefined());
    let indent = stated.map(|indent| match indent.as_str() {
        Some(text) => text.to_owned(),
        None => " ".repeat(usize::try_from(indent).unwrap_or(0).min(16)),
    });
    let separators: Option<Value> = arguments.get("separators")?;
    let (mut item, mut key) = (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned());
    if let Some(separators) = separators.filter(|separators| !separators.is_none()) {
        let named: Vec<String> = separators.try_iter()?.map(|value| text(&value)).collect::<Result<_, _>>()?;
        let [first, second] = <[String; 2]>::try_from(named).map_err(|_| refused("separators are two texts"))?;
        (item, key) = (first, second);
    }
    let ascii = arguments.get::<Option<bool>>("ensure_ascii")?.or(ascii).unwrap_or(false);
    let sorted = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    arguments.assert_all_used()?;
    let mut out = String::new();
    json(value, &Style { indent, item, key, ascii, sorted, mark }, 0, &mut out)?;
    Ok(out)
}

fn json(value: &Value, style: &Style, depth: usize, out: &mut String) -> Result<(), Error> {
    bounded(depth, out)?;
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&number(value).replace("nan", "NaN").replace("inf", "Infinity")),
        ValueKind::String => json_text(value.as_str().unwrap_or_default(), style, out),
        ValueKind::Seq => {
            // A list may be repeated without being there.
            let entries: Vec<Value> = value.try_iter()?.take(WRITTEN_BYTES_MAX + 1).collect();
            bracket(('[', ']'), &entries, style, depth, out, &mut |entry, out| json(entry, style, depth + 1, out))?;
        }
        ValueKind::Map => {
            let mut keys: Vec<Value> = value.try_iter()?.collect();
            if style.sorted {
                keys.sort();
            }
            bracket(('{', '}'), &keys, style, depth, out, &mut |key, out| {
                match key.kind() {
                    ValueKind::String => json_text(key.as_str().unwrap_or_default(), style, out),
                    ValueKind::Number | ValueKind::Bool | ValueKind::None => {
                        out.push('"');
                        json(key, style, depth + 1, out)?;
                        out.push('"');
                    }
                    _ => return Err(refused("keys of JSON objects are texts")),
                }
                out.push_str(&style.key);
                json(&value.get_item(key)?, style, depth + 1, out)
            })?;
        }
        other => return Err(refused(format!("a value of the kind {other} has no JSON"))),
    }
    Ok(())
}

type Write<'a> = &'a mut dyn FnMut(&Value, &mut String) -> Result<(), Error>;

fn bracket(
    (open, close): (char, char),
    entries: &[Value],
    style: &Style,
    depth: usize,
    out: &mut String,
    write: Write,
) -> Result<(), Error> {
    out.push(open);
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = &style.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    for (index, entry) in entries.iter().enumerate() {
        bounded(depth, out)?;
        out.push_str(if index > 0 { &style.item } else { "" });
        line(depth + 1, out);
        write(entry, out)?;
    }
    if !entries.is_empty() {
        line(depth, out);
    }
    out.push(close);
    Ok(())
}

fn json_text(text: &str, style: &Style, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if (letter as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", letter as u32)),
            letter if style.ascii && !letter.is_ascii() && letter != style.mark => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_the_digits_that_python_gives_them() {
        let cases = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (123_456.789, "123456.789"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "nan"),
        ];
        for (value, expected) in cases {
            assert_eq!(float(value), expected);
        }
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value: Value = serde_json::from_str(r#"{"b": [1, 2.0, true, null], "a": "it's \"\n\u0001é"}"#).unwrap();
        assert_eq!(text(&value).unwrap(), r#"{'b': [1, 2.0, True, None], 'a': 'it\'s "\n\x01é'}"#);
        let json = |value: &Value, arguments: Kwargs| to_json(value, &arguments, None, '\u{10ffff}').unwrap();
        let plain = r#"{"b": [1, 2.0, true, null], "a": "it's \"\n\u0001é"}"#;
        assert_eq!(json(&value, Kwargs::from_iter::<[(&str, Value); 0]>([])), plain);
        let wide =
            Kwargs::from_iter([("indent", Value::from(1)), ("sort_keys", true.into()), ("ensure_ascii", true.into())]);
        assert_eq!(
            json(&value, wide),
            "{\n \"a\": \"it's \\\"\\n\\u0001\\u00e9\",\n \"b\": [\n  1,\n  2.0,\n  true,\n  null\n ]\n}"
        );
    }

    #[test]
    fn what_has_no_text_is_refused() {
        let none = || Kwargs::from_iter::<[(&str, Value); 0]>([]);
        assert!(to_json(&Value::UNDEFINED, &none(), None, 'x').is_err());
        let deep = (0..300).fold(Value::from(1), |value, _| Value::from(vec![value]));
        assert!(text(&deep).is_err() && to_json(&deep, &none(), None, 'x').is_err());
    }
}
