//! Walks and changes the readable face of a noun, and writes it as JSON; for the tests of several rooms. No I/O.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

use protocol::Value;

/// A place in a face: the children taken from the outermost, and their names joined by dots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub children: Vec<usize>,
    pub name: String,
}

impl Place {
    fn below(&self, child: usize, name: &str) -> Self {
        let name = if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        Self { children: [&self.children[..], &[child]].concat(), name }
    }
}

/// Every place of a face with what stands there, outermost first.
pub fn places(face: &Value) -> Vec<(Place, Value)> {
    let mut found = vec![(Place::default(), face.clone())];
    let mut next = 0;
    while let Some((place, value)) = found.get(next).cloned() {
        next += 1;
        match value {
            Value::Record(fields) => {
                let below =
                    fields.into_iter().enumerate().map(|(child, (name, value))| (place.below(child, &name), value));
                found.extend(below);
            }
            Value::List(items) => {
                let below = items.into_iter().enumerate();
                found.extend(below.map(|(child, value)| (place.below(child, &child.to_string()), value)));
            }
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
    found
}

/// The same face with something else at one place.
pub fn replaced(face: &Value, place: &Place, by: Value) -> Value {
    let mut changed = face.clone();
    let slot = place.children.iter().fold(&mut changed, |value, child| match value {
        Value::Record(fields) => &mut fields[*child].1,
        Value::List(items) => &mut items[*child],
        Value::Null | Value::Flag(_) | Value::Number(_) | Value::Text(_) => panic!("{} has nothing below", place.name),
    });
    *slot = by;
    changed
}

/// JSON in the order of the fields, two blanks a level.
pub fn to_json(face: &Value) -> String {
    fn write(face: &Value, level: usize, out: &mut String) {
        let (inner, outer) = (format!("\n{}", "  ".repeat(level + 1)), format!("\n{}", "  ".repeat(level)));
        match face {
            Value::Null => out.push_str("null"),
            Value::Flag(flag) => out.push_str(&flag.to_string()),
            Value::Number(number) => out.push_str(&number.to_string()),
            Value::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Value::List(items) if items.is_empty() => out.push_str("[]"),
            Value::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place == 0 { "[" } else { "," });
                    out.push_str(&inner);
                    write(item, level + 1, out);
                }
                out.push_str(&outer);
                out.push(']');
            }
            Value::Record(fields) => {
                for (place, (name, item)) in fields.iter().enumerate() {
                    out.push_str(if place == 0 { "{" } else { "," });
                    out.push_str(&format!("{inner}{}: ", serde_json::to_string(name).unwrap()));
                    write(item, level + 1, out);
                }
                out.push_str(&outer);
                out.push('}');
            }
        }
    }
    let mut out = String::new();
    write(face, 0, &mut out);
    out.push('\n');
    out
}

/// What JSON says; fields come back in alphabetical order.
pub fn from_json(text: &str) -> Value {
    fn read(json: serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Flag(flag),
            serde_json::Value::Number(number) => Value::Number(number.as_u64().unwrap()),
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(read).collect()),
            serde_json::Value::Object(fields) => {
                Value::Record(fields.into_iter().map(|(name, value)| (name, read(value))).collect())
            }
        }
    }
    read(serde_json::from_str(text).unwrap())
}

/// The field of a record; a test's own files have the fields that it asks for.
pub fn field<'a>(face: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = face else { panic!("no record around `{name}`") };
    &fields.iter().find(|(field, _)| field == name).unwrap().1
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads hexadecimal; the test's own files hold nothing else.
pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
