//! One receipt's audit: its opening, our own re-execution, and what the ledger is told, until the ledger shows it.
//!
//! What fails is tried again while the receipt can be challenged. That a validator, a hub or our own machine is away is
//! never held against a worker; that the worker itself gives no opening, again and again, is.

use std::{
    sync::{Arc, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use crypto::{Digest, SigningKey};
use network::{Client, NetworkError, now_ms};
use protocol::{
    Action, Canonical as _, Opening, Standing, Version,
    request::OPENING_BYTES_MAX,
    service::{OpeningRequest, ReceiptView},
    transaction::{Challenge, ReportAudit},
};
use storage::StoreError;
use thiserror::Error;

use crate::{
    desk::Desk,
    judges::{NoOpinion, Opinion, Outline},
    openings::{KeepError, Kept},
};

/// After which waits a worker is asked for an opening before it is challenged for withholding it.
const ASK_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(900), Duration::from_secs(2)];
/// How long one receipt's worker may let itself be waited for in all, its other receipts' questions included: a third of
/// a devnet's challenge window, so that one who stalls is challenged while that still counts.
const ASKING_PATIENCE: Duration = Duration::from_secs(5);
/// Between an attempt that failed and the next.
const RETRY: Duration = Duration::from_secs(1);
/// How long the ledger has to show what it was told before it is told again.
const CONFIRM: Duration = Duration::from_millis(1_500);
/// Between two looks at whether a window has closed while a receipt is judged.
const CLOSING_LOOK: Duration = Duration::from_millis(250);
/// A report that is lost harms nobody; a challenge is repeated until it is seen.
const REPORTS_MAX: u32 = 3;

/// Why nothing can be said about a receipt yet.
#[derive(Debug, Error)]
enum Setback {
    #[error("cannot look its worker up: {0}")]
    Ledger(#[from] NetworkError),
    #[error("the ledger has no worker of this name")]
    NoWorker,
    #[error(transparent)]
    NoOpinion(#[from] NoOpinion),
    #[error("its opening cannot be kept until it is judged: {0}")]
    Keeping(#[from] KeepError),
    #[error("it was made by arithmetic of version {0}, which this auditor does not know; hint: update it")]
    Arithmetic(u16),
    #[error("a float model gave the answer: no re-execution shows it true or false")]
    NotAuditable,
    #[error("the re-execution failed here: {0}")]
    OwnTrouble(String),
    #[error(
        "it was not judged before its window closed; hint: this auditor is too slow for it, or has too much to judge"
    )]
    TooLate,
}

impl Setback {
    /// Nothing will come of trying again.
    fn is_final(&self) -> bool {
        match self {
            Self::NoOpinion(error) => error.is_final(),
            Self::TooLate => true,
            Self::Ledger(_) | Self::NoWorker | Self::Keeping(_) => false,
            Self::Arithmetic(_) | Self::NotAuditable | Self::OwnTrouble(_) => false,
        }
    }

    /// Judging was tried and came to nothing, or there was too much of it; otherwise it could not be tried.
    fn is_of_judging(&self) -> bool {
        match self {
            Self::NoOpinion(error) => error.has_cost_a_process(),
            Self::TooLate | Self::Keeping(KeepError::NoRoom { .. }) => true,
            Self::Ledger(_) | Self::NoWorker | Self::Keeping(KeepError::Store(_)) => false,
            Self::Arithmetic(_) | Self::NotAuditable | Self::OwnTrouble(_) => false,
        }
    }

    /// Units of room to wait for before the opening is asked for again.
    fn wants_room(&self) -> Option<u32> {
        if let Self::Keeping(KeepError::NoRoom { units }) = self { Some(*units) } else { None }
    }

    /// Says aloud, and counts, that nothing can be said of a receipt any more: as an error where nobody judged it.
    async fn tell(self, desk: &Desk, id: Digest) {
        let is_unjudged = self.is_of_judging()
            && !desk.ledger.receipt(&id).await.is_ok_and(|now| now.status.standing == Standing::Audited);
        let setback = &self;
        if is_unjudged {
            desk.counts.unjudged.fetch_add(1, Ordering::Relaxed);
            tracing::error!(receipt = %id, %setback, "could not be judged: if it is false, nobody hears of it from here");
        } else {
            desk.counts.missed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(receipt = %id, %setback, "not audited, and its window is closed");
        }
    }
}

/// Audits the receipt until that is settled, or its window has closed after epoch `last`.
pub(crate) async fn audit(desk: Arc<Desk>, view: ReceiptView, last: u64) {
    desk.counts.pending.fetch_add(1, Ordering::Relaxed);
    let _pending = Pending(&desk.counts.pending);
    let (id, epoch) = (view.receipt.receipt.id(), view.status.epoch);
    let is_open = || desk.epoch() < last;
    let (mut hindered, mut wanted) = (None, None);
    let finding = loop {
        let setback = match decide(&desk, &view, last, wanted).await {
            Ok(finding) => break finding,
            // What could not be tried before was not judged too slowly.
            Err(Setback::TooLate) => hindered.unwrap_or(Setback::TooLate),
            Err(setback) => setback,
        };
        if setback.is_final() || !is_open() {
            return setback.tell(&desk, id).await;
        }
        desk.counts.failed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(receipt = %id, %setback, "cannot audit, trying again");
        wanted = setback.wants_room();
        hindered = Some(setback);
        tokio::time::sleep(RETRY).await;
    };
    // Of what is challenged already nothing counts but that it is false, with its opening: a true receipt in question is left to
    // whoever gains by its end, as clearing it would cost us a share of the bond, paid to the worker that was slashed.
    let is_settled = match view.status.standing {
        Standing::Challenged => true,
        Standing::Anchored | Standing::Audited | Standing::Upheld | Standing::Refuted | Standing::Withheld => {
            tell(&desk, &view, &finding, is_open).await
        }
    };
    if !is_settled {
        desk.counts.missed.fetch_add(1, Ordering::Relaxed);
        return tracing::warn!(receipt = %id, what = finding.word(), "the ledger did not take it before its window closed");
    }
    if let Finding::False(kept) = &finding
        && !keep(&desk, id, kept).await
    {
        return;
    }
    if let Err(error) = desk.marks.set(epoch, &id).await {
        // After a restart it is audited again, which does no harm.
        tracing::warn!(%error, "failed to note a settled audit");
    }
}

/// What an audit came to.
enum Finding {
    True,
    False(Kept),
    /// The worker does not open it.
    Unopened,
}

impl Finding {
    fn action(&self, receipt: Digest) -> Result<Action, StoreError> {
        Ok(match self {
            Self::True => Action::ReportAudit(ReportAudit { receipt }),
            Self::False(kept) => Action::Challenge(Challenge { receipt, opening: Some(kept.opening()?.into_owned()) }),
            Self::Unopened => Action::Challenge(Challenge { receipt, opening: None }),
        })
    }

    fn word(&self) -> &'static str {
        match self {
            Self::True => "report",
            Self::False(_) | Self::Unopened => "challenge",
        }
    }
}

/// Keeps a lie until it is decided, whoever challenged it; false if that was not possible.
async fn keep(desk: &Desk, receipt: Digest, kept: &Kept) -> bool {
    let done = match kept.opening() {
        Ok(opening) => desk.lies.keep(receipt, &opening).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(true) => true,
        Ok(false) => {
            desk.counts.missed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%receipt, "too many lies wait for their decisions: this one is not pursued");
            false
        }
        Err(error) => {
            tracing::warn!(%receipt, %error, "failed to keep a lie: not pursued, should its challenge lapse");
            false
        }
    }
}

