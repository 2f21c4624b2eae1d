//! From a job to its frames: checked, run, signed, made durable, then acknowledged by the last frame.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crypto::{Digest, SigningKey};
use engine::Model;
use hub::Models;
use network::{Bytes, frame_bytes};
use protocol::{
    Noun as _, Request, Role,
    service::{DoneFrame, FailedFrame, Failure, Frame, SignedJob},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    adversary::Adversary,
    answer::{Answer, answer, failed},
    chain::{Chain, Salts, Terms, is_complete, own_node},
    evidence::{Evidence, EvidenceError},
    registry::Registry,
    service::now_ms,
};

/// A job older or newer than this is refused.
const JOB_AGE_MS_MAX: u64 = 60_000;
/// Jobs that may wait for a place.
pub(crate) const WAITING_MAX: usize = 64;
/// Frames that may wait for a slow reader before the model is held back.
const FRAMES_WAITING: usize = 256;

/// All that serving a job needs.
pub(crate) struct Desk {
    pub chain_id: u64,
    pub key: SigningKey,
    pub key_valid_from: u64,
    pub adversary: Option<Adversary>,
    pub evidence_ms: u64,
    pub models: Models,
    pub registry: Registry,
    pub evidence: Evidence,
    /// Places for models to run, and for jobs to wait.
    pub places: Arc<Semaphore>,
    pub waiting: Arc<Semaphore>,
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
            if let Err(failure) = self.run(job, &frames).await {
                // A reader that left needs no reason.
                let _ = frames.send(frame_bytes(&Frame::Failed(failure))).await;
            }
        });
        receiver
    }

    async fn run(&self, job: SignedJob, frames: &mpsc::Sender<Bytes>) -> Result<(), FailedFrame> {
        let received_at_ms = now_ms();
        self.check(&job, received_at_ms).await?;
        let _place = self.place().await?;
        let model = self.models.get(job.request.model).await;
        let model = model.map_err(|error| failed(Failure::UnknownModel, &error.to_string()))?;
        self.take(&job.request, received_at_ms)?;
        let (request, answer) = self.execute(model, job.request, frames.clone()).await?;
        if !is_complete(answer.finish) {
            return Ok(());
        }
        let done = self.sign(request, answer, received_at_ms).await?;
        let _ = frames.send(frame_bytes(&Frame::Done(Box::new(done)))).await;
        Ok(())
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

    async fn place(&self) -> Result<OwnedSemaphorePermit, FailedFrame> {
        let full = |_| failed(Failure::Busy, "too many jobs are waiting");
        let _waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(full)?;
        let closed = |_| failed(Failure::Busy, "the worker is stopping");
        Arc::clone(&self.places).acquire_owned().await.map_err(closed)
    }

    /// Notes the job, so that a replayed one is refused.
    fn take(&self, request: &Request, now: u64) -> Result<(), FailedFrame> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, at| now.saturating_sub(*at) <= 2 * JOB_AGE_MS_MAX);
        match taken.insert(request.digest(), now) {
            None => Ok(()),
            Some(_) => Err(failed(Failure::Unauthorised, "this job was served already")),
        }
    }

    async fn execute(
        &self,
        model: Arc<Model>,
        request: Request,
        frames: mpsc::Sender<Bytes>,
    ) -> Result<(Request, Answer), FailedFrame> {
        let adversary = self.adversary;
        let run = move || {
            let mut deliver = |frame| frames.blocking_send(frame_bytes(&frame)).is_ok();
            answer(&model, &request, adversary, &mut deliver).map(|answer| (request, answer))
        };
        let ended = tokio::task::spawn_blocking(run).await;
        ended.map_err(|_| failed(Failure::Internal, "the model's run was interrupted"))?
    }

    async fn sign(&self, request: Request, answer: Answer, received_at_ms: u64) -> Result<DoneFrame, FailedFrame> {
        self.sign_durably(request, answer, received_at_ms)
            .await
            .map_err(|error| failed(Failure::Internal, &format!("failed to keep the receipt: {error}")))
    }

    async fn sign_durably(
        &self,
        request: Request,
        answer: Answer,
        received_at_ms: u64,
    ) -> Result<DoneFrame, EvidenceError> {
        let finish = answer.finish;
        let finished_at_ms = now_ms();
        let terms = Terms {
            spec_version: engine::SPEC_VERSION,
            worker: own_node(&self.key),
            key_valid_from: self.key_valid_from,
            received_at_ms,
            finished_at_ms,
        };
        let mut chain = self.chain.lock().await;
        let (receipt, opening) = chain.sign(&self.key, terms, salts()?, request, answer);
        let expires_at_ms = finished_at_ms.saturating_add(self.evidence_ms);
        let durable = self.evidence.keep(&receipt, &opening, expires_at_ms).await?;
        *chain = Chain::after(&receipt.receipt);
        drop(chain);
        durable.wait().await?;
        Ok(DoneFrame { receipt, opening, finish })
    }
}

fn salts() -> Result<Salts, EvidenceError> {
    let salt = || storage::random_bytes().map(Digest);
    Ok(Salts { request: salt()?, prompt: salt()?, output: salt()? })
}
