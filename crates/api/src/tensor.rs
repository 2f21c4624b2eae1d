//! Tensors in JSON: nested lists, or `{"shape", "dtype", "data"}`, or `{"shape", "dtype", "base64"}`.
//!
//! Without a `dtype` booleans are `bool`, texts are `text` and numbers are `f32`, each rounded to the nearest. A number that the element
//! type cannot hold, a ragged list and what is no number are refused with their path; so nothing non-finite gets in.

use protocol::{Bytes, Element, List, Tensor, Text};
use serde::{
    Serialize, Serializer,
    ser::{SerializeSeq, SerializeStruct},
};

use crate::{
    error::{ApiError, Code},
    field::Field,
    json::Json,
    limits::{DIMENSIONS_MAX, TENSOR_BYTES_MAX, TENSOR_NAME_BYTES_MAX},
    raw,
};

/// Reads the tensor called `name` from `json`, which stands at `path`.
pub fn read_tensor(name: &str, json: &Json, path: &str) -> Result<Tensor, ApiError> {
    let (element, shape, data) = match json {
        Json::Object(_) => described(&Field { path: path.to_owned(), json })?,
        _ => nested(json, path, default_element(json))?,
    };
    let too_large = |error: protocol::TooLong| too_large(path, &error.to_string());
    let named = Text::new(name).map_err(|_| {
        let message = format!("the name of the tensor at '{path}' is over {TENSOR_NAME_BYTES_MAX} bytes");
        ApiError::new(Code::TooLong, message).with_param(path)
    })?;
    Ok(Tensor {
        name: named,
        element,
        shape: List::new(shape).map_err(too_large)?,
        data: Bytes::new(data).map_err(too_large)?,
    })
}

fn too_large(path: &str, why: &str) -> ApiError {
    ApiError::new(Code::TooMany, format!("The tensor at '{path}' is too large: {why}.")).with_param(path)
}

type Parts = (Element, Vec<u64>, Vec<u8>);

fn described(field: &Field<'_>) -> Result<Parts, ApiError> {
    let object = field.object()?;
    object.only(&["shape", "dtype", "data", "base64"])?;
    if let Some(bytes) = object.get("base64") {
        if object.get("data").is_some() {
            return Err(ApiError::wrong_value(&bytes.path, "bytes beside data", "one of the two"));
        }
        let (element, shape) = (element(&object.need("dtype")?)?, sizes(&object.need("shape")?)?);
        let content = raw::read(&bytes, element, held(&shape))?;
        return Ok((element, shape, content));
    }
    let data = object.need("data")?;
    let element = match object.get("dtype") {
        Some(word) => element(&word)?,
        None => default_element(data.json),
    };
    let (_, found, bytes) = nested(data.json, &data.path, element)?;
    let Some(wish) = object.get("shape") else { return Ok((element, found, bytes)) };
    let shape = sizes(&wish)?;
    let nested_otherwise = found.len() > 1 && found != shape;
    if held(&shape) != held(&found) || nested_otherwise {
        let found = format!("data of shape {found:?}");
        return Err(ApiError::wrong_value(&wish.path, &found, "a shape that holds exactly the data"));
    }
    Ok((element, shape, bytes))
}

fn sizes(wish: &Field<'_>) -> Result<Vec<u64>, ApiError> {
    wish.list(DIMENSIONS_MAX)?.iter().map(|item| item.natural(0, u64::from(u32::MAX))).collect()
}

/// Elements of a tensor of that shape.
fn held(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |count, size| count.checked_mul(*size))
}

fn element(word: &Field<'_>) -> Result<Element, ApiError> {
    let text = word.text()?;
    let numpy = match text {
        "float32" => Some(Element::F32),
        "float64" => Some(Element::F64),
        "int8" => Some(Element::I8),
        "uint8" => Some(Element::U8),
        "int32" => Some(Element::I32),
        "int64" => Some(Element::I64),
        "int16" => Some(Element::I16),
        "uint16" => Some(Element::U16),
        "uint32" => Some(Element::U32),
        "uint64" => Some(Element::U64),
        "float16" => Some(Element::F16),
        "bfloat16" => Some(Element::Bf16),
        "string" => Some(Element::Text),
        _ => None,
    };
    let expected = || format!("one of {}", Element::WORDS.join(", "));
    Element::from_word(text).or(numpy).ok_or_else(|| ApiError::wrong_value(&word.path, "another word", &expected()))
}

fn default_element(json: &Json) -> Element {
    match json {
        Json::List(items) => items.first().map_or(Element::F32, default_element),
        Json::Flag(_) => Element::Bool,
        Json::Text(_) => Element::Text,
        _ => Element::F32,
    }
}

fn nested(json: &Json, path: &str, element: Element) -> Result<Parts, ApiError> {
    let shape = shape_of(json, path)?;
    let mut filling = Filling { element, shape: &shape, data: Vec::new(), at: Vec::new(), path };
    filling.fill(json)?;
    let data = filling.data;
    Ok((element, shape, data))
}

