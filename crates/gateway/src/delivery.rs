//! One request on its way through one worker or, when that one breaks, several: pieces out, in order, each once.
//!
//! A worker that goes on where another broke must repeat its tokens and its text exactly. The last piece comes only
//! after the final frame was checked and the receipt is durable; until then nothing is acknowledged.
//!
//! Workers take no job that was issued more than a minute ago, so that each is handed one of now. Seed, template's time, nonce and payment
//! stay what they were, and with them the answer and what covers it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use api::{ApiError, Code};
use network::{Frames, NetworkError, now_ms};
use protocol::{
    Finish, Input, List, Milliseconds, NodeId, Opening, Request, SignedReceipt, Tensor,
    request::{Score, TOKENS_MAX},
    service::{DoneFrame, Frame, SignedJob, TokenFrame},
};

use crate::{
    bounds::Size,
    checks::{Lie, Witnessed},
    directory::Lease,
    outbox::Outbox,
    payment::{Charging, Meter},
    shared::Shared,
    stages::Stages,
    vocabulary::says,
    worker_error::{Setback, give_up, refused_late},
};

/// Workers that one request is tried at.
const WORKERS_MAX: usize = 4;
/// Workers that must refuse a request before the refusal counts, if so many serve the model.
const REFUSALS: usize = 2;
/// A job that is older is issued again before a worker gets it: what begins at once is signed once.
const JOB_AGE_MS_MAX: Milliseconds = 1_000;

/// What comes out.
pub enum Piece {
    /// The scores of the prompt's tokens from the second on.
    Prompt(Vec<Score>),
    /// A token, its score where scores were asked for, and what it adds to the text, which may be nothing.
    Token { token: u32, text: String, score: Option<Score> },
    /// All that came before is void: another worker answers from the start. Never where pieces leave as they come.
    Afresh,
    /// The end: checked and durable.
    Done(Box<Delivered>),
}

/// An acknowledged answer.
pub struct Delivered {
    pub receipt: SignedReceipt,
    pub opening: Opening,
    pub finish: Finish,
}

struct Attempt {
    lease: Lease,
    frames: Frames,
    /// Tokens that this worker has sent.
    position: usize,
    has_prompt_scores: bool,
    began_at: Instant,
    has_begun: bool,
}

/// A request while it is served; dropping it cuts the worker's connection.
pub struct Delivery {
    shared: Arc<Shared>,
    job: SignedJob,
    /// Whether pieces leave as they come: what has left binds the next worker.
    is_streamed: bool,
    tokens: Vec<u32>,
    texts: Vec<String>,
    /// As long as `tokens` where scores were asked for.
    scores: Vec<Score>,
    prompt_scores: Option<List<Score, TOKENS_MAX>>,
    /// Of the answer before its first token, and of what came of it.
    fresh: Size,
    size: Size,
    tensors: Option<Vec<Tensor>>,
    attempt: Option<Attempt>,
    tried: Vec<NodeId>,
    setbacks: Vec<Setback>,
    /// Attempts that ended after tokens, and those of them that had come as far as any before the request was refused.
    spoke: usize,
    late_refusals: usize,
    stages: Arc<Stages>,
    waited: Duration,
    /// Where the answer is paid for.
    meter: Option<Meter>,
}

impl Delivery {
    /// `stages` began when the client's request arrived.
    pub fn new(
        shared: Arc<Shared>,
        request: Request,
        is_streamed: bool,
        stages: Arc<Stages>,
        meter: Option<Meter>,
    ) -> Self {
        let size = Size::of(&request);
        let job = request.into_job(&shared.key);
        Self {
            shared,
            job,
            is_streamed,
            tokens: Vec::new(),
            texts: Vec::new(),
            scores: Vec::new(),
            prompt_scores: None,
            fresh: size,
            size,
            tensors: None,
            attempt: None,
            tried: Vec::new(),
            setbacks: Vec::new(),
            spoke: 0,
            late_refusals: 0,
            stages,
            waited: Duration::ZERO,
            meter,
        }
    }

