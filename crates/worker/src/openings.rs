//! Opens evidence to whoever may see it: registered auditors and validators, freshly, on this chain.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use network::{
    Noun, Refusal,
    axum::{extract::State, http::StatusCode},
    now_ms,
};
use protocol::{Opening, PublicKey, Role, service::SignedOpeningRequest};

use crate::{adversary::Adversary, jobs::Desk, rate::Rate};

/// An opening request older or newer than this is refused.
const AGE_MS_MAX: u64 = 60_000;
/// Openings that one auditor may ask for in a second: far more than it can re-execute.
const PER_SECOND: u32 = 256;

/// Counts who asks how often.
pub(crate) fn turnstile() -> Mutex<Rate<PublicKey>> {
    Mutex::new(Rate::new(PER_SECOND))
}

fn admits(turnstile: &Mutex<Rate<PublicKey>>, auditor: PublicKey) -> bool {
    turnstile.lock().unwrap_or_else(PoisonError::into_inner).admits(auditor, Instant::now())
}

pub(crate) async fn open(
    State(desk): State<Arc<Desk>>,
    Noun(signed): Noun<SignedOpeningRequest>,
) -> Result<Noun<Opening>, Refusal> {
    check(&desk, &signed).await?;
    let receipt = signed.request.receipt;
    let kept = if desk.adversary == Some(Adversary::Withhold) {
        Ok(None)
    } else {
        // Reads and decrypts up to half a megabyte: not on a thread that others wait for.
        let evidence = desk.evidence.clone();
        tokio::task::spawn_blocking(move || evidence.opening(&receipt))
            .await
            .map_err(|_| Refusal::unavailable("interrupted", "the reading of the evidence was interrupted"))?
    };
    match kept {
        Ok(Some(opening)) => Ok(Noun(opening)),
        Ok(None) => Err(Refusal::not_found("unknown_opening", format!("no opening is kept for {receipt}"))
            .with_hint("openings are deleted after the challenge window")),
        Err(error) => Err(Refusal::unavailable("storage", error.to_string())),
    }
}

/// Everything that can be said before the store is touched.
async fn check(desk: &Desk, signed: &SignedOpeningRequest) -> Result<(), Refusal> {
    let request = &signed.request;
    let fresh = now_ms().abs_diff(request.asked_at_ms) <= AGE_MS_MAX;
    if request.chain_id != desk.chain_id || !fresh || !signed.signature_holds() {
        let message = "the request is for another chain, too old, or not signed by the auditor that it names";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorised", message));
    }
    match desk.registry.allows(&request.auditor, &[Role::Auditor, Role::Validator]).await {
        Ok(true) if admits(&desk.turnstile, request.auditor) => Ok(()),
        Ok(true) => {
            let message = format!("an auditor is given at most {PER_SECOND} openings a second");
            Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_openings", message))
        }
        Ok(false) => {
            let message = "only registered auditors and validators may ask for openings";
            Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message))
        }
        Err(error) => Err(Refusal::unavailable("ledger_unavailable", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_that_asks_too_often_waits_and_keeps_no_other_waiting() {
        let (turnstile, [curious, other]) = (turnstile(), [PublicKey([1; 32]), PublicKey([2; 32])]);
        let given = (0..2 * PER_SECOND).filter(|_| admits(&turnstile, curious)).count();
        assert_eq!(given, PER_SECOND as usize);
        assert!(admits(&turnstile, other));
    }
}
