//! A tensor inference: `POST /v1/infer`.

use protocol::{Input, List, Output, Parameters, Tensor};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    answer::{OgAnswers, og},
    call::{Call, Head, Job, Teller},
    error::{ApiError, Code},
    field::Object,
    json::Json,
    limits::TENSORS_MAX,
    parameters::{Named, model},
    said::Said,
    sse::json,
    tensor::{TensorFace, read_tensor},
    terms::Terms,
};

/// Reads a body of which every field is ours, so that a misspelt one is refused.
pub(crate) fn read(body: &[u8]) -> Result<Call, ApiError> {
    let json = Json::parse(body)?;
    let body = Object::body(&json)?;
    body.only(&["model", "inputs", "og"])?;
    let model = model(&body)?;
    let wish = body.need("inputs")?;
    let read = |(name, field): (&str, crate::field::Field<'_>)| read_tensor(name, field.json, &field.path);
    let mut inputs = wish.object()?.all().map(read).collect::<Result<Vec<_>, _>>()?;
    // In the order of their names, so that the same wish is the same request.
    inputs.sort_by(|a, b| a.name.cmp(&b.name));
    if inputs.is_empty() {
        return Err(ApiError::wrong_value(&wish.path, "an empty object", "at least one input by its name"));
    }
    let inputs: List<_, TENSORS_MAX> = List::new(inputs).map_err(|error| {
        ApiError::new(Code::TooMany, format!("'{}' holds too many: {error}.", wish.path)).with_param(&wish.path)
    })?;
    Ok(Call {
        model,
        // A tensor model's answer depends on its inputs alone.
        jobs: vec![Job::new(Input::Tensors(inputs), Parameters::default(), Named::ALL)],
        terms: Terms::read(&body)?,
        stream: false,
        calling: None,
        wants_thoughts: false,
        teller: Box::new(Inference),
    })
}

struct Inference;

impl Teller for Inference {
    fn whole(&self, head: &Head, said: &[Said]) -> String {
        let outputs = match said.first().map(|said| &said.answered.opening.output) {
            Some(Output::Tensors(tensors)) => &tensors[..],
            Some(Output::Tokens(_) | Output::Scored(_)) | None => &[],
        };
        json(&InferAnswer { model: &head.model, outputs, og: og(said) })
    }
}

/// What comes back.
#[derive(Serialize)]
struct InferAnswer<'a> {
    model: &'a str,
    #[serde(serialize_with = "by_name")]
    outputs: &'a [Tensor],
    og: OgAnswers,
}

fn by_name<S: Serializer>(outputs: &&[Tensor], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(outputs.len()))?;
    for tensor in *outputs {
        map.serialize_entry(&tensor.name[..], &TensorFace(tensor))?;
    }
    map.end()
}
