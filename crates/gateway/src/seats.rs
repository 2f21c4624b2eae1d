//! A call's places among those that are answered. Whoever waits for a chain first gives them back meanwhile, and takes as many anew before
//! anything is promised: what nobody answers yet keeps no answer out. For them it waits a while too, because what came of the chain is its
//! payer's money. A large body's place goes the same way, but that what it takes is counted while it waits, too: among those that do.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use payments::scheme::Refused;
use protocol::Digest;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};

use crate::{
    fair::Share,
    shared::Shared,
    waits::{Thing, Wait},
};

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
struct Taken {
    _places: OwnedSemaphorePermit,
    _share: Option<Share>,
    /// Of a body that is larger than most endpoints take.
    large: Option<OwnedSemaphorePermit>,
}

/// A place among those that wait for a chain, until it is dropped.
pub struct Left<'a> {
    _wait: Wait<'a>,
    large: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Of places that are taken already, and what they are of a model's share.
    pub fn new(shared: &Arc<Shared>, places: OwnedSemaphorePermit, of_model: Option<(Digest, Share)>) -> Self {
        let (count, (model, share)) = (places.num_permits(), of_model.unzip());
        let taken = Taken { _places: places, _share: share, large: None };
        Self { shared: Arc::clone(shared), count, model, taken: Mutex::new(Some(taken)) }
    }

    /// The same with the place of a large body.
    #[must_use]
    pub fn with_large(self, large: Option<OwnedSemaphorePermit>) -> Self {
        if let Some(taken) = &mut *self.lock() {
            taken.large = large;
        }
        self
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The body is gone.
    pub fn drop_large(&self) {
        let large = self.lock().as_mut().and_then(|taken| taken.large.take());
        drop(large);
    }

    /// Gives them back to wait for a thing at a chain: for so many at once, and no more.
    pub fn leave(&self, thing: Thing) -> Result<Left<'_>, Refused> {
        let wait = self.shared.chain_waits.begin(thing)?;
        let mut taken = self.lock();
        let is_large = taken.as_ref().is_some_and(|taken| taken.large.is_some());
        let large = is_large.then(|| Arc::clone(&self.shared.large_waits).try_acquire_owned());
        let large = large.transpose().map_err(|_| Refused::Full)?;
        drop(taken.take());
        Ok(Left { _wait: wait, large })
    }

    /// Waits for such a thing without them, and then for them: on one place, so that no more wait for places than for chains.
    pub async fn without<T>(
        &self,
        thing: Thing,
        waiting: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let left = self.leave(thing)?;
        let come = waiting.await?;
        let soon = async {
            loop {
                if let Some(taken) = self.take(left.large.is_some()) {
                    return taken;
                }
                sleep(PAUSE).await;
            }
        };
        let taken = timeout(self.shared.pace.places_wait, soon).await.map_err(|_| Refused::Full)?;
        *self.lock() = Some(taken);
        Ok(come)
    }

    fn take(&self, is_large: bool) -> Option<Taken> {
        let places = self.shared.admit(self.count).ok()?;
        let share = self.model.map(|model| self.shared.share(&model, self.count)).transpose().ok()?;
        let large = is_large.then(|| Arc::clone(&self.shared.large_bodies).try_acquire_owned());
        Some(Taken { _places: places, _share: share, large: large.transpose().ok()? })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Taken>> {
        // Nothing panics while it holds the lock.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
