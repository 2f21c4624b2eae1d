//! From a client's wish to the request that a worker's receipt will commit to.

use crypto::PublicKey;
use protocol::{
    Canonical, Digest, Input, Milliseconds, Parameters, Request, Version, registry::ModelKind,
    request::REQUEST_BYTES_MAX,
};

use api::{ApiError, Code, Terms};

/// What is asked of which model.
pub struct Wish {
    pub model: Digest,
    pub kind: ModelKind,
    pub input: Input,
    pub parameters: Parameters,
    pub terms: Terms,
}

/// What the gateway adds.
#[derive(Clone, Copy)]
pub struct Circumstances {
    pub chain_id: u64,
    pub gateway: PublicKey,
    pub now_ms: Milliseconds,
    /// Fresh randomness of the operating system.
    pub nonce: Digest,
}

impl Wish {
    pub fn into_request(self, circumstances: Circumstances) -> Result<Request, ApiError> {
        let param = match &self.input {
            Input::Chat(_) => "messages",
            Input::Tensors(_) => "inputs",
            Input::Prompt(_) => "prompt",
            Input::Embed(_) => "input",
        };
        let request = Request {
            version: Version,
            chain_id: circumstances.chain_id,
            model: self.model,
            input: self.input,
            parameters: self.parameters,
            assurance: self.terms.assurance_of(self.kind)?,
            privacy: self.terms.privacy(),
            template_time_ms: circumstances.now_ms,
            issued_at_ms: circumstances.now_ms,
            gateway: circumstances.gateway,
            parents: self.terms.parents,
            payment: None,
            nonce: circumstances.nonce,
        };
        let bytes = request.encode().len();
        if bytes > REQUEST_BYTES_MAX {
            let message = format!("The request holds {bytes} bytes, at most {REQUEST_BYTES_MAX} expected.");
            return Err(ApiError::new(Code::ContextLengthExceeded, message).with_param(param));
        }
        Ok(request)
    }
}