/// Counts an audit as under way while it lives.
struct Pending<'a>(&'a AtomicU64);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to be said about the receipt. Where its opening found no room before, that is waited for before it is asked for again.
async fn decide(desk: &Desk, view: &ReceiptView, last: u64, wanted: Option<u32>) -> Result<Finding, Setback> {
    let receipt = &view.receipt.receipt;
    let id = receipt.id();
    if receipt.spec_version > engine::SPEC_VERSION {
        return Err(Setback::Arithmetic(receipt.spec_version));
    }
    let room = match wanted {
        None => None,
        Some(units) => tokio::select! {
            room = desk.openings.room(units) => Some(room.map_err(KeepError::from)?),
            () = closing(desk, view.status.standing, last) => return Err(Setback::TooLate),
        },
    };
    let Some(opening) = opening(desk, view).await? else {
        desk.counts.withheld.fetch_add(1, Ordering::Relaxed);
        return Ok(Finding::Unopened);
    };
    let outline = Outline::of(receipt, &opening);
    let judging = async {
        let kept = desk.openings.keep(opening, room).await?;
        let judged = desk.judges.judge_kept(receipt, &outline, &|| kept.opening()).await?;
        Ok::<_, Setback>((judged, kept))
    };
    let (judged, kept) = tokio::select! {
        judged = judging => judged?,
        () = closing(desk, view.status.standing, last) => return Err(Setback::TooLate),
    };
    Ok(match judged {
        Opinion::Equal => {
            desk.counts.equal.fetch_add(1, Ordering::Relaxed);
            Finding::True
        }
        Opinion::False => {
            desk.counts.challenged.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(receipt = %id, "false receipt");
            Finding::False(kept)
        }
        // The ledger takes such receipts of float models alone, and those were left out before.
        Opinion::NotDecidable => return Err(Setback::NotAuditable),
        Opinion::CouldNotTell(cause) => return Err(Setback::OwnTrouble(cause)),
        Opinion::OtherOpening(field) => {
            desk.counts.withheld.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(receipt = %id, field, "the worker sent another opening");
            Finding::Unopened
        }
    })
}

