//! Foreign faces: what JSON says is one noun exactly, or is refused by the path of the field.
#![allow(clippy::unwrap_used, reason = "a test stops where it finds what cannot be")]

mod faces;
mod samples;

use faces::{Place, from_json, places, replaced, to_json};
use proptest::prelude::*;
use protocol::Value;
use samples::kinds;

/// The path that an error names, or what the face was read as.
fn refusal(write: fn(&Value) -> Result<Vec<u8>, protocol::ValueError>, face: &Value) -> String {
    write(face).map(|_| ()).unwrap_err().path
}

/// Calls `check` with every record inside every sample.
fn for_every_record(check: impl Fn(&samples::Kind, &Value, &Place, &[(String, Value)])) {
    for kind in kinds() {
        for (_, face) in &kind.samples {
            for (place, value) in places(face) {
                if let Value::Record(fields) = value {
                    check(kind, face, &place, &fields);
                }
            }
        }
    }
}

fn below(place: &Place, name: &str) -> String {
    if place.name.is_empty() { name.to_owned() } else { format!("{}.{name}", place.name) }
}

/// A choice is a record of one field whose name decides: it is refused as a whole.
fn is_choice(place: &Place) -> bool {
    let mut path = place.name.rsplit('.');
    let (last, parent) = (path.next(), path.next());
    let is_item = last.is_some_and(|last| last.parse::<usize>().is_ok()) && parent == Some("embed");
    let is_proof = last == Some("proof") && parent == Some("claim_refund");
    is_item
        || is_proof
        || ["input", "output", "action", "prompt", "constraint", "paid_by"].iter().any(|name| last == Some(name))
}

#[test]
fn a_face_survives_json() {
    for kind in kinds() {
        for (_, face) in &kind.samples {
            let read = from_json(&to_json(face));
            assert_eq!((kind.write)(&read).unwrap(), (kind.write)(face).unwrap(), "{}", kind.name);
        }
    }
}

#[test]
fn an_unknown_field_is_refused_by_its_path() {
    for_every_record(|kind, face, place, fields| {
        let longer = [fields, &[("surplus".to_owned(), Value::Null)]].concat();
        let path = refusal(kind.write, &replaced(face, place, Value::Record(longer)));
        let choice = is_choice(place) || kind.name == "frame" && place.name.is_empty();
        assert_eq!(path, if choice { place.name.clone() } else { below(place, "surplus") }, "{}", kind.name);
    });
}

#[test]
fn a_missing_field_is_refused_by_its_path() {
    for_every_record(|kind, face, place, fields| {
        for missing in 0..fields.len() {
            let mut shorter = fields.to_vec();
            let (name, _) = shorter.remove(missing);
            let path = refusal(kind.write, &replaced(face, place, Value::Record(shorter)));
            let choice = is_choice(place) || kind.name == "frame" && place.name.is_empty();
            assert_eq!(path, if choice { place.name.clone() } else { below(place, &name) }, "{}", kind.name);
        }
    });
}

#[test]
fn a_field_given_twice_is_refused_by_its_path() {
    for_every_record(|kind, face, place, fields| {
        for field in fields {
            let twice = [fields, std::slice::from_ref(field)].concat();
            let path = refusal(kind.write, &replaced(face, place, Value::Record(twice)));
            let choice = is_choice(place) || kind.name == "frame" && place.name.is_empty();
            assert_eq!(path, if choice { place.name.clone() } else { below(place, &field.0) }, "{}", kind.name);
        }
    });
}

#[test]
fn a_value_of_another_kind_is_refused_by_its_path() {
    for kind in kinds() {
        for (_, face) in &kind.samples {
            for (place, value) in places(face) {
                let other = if matches!(value, Value::Flag(_)) { Value::Number(1) } else { Value::Flag(true) };
                assert_eq!(refusal(kind.write, &replaced(face, &place, other)), place.name, "{}", kind.name);
            }
        }
    }
}

#[test]
fn a_second_spelling_of_a_number_is_refused() {
    for kind in kinds() {
        for (_, face) in &kind.samples {
            for (place, value) in places(face) {
                let spellings = match &value {
                    Value::Number(number) => vec![Value::Text(number.to_string())],
                    Value::Text(text) if text.parse::<u128>().is_ok() && text.len() < 40 => {
                        let number = text.parse::<u64>().ok().map(Value::Number);
                        let texts = [format!("0{text}"), format!("+{text}"), format!("{text}.0"), format!(" {text}")];
                        texts.into_iter().map(Value::Text).chain(number).collect()
                    }
                    Value::Null | Value::Flag(_) | Value::Text(_) | Value::List(_) | Value::Record(_) => vec![],
                };
                for spelling in spellings {
                    let changed = replaced(face, &place, spelling.clone());
                    assert_eq!(refusal(kind.write, &changed), place.name, "{}: {spelling:?}", kind.name);
                }
            }
        }
    }
}

/// Something else of the same kind, as `seed` decides.
fn changed(value: &Value, seed: u64) -> Value {
    let at = |length: usize| (seed % length.max(1) as u64) as usize;
    match value {
        Value::Null => Value::Null,
        Value::Flag(flag) => Value::Flag(*flag == seed.is_multiple_of(2)),
        Value::Number(_) => Value::Number(seed >> (seed % 64)),
        Value::Text(text) => {
            let is_hex = !text.is_empty() && text.chars().all(|digit| digit.is_ascii_hexdigit());
            let digit = |digit: char| if is_hex { char::from(b"0123456789abcdef"[at(16)]) } else { digit };
            let place = at(text.chars().count());
            let letters = text.chars().enumerate();
            let same_length: String =
                letters.map(|(at, letter)| if at == place { digit(letter) } else { letter }).collect();
            match seed % 3 {
                0 if !is_hex => Value::Text(format!("{same_length}é")),
                1 if !is_hex => Value::Text(seed.to_string()),
                _ => Value::Text(same_length),
            }
        }
        Value::List(items) => {
            let mut items = items.clone();
            match seed % 3 {
                0 if !items.is_empty() => drop(items.remove(at(items.len()))),
                1 if !items.is_empty() => items.push(items[at(items.len())].clone()),
                _ => items.reverse(),
            }
            Value::List(items)
        }
        Value::Record(fields) => {
            let mut fields = fields.clone();
            fields.reverse();
            Value::Record(fields)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Any noun that a changed face can say goes to bytes and back, and another noun has other bytes.
    #[test]
    fn every_noun_that_can_be_said_survives_its_bytes(
        kind in any::<prop::sample::Index>(),
        sample in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..8),
    ) {
        let kind = kind.get(kinds());
        let (_, original) = &kind.samples[sample.index(kind.samples.len())];
        let mut face = original.clone();
        for (place, seed) in changes {
            let places = places(&face);
            let (place, value) = &places[place.index(places.len())];
            let next = replaced(&face, place, changed(value, seed));
            if (kind.write)(&next).is_ok() {
                face = next;
            }
        }
        let bytes = (kind.write)(&face).unwrap();
        let read = (kind.read)(&bytes).unwrap();
        prop_assert_eq!((kind.write)(&read).unwrap(), bytes.clone());
        prop_assert_eq!(read == *original, bytes == (kind.write)(original).unwrap());
    }
}