    /// The next piece; after `Done` or an error there is none.
    pub async fn next(&mut self) -> Result<Piece, ApiError> {
        loop {
            let taken = match self.attempt.take() {
                Some(attempt) => Ok(attempt),
                None => self.begin().await?,
            };
            let advanced = match taken {
                Ok(attempt) => self.advance(attempt).await,
                Err(setback) => Err(setback),
            };
            match advanced {
                Ok(Some(Advance::Piece(piece))) => return Ok(piece),
                Ok(Some(Advance::End(done))) => return self.acknowledge(done).await,
                Ok(None) => {}
                Err(setback) => {
                    if self.note(setback)? {
                        return Ok(Piece::Afresh);
                    }
                }
            }
        }
    }

    /// Asks the next worker; the outer error is the end of all attempts.
    async fn begin(&mut self) -> Result<Result<Attempt, Setback>, ApiError> {
        let lease = if self.tried.len() < WORKERS_MAX {
            self.shared.directory.choose(&self.job.request.model, &self.tried)
        } else {
            None
        };
        let Some(lease) = lease else { return Err(self.give_up()) };
        self.tried.push(lease.node);
        if self.tried.len() > 1 {
            self.shared.metrics.continuations.add(1);
        }
        let now = now_ms();
        if now.abs_diff(self.job.request.issued_at_ms) > JOB_AGE_MS_MAX {
            self.job.issue_again(now, &self.shared.key);
        }
        let began_at = Instant::now();
        let url = format!("{}/jobs", lease.endpoint);
        let asked = self.shared.workers.post_for_frames(&url, &self.job).await;
        self.waited = self.waited.saturating_add(began_at.elapsed());
        Ok(match asked {
            Ok(frames) => {
                if let Some(meter) = &self.meter {
                    meter.taken(self.is_streamed);
                }
                Ok(Attempt { lease, frames, position: 0, has_prompt_scores: false, began_at, has_begun: false })
            }
            Err(error) => {
                lease.failed();
                Err(broken(&error))
            }
        })
    }

    /// Takes one frame. The attempt goes on unless this is the end or a setback, which drop it.
    async fn advance(&mut self, mut attempt: Attempt) -> Result<Option<Advance>, Setback> {
        match self.take(&mut attempt).await {
            Ok(Some(Advance::End(done))) => {
                attempt.lease.succeeded();
                // Nobody waits for it, and the next request need not connect anew.
                tokio::spawn(attempt.frames.end());
                Ok(Some(Advance::End(done)))
            }
            Ok(other) => {
                self.attempt = Some(attempt);
                Ok(other)
            }
            Err(setback) => {
                self.blame(&attempt.lease, &setback);
                if attempt.position > 0 {
                    let is_late = setback.is_about_the_request() && attempt.position == self.tokens.len();
                    self.spoke = self.spoke.saturating_add(1);
                    self.late_refusals = self.late_refusals.saturating_add(usize::from(is_late));
                }
                Err(setback)
            }
        }
    }

    async fn take(&mut self, attempt: &mut Attempt) -> Result<Option<Advance>, Setback> {
        let asked_at = Instant::now();
        let frame = attempt.frames.next::<Frame>().await;
        self.waited = self.waited.saturating_add(asked_at.elapsed());
        let Some(frame) = frame.map_err(|error| broken(&error))? else {
            return Err(Setback::Broken("the worker ended without a receipt".to_owned()));
        };
        if !attempt.has_begun {
            attempt.has_begun = true;
            attempt.lease.began(attempt.began_at.elapsed());
        }
        match frame {
            Frame::Token(token) => self.take_token(attempt, token),
            Frame::Tensors(tensors) => self.take_tensors(tensors.into_inner()),
            Frame::Done(done) => self.take_done(attempt, done).await,
            Frame::PromptScores(scores) => self.take_prompt_scores(attempt, scores),
            Frame::Failed(failed) => Err(Setback::Refused(failed)),
        }
    }

