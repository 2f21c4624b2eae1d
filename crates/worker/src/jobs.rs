//! From a job to its frames: checked, run, signed, made durable, then acknowledged by the last frame.
//!
//! Nothing here waits for ever: a job ends when its reader leaves, and a model does not wait for a slow one.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crypto::{Digest, SigningKey};
use engine::serve::{Event, Server, Stream};
use network::{Bytes, frame_bytes, now_ms};
use protocol::{
    Finish, Input, List, NodeId, Noun as _, Output, PublicKey, Request, Role,
    service::{DoneFrame, FailedFrame, Failure, Frame, SignedJob},
};
use tokio::sync::mpsc;

use crate::{
    adversary::Adversary,
    answer::{Answer, Prompts, Telling, embedded, embeddings_answered, failed, job, only, run_failed, serve_failed},
    chain::{Chain, Salts, Terms, is_complete},
    compiling::Compiling,
    evidence::{Evidence, EvidenceError},
    prompting::Prompting,
    rate::Rate,
    reader::{PATIENCE, Reader},
    registry::Registry,
    served::{Served, Serving},
    shares::{Place, Shares},
};

/// A job older or newer than this is refused.
const JOB_AGE_MS_MAX: u64 = 60_000;
/// How long a job is remembered: as long as its age would let it be taken again, on either side of the clock.
pub(crate) const MEMORY_MS: u64 = 2 * JOB_AGE_MS_MAX;
/// Jobs that may wait for a place.
pub(crate) const WAITING_MAX: usize = 64;
/// Frames that may wait for a slow reader before the model is held back.
const FRAMES_WAITING: usize = 256;

/// All that serving needs.
pub(crate) struct Desk {
    pub chain_id: u64,
    pub key: SigningKey,
    pub node: NodeId,
    pub key_valid_from: u64,
    pub adversary: Option<Adversary>,
    /// What this worker serves, loaded. Not fetched for a job: whoever may send jobs could have it load everything.
    pub models: Serving,
    pub registry: Registry,
    /// Openings asked for, by auditor.
    pub turnstile: Mutex<Rate<PublicKey>>,
    pub evidence: Evidence,
    /// Places for models to run, and for jobs to wait.
    pub places: Arc<Shares>,
    pub waiting: Arc<Shares>,
    /// Held from the reading of the chain until the receipt is in the disk's queue.
    pub chain: tokio::sync::Mutex<Chain>,
    /// Digests of jobs taken, until they are too old to be taken again.
    pub taken: Mutex<BTreeMap<Digest, u64>>,
}

impl Desk {
    /// Starts serving; the frames arrive on the channel.
    pub fn serve(self: Arc<Self>, job: SignedJob) -> mpsc::Receiver<Bytes> {
        let (frames, receiver) = mpsc::channel(FRAMES_WAITING);
        tokio::spawn(async move {
            let last = match self.run(job, &frames).await {
                Ok(Some(done)) => Frame::Done(Box::new(done)),
                Ok(None) => return,
                Err(failure) => Frame::Failed(failure),
            };
            // A reader that left needs no last frame, and one that is too slow for it gets none.
            let _ = frames.send_timeout(frame_bytes(&last), PATIENCE).await;
        });
        receiver
    }

    /// Serves a model beside the others, which leave it its part of the places.
    pub fn take_up(&self, root: Digest, served: Served) {
        self.models.add(root, served);
        self.share_places();
    }

    /// Lets go of all models but these; jobs that run with the others keep them until they end.
    pub fn keep_only(&self, roots: &[Digest]) {
        self.models.keep_only(roots);
        self.share_places();
    }

    fn share_places(&self) {
        let served = self.models.all();
        [&self.places, &self.waiting].iter().for_each(|shares| shares.divide(served.keys()));
    }

    /// `None` if the reader left before there was a receipt.
    async fn run(&self, job: SignedJob, frames: &mpsc::Sender<Bytes>) -> Result<Option<DoneFrame>, FailedFrame> {
        let received_at_ms = now_ms();
        let (served, place) = tokio::select! {
            () = frames.closed() => return Ok(None),
            admitted = self.admit(&job, received_at_ms) => admitted?,
        };
        let spec_version = served.spec_version();
        let answered = self.execute(served, job.request, &mut Reader::new(frames.clone(), PATIENCE)).await;
        drop(place);
        let (request, answer) = answered?;
        if is_complete(answer.finish) {
            return self.sign(request, answer, spec_version, received_at_ms).await.map(Some);
        }
        if frames.is_closed() {
            return Ok(None);
        }
        Err(failed(Failure::Internal, &format!("the answer was not read for {} s", PATIENCE.as_secs())))
    }