/// The shape that the first item of each level promises.
fn shape_of(json: &Json, path: &str) -> Result<Vec<u64>, ApiError> {
    let (mut shape, mut inner) = (Vec::new(), json);
    while let Json::List(items) = inner {
        if shape.len() == DIMENSIONS_MAX {
            return Err(too_large(path, &format!("at most {DIMENSIONS_MAX} dimensions expected")));
        }
        shape.push(u64::try_from(items.len()).unwrap_or(u64::MAX));
        let Some(first) = items.first() else { break };
        inner = first;
    }
    Ok(shape)
}

struct Filling<'a> {
    element: Element,
    shape: &'a [u64],
    data: Vec<u8>,
    /// Where the walk stands, for errors.
    at: Vec<usize>,
    path: &'a str,
}

impl Filling<'_> {
    fn here(&self) -> String {
        self.at.iter().fold(self.path.to_owned(), |path, index| format!("{path}[{index}]"))
    }

    fn fill(&mut self, json: &Json) -> Result<(), ApiError> {
        match (json, self.shape.get(self.at.len())) {
            (Json::List(items), Some(size)) if u64::try_from(items.len()) == Ok(*size) => {
                for (index, item) in items.iter().enumerate() {
                    self.at.push(index);
                    self.fill(item)?;
                    self.at.pop();
                }
                Ok(())
            }
            (Json::List(items), Some(size)) => {
                let found = format!("{} items", items.len());
                Err(ApiError::wrong_value(&self.here(), &found, &format!("{size} items, as in the lists beside it")))
            }
            (Json::List(_), None) => Err(ApiError::wrong_type(&self.here(), "an array", "a number, as beside it")),
            (_, Some(_)) => Err(ApiError::wrong_type(&self.here(), json.kind(), "an array, as beside it")),
            (_, None) => self.push(json),
        }
    }

    fn push(&mut self, json: &Json) -> Result<(), ApiError> {
        if self.data.len() >= TENSOR_BYTES_MAX {
            return Err(too_large(self.path, &format!("at most {TENSOR_BYTES_MAX} bytes of content expected")));
        }
        let expected = match self.element {
            Element::Bool => "a boolean",
            Element::Text => "a text",
            Element::F32 | Element::F64 | Element::F16 | Element::Bf16 => "a number (NaN and Infinity have no place)",
            Element::I8 | Element::U8 | Element::I16 | Element::U16 => "an integer",
            Element::I32 | Element::U32 | Element::I64 | Element::U64 => "an integer",
        };
        match write_element(self.element, json) {
            Some(bytes) => {
                self.data.extend_from_slice(&bytes);
                Ok(())
            }
            None => match json {
                Json::Natural(_) | Json::Negative(_) | Json::Decimal(_)
                    if !matches!(self.element, Element::Bool | Element::Text) =>
                {
                    let expected = format!("{expected} that fits {}", self.element);
                    Err(ApiError::wrong_value(&self.here(), "one that does not", &expected))
                }
                _ => Err(ApiError::wrong_type(&self.here(), json.kind(), expected)),
            },
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounding to the nearest is the meaning"
)]
fn write_element(element: Element, json: &Json) -> Option<Vec<u8>> {
    let float = || match json {
        Json::Natural(number) => Some(*number as f64),
        Json::Negative(number) => Some(*number as f64),
        Json::Decimal(number) => Some(*number),
        _ => None,
    };
    let integer = || match json {
        Json::Natural(number) => Some(i128::from(*number)),
        Json::Negative(number) => Some(i128::from(*number)),
        Json::Decimal(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i128),
        _ => None,
    };
    Some(match element {
        Element::F32 => Some(float()? as f32).filter(|number| number.is_finite())?.to_le_bytes().to_vec(),
        Element::F64 => float()?.to_le_bytes().to_vec(),
        Element::I8 => i8::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::U8 => u8::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::I32 => i32::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::I64 => i64::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::I16 => i16::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::U16 => u16::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::U32 => u32::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::U64 => u64::try_from(integer()?).ok()?.to_le_bytes().to_vec(),
        Element::F16 => HALF.narrow(float()?)?.to_le_bytes().to_vec(),
        Element::Bf16 => BRAIN.narrow(float()?)?.to_le_bytes().to_vec(),
        Element::Text => match json {
            Json::Text(text) => {
                let length = u32::try_from(text.len()).ok()?;
                [&length.to_le_bytes(), text.as_bytes()].concat()
            }
            _ => return None,
        },
        Element::Bool => match json {
            Json::Flag(flag) => vec![u8::from(*flag)],
            _ => return None,
        },
    })
}

/// A float of 16 bits: how many of them are behind the point, and the exponent's bias.
struct Short {
    bits: u32,
    bias: i32,
}