    fn take_token(&mut self, attempt: &mut Attempt, frame: TokenFrame) -> Result<Option<Advance>, Setback> {
        let request = &self.job.request;
        let is_written = is_written(&request.input);
        let lacks = request.parameters.prompt_scores && !attempt.has_prompt_scores;
        if lacks || frame.score.is_some() != (request.parameters.scores > 0) {
            return Err(Setback::Broken("the worker sent other scores than were asked for".to_owned()));
        }
        let position = attempt.position;
        attempt.position = position.saturating_add(1);
        match (self.tokens.get(position), self.texts.get(position)) {
            (Some(token), Some(text))
                if *token == frame.token
                    && *text == frame.text[..]
                    && self.scores.get(position) == frame.score.as_ref() =>
            {
                Ok(None)
            }
            (Some(_), _) | (_, Some(_)) => Err(Setback::Differs),
            (None, None) => {
                let wanted = usize::try_from(request.parameters.max_tokens).unwrap_or(usize::MAX);
                if !is_written || position >= wanted {
                    return Err(Setback::Broken("the worker sent more tokens than were asked for".to_owned()));
                }
                self.size.token(&request.parameters, &frame).inspect_err(|_| attempt.position = position)?;
                self.tokens.push(frame.token);
                self.texts.push(frame.text[..].to_owned());
                self.scores.extend(frame.score.clone());
                self.shared.metrics.tokens.add(1);
                if let Some(meter) = &self.meter {
                    meter.said();
                }
                let TokenFrame { token, text, score } = frame;
                Ok(Some(Advance::Piece(Piece::Token { token, text: text[..].to_owned(), score })))
            }
        }
    }

    fn take_prompt_scores(
        &mut self,
        attempt: &mut Attempt,
        scores: List<Score, TOKENS_MAX>,
    ) -> Result<Option<Advance>, Setback> {
        if !self.job.request.parameters.prompt_scores || attempt.has_prompt_scores || attempt.position > 0 {
            return Err(Setback::Broken("the worker sent scores that were not asked for".to_owned()));
        }
        attempt.has_prompt_scores = true;
        match &self.prompt_scores {
            Some(before) if *before == scores => Ok(None),
            Some(_) => Err(Setback::Differs),
            None => {
                self.size.prompt(&self.job.request.parameters, &scores)?;
                self.prompt_scores = Some(scores.clone());
                Ok(Some(Advance::Piece(Piece::Prompt(scores.into_inner()))))
            }
        }
    }

    fn take_tensors(&mut self, tensors: Vec<Tensor>) -> Result<Option<Advance>, Setback> {
        match &self.tensors {
            _ if is_written(&self.job.request.input) => {
                Err(Setback::Broken("the worker sent tensors where tokens were asked for".to_owned()))
            }
            Some(before) if *before == tensors => Ok(None),
            Some(_) => Err(Setback::Differs),
            None => {
                self.tensors = Some(tensors);
                Ok(None)
            }
        }
    }

    async fn take_done(&mut self, attempt: &Attempt, done: Box<DoneFrame>) -> Result<Option<Advance>, Setback> {
        if attempt.position != self.tokens.len() {
            return Err(Setback::Differs);
        }
        let key = self.shared.directory.key(&done.receipt.receipt.worker_key).await;
        let key = key.map_err(|error| broken(&error))?.ok_or(Setback::Lied(Lie::Key))?;
        let witnessed = Witnessed {
            request: &self.job.request,
            kind: self.shared.directory.kind(&self.job.request.model),
            worker: attempt.lease.node,
            key: &key,
            tokens: &self.tokens,
            scores: &self.scores,
            prompt_scores: self.prompt_scores.as_deref().unwrap_or_default(),
            tensors: self.tensors.as_deref(),
            now_ms: now_ms(),
        };
        witnessed.check(&done).map_err(Setback::Lied)?;
        self.check_text().await.map_err(Setback::Lied)?;
        Ok(Some(Advance::End(done)))
    }

    async fn check_text(&self) -> Result<(), Lie> {
        if self.tensors.is_some() {
            return Ok(());
        }
        let wait = self.shared.pace.vocabulary_wait;
        match self.shared.vocabularies.within(&self.job.request.model, wait).await {
            Some(words) if says(&words.tokenizer, &self.tokens, &self.texts).await => Ok(()),
            Some(_) => Err(Lie::Text),
            None => {
                self.shared.metrics.texts_unchecked.add(1);
                Ok(())
            }
        }
    }

    fn blame(&self, lease: &Lease, setback: &Setback) {
        let metrics = &self.shared.metrics;
        match setback {
            Setback::Lied(lie) => {
                tracing::warn!(worker = %lease.node, %lie, "a worker lied");
                metrics.worker_lies.add(1);
                lease.lied();
            }
            Setback::Broken(_) | Setback::Differs => {
                tracing::warn!(worker = %lease.node, ?setback, "a worker failed");
                metrics.worker_failures.add(1);
                lease.failed();
            }
            // An honest no; one that is not is outvoted by the next worker. What is too long here is no worker's doing.
            Setback::Refused(_) | Setback::Overlong { .. } => {}
        }
    }