    /// Checks the job and waits for a place: cheap checks first, and nothing is held while a stranger is looked up.
    async fn admit(&self, job: &SignedJob, now: u64) -> Result<(Served, Place), FailedFrame> {
        self.check(job, now).await?;
        let served = self.models.get(&job.request.model);
        let unknown = || format!("this worker does not serve model {}", job.request.model);
        let served = served.ok_or_else(|| failed(Failure::UnknownModel, &unknown()))?;
        served.bears(job.request.assurance)?;
        let place = self.place(&job.request.model).await?;
        self.take(&job.request, now)?;
        Ok((served, place))
    }

    async fn check(&self, job: &SignedJob, now: u64) -> Result<(), FailedFrame> {
        let request = &job.request;
        if request.chain_id != self.chain_id {
            let message = format!("the request is for chain {}, this is chain {}", request.chain_id, self.chain_id);
            return Err(failed(Failure::BadRequest, &message));
        }
        if now.abs_diff(request.issued_at_ms) > JOB_AGE_MS_MAX {
            return Err(failed(Failure::BadRequest, "the request was issued more than 60 s from this node's clock"));
        }
        if !job.signature_holds() {
            return Err(failed(Failure::Unauthorised, "the job is not signed by the gateway that it names"));
        }
        match self.registry.allows(&request.gateway, &[Role::Gateway]).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed(Failure::Unauthorised, "the gateway is not registered")),
            Err(error) => Err(failed(Failure::Busy, &format!("failed to look the gateway up: {error}"))),
        }
    }

    async fn place(&self, model: &Digest) -> Result<Place, FailedFrame> {
        let full = || failed(Failure::Busy, "too many jobs of its model are waiting");
        let _waiting = self.waiting.try_take(model).ok_or_else(full)?;
        let closed = || failed(Failure::Busy, "the worker is stopping");
        self.places.take(model).await.ok_or_else(closed)
    }

    /// Notes the job, so that a replayed one is refused.
    fn take(&self, request: &Request, now: u64) -> Result<(), FailedFrame> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, at| now.saturating_sub(*at) <= MEMORY_MS);
        match taken.insert(request.digest(), now) {
            None => Ok(()),
            Some(_) => Err(failed(Failure::Unauthorised, "this job was served already")),
        }
    }

    /// Runs a request and hands its answer on as it comes.
    async fn execute(
        &self,
        served: Served,
        request: Request,
        reader: &mut Reader,
    ) -> Result<(Request, Answer), FailedFrame> {
        match (served, &request.input) {
            (Served::Language(server, prompting, compiling), Input::Chat(_) | Input::Prompt(_)) => {
                self.converse(server, &prompting, &compiling, request, reader).await
            }
            (Served::Language(server, prompting, _), Input::Embed(_)) => {
                self.embed(server, &prompting, request, reader).await
            }
            (served, _) => self.compute(served, request, reader).await,
        }
    }

    /// Has the model's server answer, in company with all that it serves.
    async fn converse(
        &self,
        server: Arc<Server>,
        prompting: &Prompting,
        compiling: &Compiling,
        request: Request,
        reader: &mut Reader,
    ) -> Result<(Request, Answer), FailedFrame> {
        let model = Arc::clone(server.model());
        let language = model.as_language().ok_or_else(|| failed(Failure::Internal, "no language model is served"))?;
        let submitted = async move {
            let prompt = only(prompting.make(&request).await?);
            if request.parameters.constraint.is_none() {
                return submit(&server, &request, prompt).map(|taken| (request, taken));
            }
            compiling.compile(move || submit(&server, &request, prompt).map(|taken| (request, taken))).await
        };
        let (request, (prompt, mut stream)) = made(submitted, reader).await?;
        let mut telling = Telling::new(language, &request.parameters, self.adversary);
        let finish = loop {
            let event = tokio::select! {
                event = poll_fn(|context| stream.poll_next(context)) => event,
                () = reader.left() => break Finish::Cancelled,
            };
            match event {
                Some(Event::Part(part)) => {
                    if !reader.deliver(&telling.tell(part)?).await {
                        break Finish::Cancelled;
                    }
                }
                Some(Event::End(finish)) => break finish,
                Some(Event::Failed(error)) => return Err(run_failed(&error)),
                Some(Event::Embedding(_)) | None => return Err(interrupted()),
            }
        };
        let answer = telling.into_answer(prompt, finish)?;
        Ok((request, answer))
    }

    /// Has the model's server embed texts, one after the other, in company with all that it serves.
    async fn embed(
        &self,
        server: Arc<Server>,
        prompting: &Prompting,
        request: Request,
        reader: &mut Reader,
    ) -> Result<(Request, Answer), FailedFrame> {
        let texts = made(prompting.make(&request), reader).await?;
        let texts = embeddable(&server, &request, texts)?;
        let mut embeddings = Vec::new();
        for tokens in &texts {
            let mut stream = server.embed(tokens.clone()).map_err(|error| serve_failed(&error))?;
            let event = tokio::select! {
                event = poll_fn(|context| stream.poll_next(context)) => event,
                () = reader.left() => return Ok((request, cancelled())),
            };
            match event {
                Some(Event::Embedding(embedding)) => embeddings.push(embedding),
                Some(Event::Failed(error)) => return Err(run_failed(&error)),
                Some(Event::Part(_) | Event::End(_)) | None => return Err(interrupted()),
            }
        }
        let answer = embeddings_answered(&request, &texts, &embeddings, self.adversary)?;
        hand_over(request, answer, reader).await
    }

    /// Runs the model on a thread of its own, which is told when the reader left.
    async fn compute(
        &self,
        served: Served,
        request: Request,
        reader: &mut Reader,
    ) -> Result<(Request, Answer), FailedFrame> {
        let adversary = self.adversary;
        let has_left = Arc::new(AtomicBool::new(false));
        let stays = {
            let has_left = Arc::clone(&has_left);
            move || !has_left.load(Ordering::Relaxed)
        };
        let run = move || served.compute(&request, adversary, &stays).map(|answer| (request, answer));
        let mut running = tokio::task::spawn_blocking(run);
        let ran = tokio::select! {
            ran = &mut running => ran,
            () = reader.left() => {
                has_left.store(true, Ordering::Relaxed);
                // The place is free when the thread is.
                running.await
            }
        };
        let (request, answer) = ran.map_err(|_| interrupted())??;
        hand_over(request, answer, reader).await
    }

    async fn sign(
        &self,
        request: Request,
        answer: Answer,
        spec_version: u16,
        received_at_ms: u64,
    ) -> Result<DoneFrame, FailedFrame> {
        self.sign_durably(request, answer, spec_version, received_at_ms)
            .await
            .map_err(|error| failed(Failure::Internal, &format!("failed to keep the receipt: {error}")))
    }

    async fn sign_durably(
        &self,
        request: Request,
        answer: Answer,
        spec_version: u16,
        received_at_ms: u64,
    ) -> Result<DoneFrame, EvidenceError> {
        let finish = answer.finish;
        let terms = Terms {
            spec_version,
            worker: self.node,
            key_valid_from: self.key_valid_from,
            received_at_ms,
            finished_at_ms: now_ms(),
        };
        let mut chain = self.chain.lock().await;
        let (receipt, opening) = chain.sign(&self.key, terms, salts()?, request, answer);
        let durable = self.evidence.keep(&receipt, &opening).await?;
        // Never taken back: should the disk fail now, a number is left out. Used again, it could be signed twice.
        *chain = Chain::after(&receipt.receipt);
        drop(chain);
        durable.wait().await?;
        Ok(DoneFrame { receipt, opening, finish })
    }
}

