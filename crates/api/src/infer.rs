//! A tensor inference: `POST /v1/infer`.

use protocol::{List, Parameters, Tensor};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    answer::OgAnswer,
    chat::model,
    error::{ApiError, Code},
    field::Object,
    json::Json,
    limits::TENSORS_MAX,
    tensor::{TensorFace, read_tensor},
    terms::Terms,
};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferRequest {
    /// A model's name, or its root in hexadecimal.
    pub model: String,
    /// In the order of their names, so that the same wish is the same request.
    pub inputs: List<Tensor, TENSORS_MAX>,
    pub terms: Terms,
}

impl InferRequest {
    /// Reads a body of which every field is ours, so that a misspelt one is refused.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let json = Json::parse(body)?;
        let body = Object::body(&json)?;
        body.only(&["model", "inputs", "og"])?;
        let model = model(&body)?;
        let wish = body.need("inputs")?;
        let read = |(name, field): (&str, crate::field::Field<'_>)| read_tensor(name, field.json, &field.path);
        let mut inputs = wish.object()?.all().map(read).collect::<Result<Vec<_>, _>>()?;
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        if inputs.is_empty() {
            return Err(ApiError::wrong_value(&wish.path, "an empty object", "at least one input by its name"));
        }
        let too_many = |error: protocol::TooLong| {
            ApiError::new(Code::TooMany, format!("'{}' holds too many: {error}.", wish.path)).with_param(&wish.path)
        };
        Ok(Self { model, inputs: List::new(inputs).map_err(too_many)?, terms: Terms::read(&body)? })
    }

    /// A tensor model's answer depends on its inputs alone.
    pub fn parameters(&self) -> Parameters {
        Parameters::default()
    }
}

/// What comes back.
#[derive(Serialize)]
pub struct InferAnswer<'a> {
    pub model: &'a str,
    #[serde(serialize_with = "by_name")]
    pub outputs: &'a [Tensor],
    pub og: OgAnswer,
}

fn by_name<S: Serializer>(outputs: &&[Tensor], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(outputs.len()))?;
    for tensor in *outputs {
        map.serialize_entry(&tensor.name[..], &TensorFace(tensor))?;
    }
    map.end()
}
