//! What a client hears when no worker gave an answer: whose fault it was, and whether to try again.

use api::{ApiError, Code};
use protocol::service::{FailedFrame, Failure};

use crate::checks::Lie;

/// Why one worker's attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setback {
    /// It could not be reached, went silent, ended too early or said nonsense.
    Broken(String),
    /// Its tokens differ from those that were streamed before: one of two workers is wrong.
    Differs,
    Lied(Lie),
    Refused(FailedFrame),
    /// The answer has more text than is held of one here.
    Overlong {
        bytes_max: usize,
    },
}

impl Setback {
    /// True where the request itself may be at fault.
    pub fn is_about_the_request(&self) -> bool {
        match self {
            Self::Refused(frame) => match frame.failure {
                Failure::BadRequest | Failure::ContextTooLong => true,
                Failure::UnknownModel | Failure::Unauthorised | Failure::Busy | Failure::Internal => false,
            },
            Self::Overlong { .. } => true,
            Self::Broken(_) | Self::Differs | Self::Lied(_) => false,
        }
    }

    fn reason(&self) -> String {
        match self {
            Self::Broken(reason) => reason.clone(),
            Self::Differs => "two workers gave different tokens".to_owned(),
            Self::Lied(lie) => format!("a worker's receipt was false: {lie}"),
            Self::Refused(frame) => frame.message[..].to_owned(),
            Self::Overlong { bytes_max } => format!("the answer has more than {bytes_max} bytes of text"),
        }
    }
}

/// The answer's end when nobody is left to ask: `streamed` tokens had gone out, these setbacks were met.
pub fn give_up(setbacks: &[Setback], streamed: usize) -> ApiError {
    let Some(last) = setbacks.last() else {
        let none = ApiError::new(Code::NoWorker, "No worker that serves this model can be reached now.");
        return none.with_retry_after_s(2);
    };
    if let Setback::Overlong { bytes_max } = last {
        let message = format!("The answer has more than {bytes_max} bytes of text, the most that is held of one here.");
        return ApiError::new(Code::RequestTooLarge, message).with_hint("ask for fewer tokens");
    }
    if streamed > 0 {
        let message =
            format!("The answer broke off after {streamed} tokens and no other worker could go on: {}.", last.reason());
        return ApiError::new(Code::WorkerFailed, message)
            .with_hint("nothing was acknowledged; send the request again");
    }
    if let Some(Setback::Refused(frame)) = setbacks.iter().find(|setback| setback.is_about_the_request()) {
        return about_the_request(frame);
    }
    let all_busy =
        setbacks.iter().all(|setback| matches!(setback, Setback::Refused(frame) if frame.failure == Failure::Busy));
    let (code, what) = if all_busy {
        (Code::NoWorker, "All workers that serve this model are busy")
    } else {
        (Code::WorkerFailed, "No worker gave an answer")
    };
    ApiError::new(code, format!("{what}: {}.", last.reason())).with_retry_after_s(1)
}

/// The answer's end where the request brings every worker to the same end after tokens that had gone out.
pub fn refused_late(setbacks: &[Setback], streamed: usize) -> ApiError {
    let refusal = setbacks.iter().find_map(|setback| match setback {
        Setback::Refused(frame) if setback.is_about_the_request() => Some(frame),
        Setback::Refused(_) | Setback::Broken(_) | Setback::Differs | Setback::Lied(_) | Setback::Overlong { .. } => {
            None
        }
    });
    refusal.map_or_else(|| give_up(setbacks, streamed), about_the_request)
}

fn about_the_request(frame: &FailedFrame) -> ApiError {
    let message = format!("The workers refused the request: {}.", frame.message[..].trim_end_matches('.'));
    match frame.failure {
        Failure::ContextTooLong => ApiError::new(Code::ContextLengthExceeded, message)
            .with_param("messages")
            .with_hint("shorten the messages or ask for fewer tokens"),
        Failure::BadRequest | Failure::UnknownModel | Failure::Unauthorised | Failure::Busy | Failure::Internal => {
            ApiError::new(Code::InvalidValue, message)
        }
    }
}