/// Delivers an answer that is there at once.
async fn hand_over(
    request: Request,
    mut answer: Answer,
    reader: &mut Reader,
) -> Result<(Request, Answer), FailedFrame> {
    if let Output::Tensors(outputs) = &answer.output
        && !reader.deliver(&Frame::Tensors(outputs.clone())).await
    {
        answer.finish = Finish::Cancelled;
    }
    Ok((request, answer))
}

/// A prompt, unless whoever asked leaves before.
async fn made<T>(prompt: impl Future<Output = Result<T, FailedFrame>>, reader: &Reader) -> Result<T, FailedFrame> {
    tokio::select! {
        made = prompt => made,
        () = reader.left() => Err(interrupted()),
    }
}

/// What is left of an answer that nobody waits for.
fn cancelled() -> Answer {
    Answer { prompt: List::default(), output: Output::Tensors(List::default()), finish: Finish::Cancelled }
}

/// The tokens of texts to embed, none of which is too much for the server.
fn embeddable(server: &Server, request: &Request, texts: Prompts) -> Result<Vec<Vec<u32>>, FailedFrame> {
    let texts = embedded(server.model().as_language().ok_or_else(interrupted)?, request, texts)?;
    texts.iter().try_for_each(|tokens| server.check_embedding(tokens)).map_err(|error| serve_failed(&error))?;
    Ok(texts)
}

/// The prompt, and where its answer comes.
fn submit(server: &Server, request: &Request, prompt: Vec<u32>) -> Result<(Vec<u32>, Stream), FailedFrame> {
    let language = server.model().as_language().ok_or_else(interrupted)?;
    let job = job(language, request, prompt)?;
    let prompt = job.prompt.clone();
    Ok((prompt, server.submit(job).map_err(|error| serve_failed(&error))?))
}

fn interrupted() -> FailedFrame {
    failed(Failure::Internal, "the model's run was interrupted")
}

fn salts() -> Result<Salts, EvidenceError> {
    let salt = || storage::random_bytes().map(Digest);
    Ok(Salts { request: salt()?, prompt: salt()?, output: salt()? })
}