/// Comes back once the ledger takes nothing any more of what a judgement could say: of what is in question it always does.
async fn closing(desk: &Desk, standing: Standing, last: u64) {
    while standing == Standing::Challenged || desk.epoch() < last {
        tokio::time::sleep(CLOSING_LOOK).await;
    }
}

/// The opening, if the worker gives one within its tries; a wrong one and one that no block has room for are none.
async fn opening(desk: &Desk, view: &ReceiptView) -> Result<Option<Opening>, Setback> {
    let receipt = &view.receipt.receipt;
    let id = receipt.id();
    let mut patience = ASKING_PATIENCE;
    for wait in ASK_AFTER {
        tokio::time::sleep(wait).await;
        let endpoint = desk.workers.endpoint(&desk.ledger, &receipt.worker).await?.ok_or(Setback::NoWorker)?;
        let places = desk.workers.asking(receipt.worker);
        let asked_at = Instant::now();
        let asking = async {
            let _place = places.acquire().await;
            fetch_opening(&desk.client, &endpoint, desk.chain_id, id, &desk.key).await
        };
        let Ok(fetched) = tokio::time::timeout(patience, asking).await else { break };
        patience = patience.saturating_sub(asked_at.elapsed());
        match fetched {
            Ok(opening) if opening.encode().len() > OPENING_BYTES_MAX => {
                tracing::warn!(receipt = %id, "the worker sent an opening that no block has room for");
            }
            Ok(opening) => match opening.matches(receipt) {
                Ok(()) => return Ok(Some(opening)),
                Err(mismatch) => tracing::warn!(receipt = %id, field = mismatch.0, "the worker sent another opening"),
            },
            Err(error) => tracing::debug!(receipt = %id, %error, "no opening"),
        }
    }
    Ok(None)
}

/// Tells the ledger until it shows what it was told; false if the window closed before.
async fn tell(desk: &Desk, view: &ReceiptView, finding: &Finding, is_open: impl Fn() -> bool) -> bool {
    let (id, what) = (view.receipt.receipt.id(), finding.word());
    let is_report = matches!(finding, Finding::True);
    let mut sent = 0_u32;
    loop {
        let action = match finding.action(id) {
            Ok(action) => action,
            Err(error) => {
                tracing::warn!(receipt = %id, what, %error, "its opening is lost");
                return false;
            }
        };
        match desk.sender.send(action).await {
            Ok(_) => {
                sent = sent.saturating_add(1);
                tracing::info!(receipt = %id, what, "sent");
                tokio::time::sleep(CONFIRM).await;
            }
            Err(error) => {
                desk.counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(receipt = %id, what, %error, "failed to send, trying again");
                tokio::time::sleep(RETRY).await;
            }
        }
        match desk.ledger.receipt(&id).await {
            Ok(now) if shows(view, &now, is_report) => return true,
            Ok(_) if is_report && sent >= REPORTS_MAX => return true,
            Ok(_) => {}
            Err(error) => tracing::debug!(receipt = %id, %error, "cannot see what became of it"),
        }
        if !is_open() {
            return false;
        }
    }
}

/// True where the ledger shows that the action, or another one that makes it needless, was executed.
fn shows(before: &ReceiptView, now: &ReceiptView, is_report: bool) -> bool {
    match now.status.standing {
        Standing::Challenged | Standing::Upheld | Standing::Refuted | Standing::Withheld => true,
        Standing::Anchored | Standing::Audited => is_report && now.status.audits > before.status.audits,
    }
}

/// Asks the worker at `endpoint` for a receipt's opening, as the registered node that holds `key`.
pub async fn fetch_opening(
    client: &Client,
    endpoint: &str,
    chain_id: u64,
    receipt: Digest,
    key: &SigningKey,
) -> Result<Opening, NetworkError> {
    let (auditor, asked_at_ms) = (key.public_key(), now_ms());
    let request = OpeningRequest { version: Version, chain_id, receipt, auditor, asked_at_ms };
    client.post(&format!("{endpoint}/openings"), &request.sign(key)).await
}