    /// Remembers a setback and says whether what was given out is void; an error where asking others is pointless.
    fn note(&mut self, setback: Setback) -> Result<bool, ApiError> {
        // Another worker would say as much.
        let is_overlong = matches!(setback, Setback::Overlong { .. });
        self.setbacks.push(setback);
        let is_void = !self.is_streamed && (!self.tokens.is_empty() || self.prompt_scores.is_some());
        if !self.is_streamed {
            self.tokens.clear();
            self.texts.clear();
            self.scores.clear();
            self.prompt_scores = None;
            self.size = self.fresh;
            self.tensors = None;
        }
        let is_nothing_left = self.tokens.is_empty() && self.prompt_scores.is_none();
        if let Some(meter) = self.meter.as_ref().filter(|_| is_nothing_left) {
            meter.returned();
        }
        let refusals = self.setbacks.iter().filter(|setback| setback.is_about_the_request()).count();
        let is_refused = refusals >= REFUSALS && (self.tokens.is_empty() || self.late_refusals >= REFUSALS);
        if is_overlong || is_refused {
            return Err(self.give_up());
        }
        Ok(is_void)
    }

    /// The end of all attempts. A refusal after tokens counts where those who said any agree on it, or two do: one that comes before them
    /// may be of the moment, and says nothing of what made others break.
    fn give_up(&self) -> ApiError {
        let is_refused = self.late_refusals > 0 && (self.late_refusals >= REFUSALS || self.late_refusals == self.spoke);
        let is_paid_for = is_refused && !self.tokens.is_empty();
        if let Some(meter) = &self.meter {
            // The call's other answers may go on, and its payer leave before they end.
            if is_paid_for { meter.refused() } else { meter.returned() }
        }
        if !is_paid_for {
            return give_up(&self.setbacks, self.tokens.len());
        }
        refused_late(&self.setbacks, self.tokens.len())
    }

    async fn acknowledge(&mut self, done: Box<DoneFrame>) -> Result<Piece, ApiError> {
        let DoneFrame { receipt, opening, finish } = *done;
        let synced_from = Instant::now();
        let charging = self.meter.as_ref().map(|meter| meter.ended(&receipt.receipt)).transpose()?;
        keep(self.shared.outbox.clone(), receipt.clone(), charging).await?;
        let (disk, metrics) = (synced_from.elapsed(), &self.shared.metrics);
        metrics.answers.add(1);
        metrics.disk.observe(disk);
        metrics.worker.observe(self.waited);
        metrics.own.observe(self.stages.began_at().elapsed().saturating_sub(disk).saturating_sub(self.waited));
        self.stages.ended(self.waited, disk);
        Ok(Piece::Done(Box::new(Delivered { receipt, opening, finish })))
    }
}

/// Keeps a receipt for the ledger, after its charge where somebody pays for it: whoever leaves in between leaves neither undone.
async fn keep(outbox: Outbox, receipt: SignedReceipt, charging: Option<Charging>) -> Result<(), ApiError> {
    let Some(charging) = charging else { return put(outbox, receipt).await };
    let kept = tokio::spawn(async move {
        charging.wait().await?;
        put(outbox, receipt).await
    });
    kept.await.unwrap_or_else(|error| Err(not_kept(&error)))
}

async fn put(outbox: Outbox, receipt: SignedReceipt) -> Result<(), ApiError> {
    let kept = match outbox.put(receipt) {
        Ok(keeping) => keeping.wait().await,
        Err(error) => Err(error),
    };
    kept.map_err(|error| not_kept(&error))
}

fn not_kept(error: &impl std::fmt::Display) -> ApiError {
    tracing::error!(%error, "failed to keep a receipt");
    ApiError::new(Code::NotDurable, "The receipt could not be stored, so the answer is not acknowledged.")
        .with_retry_after_s(5)
}

enum Advance {
    Piece(Piece),
    End(Box<DoneFrame>),
}

/// True where tokens come out, false where tensors do.
const fn is_written(input: &Input) -> bool {
    match input {
        Input::Chat(_) | Input::Prompt(_) => true,
        Input::Tensors(_) | Input::Embed(_) => false,
    }
}

fn broken(error: &NetworkError) -> Setback {
    Setback::Broken(error.to_string())
}
