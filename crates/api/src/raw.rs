//! A tensor's content as its bytes, little-endian and in base64 (RFC 4648, padded): a third as long as numbers in letters.
//!
//! What could not be said in numbers cannot be said here either: nothing that is not finite, no boolean but 0 and 1, no texts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::Element;

use crate::{
    error::{ApiError, Code},
    field::Field,
    limits::TENSOR_BYTES_MAX,
};

/// The bytes of `count` elements.
pub(crate) fn read(field: &Field<'_>, element: Element, count: Option<u64>) -> Result<Vec<u8>, ApiError> {
    let text = field.text()?;
    if text.len() / 4 * 3 > TENSOR_BYTES_MAX + 2 {
        let message = format!("'{}' is too large: at most {TENSOR_BYTES_MAX} bytes of content expected.", field.path);
        return Err(ApiError::new(Code::TooMany, message).with_param(&field.path));
    }
    let wrong = |found: &str, expected: &str| ApiError::wrong_value(&field.path, found, expected);
    let bytes = STANDARD.decode(text).map_err(|error| wrong(&error.to_string(), "base64 with its padding"))?;
    if element == Element::Text {
        return Err(wrong("texts as bytes", "texts under data"));
    }
    let expected = count.and_then(|count| count.checked_mul(element.bytes() as u64));
    if expected != u64::try_from(bytes.len()).ok() {
        return Err(wrong(&format!("{} bytes", bytes.len()), "as many as the shape has elements"));
    }
    match bytes.chunks_exact(element.bytes()).position(|one| !is_sayable(element, one)) {
        Some(index) => {
            let expected = if element == Element::Bool { "0 or 1" } else { "finite numbers" };
            Err(wrong(&format!("something else at element {index}"), expected))
        }
        None => Ok(bytes),
    }
}

/// Whether an element is one that numbers in letters could have given.
fn is_sayable(element: Element, bytes: &[u8]) -> bool {
    // The exponent is all ones where a float is infinite or no number.
    match (element, bytes) {
        (Element::Bool, [byte]) => *byte <= 1,
        (Element::F16, [_, high]) => high & 0x7c != 0x7c,
        (Element::Bf16, [low, high]) => (high & 0x7f, low & 0x80) != (0x7f, 0x80),
        (Element::F32, [_, _, low, high]) => (high & 0x7f, low & 0x80) != (0x7f, 0x80),
        (Element::F64, [.., low, high]) => (high & 0x7f, low & 0xf0) != (0x7f, 0xf0),
        _ => true,
    }
}
