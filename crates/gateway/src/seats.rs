//! A call's places among those that are answered. Whoever waits for a chain first gives them back meanwhile, and takes as many anew before
//! anything is promised: what nobody answers yet keeps no answer out. For them it waits a while too, because what came of the chain is its
//! payer's money.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::ApiError;
use payments::scheme::Refused;
use protocol::Digest;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use crate::{fair::Share, shared::Shared, waits::Wait};

/// Between two looks for places.
const PAUSE: Duration = Duration::from_millis(50);

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

    /// Gives them back to wait for a thing of this id, and of a customer's or not, at a chain: for so many at once, and no more.
    pub fn leave(&self, thing: (Digest, bool)) -> Result<Wait<'_>, Refused> {
        let wait = self.shared.chain_waits.begin(thing)?;
        drop(self.lock().take());
        Ok(wait)
    }

    /// Waits for such a thing without them, and then for them: on one place, so that no more wait for places than for chains.
    pub async fn without<T>(
        &self,
        thing: (Digest, bool),
        waiting: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let _wait = self.leave(thing)?;
        let come = waiting.await?;
        let soon = async {
            loop {
                if let Ok(taken) = self.take() {
                    return taken;
                }
                sleep(PAUSE).await;
            }
        };
        let taken = timeout(self.shared.pace.places_wait, soon).await.map_err(|_| Refused::Full)?;
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
