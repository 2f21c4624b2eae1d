//! A call's places among those that are answered. Whoever waits for a chain first gives them back meanwhile, and takes as many anew before
//! anything is promised: what nobody answers yet keeps no answer out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::ApiError;
use payments::scheme::Refused;
use protocol::Digest;
use tokio::sync::OwnedSemaphorePermit;

use crate::{fair::Share, shared::Shared, waits::Wait};

/// A call's places: given back while it waits for a chain, else when dropped.
pub struct Seats {
    shared: Arc<Shared>,
    count: usize,
    /// Whose answers they are for; none where no model answers.
    model: Option<Digest>,
    taken: Mutex<Option<Taken>>,
}

/// Free again when dropped.
type Taken = (OwnedSemaphorePermit, Option<Share>);

impl Seats {
    /// Of places that are taken already, and what they are of a model's share.
    pub fn new(shared: &Arc<Shared>, places: OwnedSemaphorePermit, of_model: Option<(Digest, Share)>) -> Self {
        let (count, (model, share)) = (places.num_permits(), of_model.unzip());
        Self { shared: Arc::clone(shared), count, model, taken: Mutex::new(Some((places, share))) }
    }

    /// Gives them back to wait for a thing of this id at a chain: for so many at once, and no more.
    pub fn leave(&self, id: Digest) -> Result<Wait<'_>, Refused> {
        let wait = self.shared.chain_waits.begin(id)?;
        drop(self.lock().take());
        Ok(wait)
    }

    /// Waits for such a thing without them.
    pub async fn without<T>(
        &self,
        id: Digest,
        waiting: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let come = {
            let _wait = self.leave(id)?;
            waiting.await?
        };
        let taken = self.take().map_err(|_| Refused::Full)?;
        *self.lock() = Some(taken);
        Ok(come)
    }

    fn take(&self) -> Result<Taken, ApiError> {
        let places = self.shared.admit(self.count)?;
        let share = self.model.map(|model| self.shared.share(&model, self.count)).transpose()?;
        Ok((places, share))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Taken>> {
        // Nothing panics while it holds the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