const HALF: Short = Short { bits: 10, bias: 15 };
const BRAIN: Short = Short { bits: 7, bias: 127 };

/// 2^power, for powers of normal numbers.
fn power(power: i32) -> f64 {
    f64::from_bits(u64::try_from(power + 1023).unwrap_or(0) << 52)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "every number here is within 16 bits"
)]
impl Short {
    /// Rounded to the nearest, halves to even; `None` beyond the greatest.
    fn narrow(&self, value: f64) -> Option<u16> {
        let sign = u16::from(value.is_sign_negative()) << 15;
        let own = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let mut exponent = own.max(1 - self.bias);
        let mut steps = (value.abs() / power(exponent - self.bits as i32)).round_ties_even() as u32;
        if steps == 2 << self.bits {
            (steps, exponent) = (1 << self.bits, exponent + 1);
        }
        let whole = 1 << self.bits;
        match steps.checked_sub(whole) {
            None => Some(sign | steps as u16),
            Some(_) if exponent > self.bias => None,
            Some(rest) => Some(sign | ((exponent + self.bias) as u16) << self.bits | rest as u16),
        }
    }

    fn widen(&self, bits: u16) -> f64 {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from((bits & 0x7fff) >> self.bits);
        let rest = f64::from(bits & ((1 << self.bits) - 1));
        let one = f64::from(1_u32 << self.bits);
        match exponent {
            0 => sign * rest * power(1 - self.bias - self.bits as i32),
            top if top > 2 * self.bias => sign * if rest == 0.0 { f64::INFINITY } else { f64::NAN },
            _ => sign * (one + rest) * power(exponent - self.bias - self.bits as i32),
        }
    }
}

/// A tensor as JSON: `shape`, `dtype` and `data` as one flat list. What is not finite, which JSON cannot say as a
/// number, is the text `NaN`, `Infinity` or `-Infinity`.
pub struct TensorFace<'a>(pub &'a Tensor);

struct Data<'a>(&'a Tensor);

impl Serialize for TensorFace<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("tensor", 3)?;
        object.serialize_field("shape", &self.0.shape[..])?;
        object.serialize_field("dtype", self.0.element.word())?;
        object.serialize_field("data", &Data(self.0))?;
        object.end()
    }
}

fn not_finite(number: f64) -> &'static str {
    match (number.is_nan(), number > 0.0) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (element, bytes) = (self.0.element, &self.0.data);
        let mut list = serializer.serialize_seq(None)?;
        if element == Element::Text {
            let mut rest: &[u8] = bytes;
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
                let (text, after) = after.split_at_checked(length).unwrap_or((after, &[]));
                list.serialize_element(&String::from_utf8_lossy(text))?;
                rest = after;
            }
            return list.end();
        }
        for item in bytes.chunks_exact(element.bytes()) {
            match (element, item) {
                (Element::F32, &[a, b, c, d]) => match f32::from_le_bytes([a, b, c, d]) {
                    number if number.is_finite() => list.serialize_element(&number)?,
                    number => list.serialize_element(not_finite(f64::from(number)))?,
                },
                (Element::F64, &[a, b, c, d, e, f, g, h]) => match f64::from_le_bytes([a, b, c, d, e, f, g, h]) {
                    number if number.is_finite() => list.serialize_element(&number)?,
                    number => list.serialize_element(not_finite(number))?,
                },
                (Element::I8, &[a]) => list.serialize_element(&i8::from_le_bytes([a]))?,
                (Element::U8, &[a]) => list.serialize_element(&a)?,
                (Element::I32, &[a, b, c, d]) => list.serialize_element(&i32::from_le_bytes([a, b, c, d]))?,
                (Element::I64, &[a, b, c, d, e, f, g, h]) => {
                    list.serialize_element(&i64::from_le_bytes([a, b, c, d, e, f, g, h]))?;
                }
                (Element::I16, &[a, b]) => list.serialize_element(&i16::from_le_bytes([a, b]))?,
                (Element::U16, &[a, b]) => list.serialize_element(&u16::from_le_bytes([a, b]))?,
                (Element::U32, &[a, b, c, d]) => list.serialize_element(&u32::from_le_bytes([a, b, c, d]))?,
                (Element::U64, &[a, b, c, d, e, f, g, h]) => {
                    list.serialize_element(&u64::from_le_bytes([a, b, c, d, e, f, g, h]))?;
                }
                (Element::F16 | Element::Bf16, &[a, b]) => {
                    let form = if element == Element::F16 { HALF } else { BRAIN };
                    match form.widen(u16::from_le_bytes([a, b])) {
                        number if number.is_finite() => list.serialize_element(&number)?,
                        number => list.serialize_element(not_finite(number))?,
                    }
                }
                (Element::Bool, &[a]) => list.serialize_element(&(a != 0))?,
                // `chunks_exact` hands out exactly one element.
                (_, _) => {}
            }
        }
        list.end()
    }
}
