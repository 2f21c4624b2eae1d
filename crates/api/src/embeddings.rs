//! `POST /v1/embeddings`: a vector of 32-bit floats for each text, as numbers or in base64.

use protocol::{Input, List, Output, Parameters, Tensor, request::EMBEDDED_MAX};
use serde::{Serialize, Serializer};

use crate::{
    answer::{OgAnswers, Usage, og},
    call::{Call, Head, Job, Teller, usage},
    completions::prompts,
    error::ApiError,
    field::Object,
    json::Json,
    parameters::{Named, model},
    said::Said,
    sse::json,
    terms::Terms,
    unsupported::{Unsupported, never, on, refuse_unsupported},
};

static UNSUPPORTED: &[Unsupported] = &[
    // Cutting a vector is only an embedding where the model was trained for it, which no artefact says.
    Unsupported::new("dimensions", never, "a vector has the length that its model gives it", "cut it yourself"),
    Unsupported::new(
        "add_special_tokens",
        on,
        "a text's tokens are what its tokenizer says",
        "send the text as tokens",
    ),
    Unsupported::new("truncate_prompt_tokens", never, "a text is embedded whole, or refused", "send a shorter one"),
];

pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    let model = model(&body)?;
    refuse_unsupported(&body, UNSUPPORTED)?;
    let input = body.need("input")?;
    let base64 = match body.get("encoding_format") {
        None => false,
        Some(field) => match field.text()? {
            "float" => false,
            "base64" => true,
            _ => return Err(ApiError::wrong_value(&field.path, "another word", "one of float, base64")),
        },
    };
    let texts = prompts(&input)?;
    let job = |texts: &[protocol::Prompt]| {
        let texts = List::new(texts.to_vec()).map_err(|error| input.too_long(error))?;
        let parameters = Parameters { max_tokens: 0, ..Parameters::default() };
        Ok(Job::new(Input::Embed(texts), parameters, Named::ALL))
    };
    let jobs = texts.chunks(EMBEDDED_MAX).map(job).collect::<Result<Vec<_>, ApiError>>()?;
    let jobs = Call::times(jobs, 1, "input")?;
    let terms = Terms::read(&body)?;
    let teller = Box::new(Embedding { base64 });
    Ok(Call { model, jobs, terms, stream: false, calling: None, wants_thoughts: false, teller })
}

struct Embedding {
    base64: bool,
}

struct Vector<'a> {
    tensor: &'a Tensor,
    base64: bool,
}

impl Serialize for Vector<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.base64 {
            return serializer.serialize_str(&base64(&self.tensor.data));
        }
        let floats =
            self.tensor.data.chunks_exact(4).filter_map(|bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?)));
        serializer.collect_seq(floats)
    }
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let whole = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4_usize {
            let letter =
                usize::try_from(whole >> (18_usize.saturating_sub(place.saturating_mul(6))) & 63).unwrap_or_default();
            let letter = LETTERS.get(letter).copied().map_or('=', char::from);
            text.push(if place > group.len() { '=' } else { letter });
        }
    }
    text
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
struct Embeddings<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
    og: OgAnswers,
}

impl Teller for Embedding {
    fn whole(&self, head: &Head, said: &[Said]) -> String {
        let tensors = said.iter().flat_map(|said| match &said.answered.opening.output {
            Output::Tensors(tensors) => &tensors[..],
            Output::Tokens(_) | Output::Scored(_) => &[],
        });
        let item =
            |(index, tensor)| Item { object: "embedding", index, embedding: Vector { tensor, base64: self.base64 } };
        let data = tensors.enumerate().map(item).collect();
        json(&Embeddings { object: "list", data, model: &head.model, usage: usage(said), og: og(said) })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_the_standard() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(super::base64(bytes.as_bytes()), text);
        }
        assert_eq!(super::base64(&[0xff, 0xef, 0xbe]), "/+++");
    }
}
