//! What all requests of one gateway share.

use std::sync::Arc;

use api::{ApiError, Code};
use crypto::{Digest, SigningKey};
use network::{Client, LedgerClient, now_ms};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    contexts::Contexts,
    counting::Counting,
    credit::Credit,
    directory::Directory,
    facilitator::Booth,
    fair::{Fair, Share},
    metrics::Metrics,
    outbox::Outbox,
    pace::Pace,
    payment::Desk,
    prepare::Circumstances,
    vocabulary::Vocabularies,
    waits::Waits,
};

pub struct Shared {
    pub key: SigningKey,
    pub chain_id: u64,
    pub pace: Pace,
    /// Talks to workers; each wait for a frame has its deadline.
    pub workers: Client,
    pub ledger: LedgerClient,
    pub directory: Arc<Directory>,
    pub vocabularies: Arc<Vocabularies>,
    /// How long texts may be, as workers tell it.
    pub contexts: Contexts,
    /// Where prompts are counted.
    pub counting: Arc<Counting>,
    pub outbox: Outbox,
    /// How far we may owe, where calls have a price.
    pub credit: Arc<Credit>,
    pub metrics: Arc<Metrics>,
    /// Where calls have a price.
    pub desk: Option<Arc<Desk>>,
    /// Settles for other servers, where this gateway takes payments itself.
    pub booth: Option<Arc<Booth>>,
    /// Places for requests that are being answered.
    pub places: Arc<Semaphore>,
    /// How much of them each model has.
    pub fair: Arc<Fair>,
    /// What calls wait for at a chain before they are answered.
    pub chain_waits: Waits,
    /// Places for bodies that are larger than most endpoints take.
    pub large_bodies: Arc<Semaphore>,
    /// As many for those of calls that wait for a chain.
    pub large_waits: Arc<Semaphore>,
}

impl Shared {
    /// Places for so many more requests, if there are any and their receipts could be kept.
    pub fn admit(&self, jobs: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        if self.outbox.is_full() {
            let full =
                ApiError::new(Code::NotDurable, "Too many receipts wait for the ledger to take another request.");
            return Err(full.with_retry_after_s(5));
        }
        let wanted = u32::try_from(jobs).unwrap_or(u32::MAX);
        Arc::clone(&self.places).try_acquire_many_owned(wanted).map_err(|_| {
            let message = format!("All {} places of this gateway are taken.", self.pace.requests_max);
            ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(1)
        })
    }

    /// The model's share of places that are taken already, if it is no more than it may have.
    pub fn share(&self, model: &Digest, jobs: usize) -> Result<Share, ApiError> {
        self.fair.share(model, jobs, self.places.available_permits()).ok_or_else(|| {
            let message = "This model has its share of the gateway's places; what is left is for other models.";
            ApiError::new(Code::RateLimitExceeded, message).with_retry_after_s(1)
        })
    }

    /// Time and fresh randomness for a request.
    pub fn circumstances(&self) -> Result<Circumstances, ApiError> {
        let nonce = fresh::<32>().map(Digest)?;
        Ok(Circumstances { chain_id: self.chain_id, gateway: self.key.public_key(), now_ms: now_ms(), nonce })
    }
}

/// Randomness of the operating system.
pub fn fresh<const N: usize>() -> Result<[u8; N], ApiError> {
    storage::random_bytes()
        .map_err(|error| ApiError::new(Code::Internal, format!("The request got no nonce: {error}.")))
}
