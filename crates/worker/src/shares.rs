//! Places that models share fairly: half of them are divided among the models, each has its part whatever the others do, and the
//! rest is for whoever comes first. So one model's long prompts never keep another model's from a place for longer than
//! its own take.

use std::{collections::BTreeMap, sync::Arc};

use crypto::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Shares {
    shared: Arc<Semaphore>,
    own: BTreeMap<Digest, Arc<Semaphore>>,
}

impl Shares {
    /// So many places in all. Where there are fewer than two a model, nobody has any of its own.
    pub fn new<'m>(places: usize, models: impl Iterator<Item = &'m Digest> + Clone) -> Self {
        let count = models.clone().count();
        let each = if count > 1 { places / 2 / count } else { 0 };
        let own = models.map(|model| (*model, Arc::new(Semaphore::new(each)))).collect();
        Self { shared: Arc::new(Semaphore::new(places - each * count)), own }
    }

    /// A place for a job of this model, as soon as there is one.
    pub async fn take(&self, model: &Digest) -> Option<OwnedSemaphorePermit> {
        if let Some(place) = self.try_take(model) {
            return Some(place);
        }
        let shared = Arc::clone(&self.shared);
        let Some(own) = self.own.get(model).map(Arc::clone) else { return shared.acquire_owned().await.ok() };
        tokio::select! {
            biased;
            place = own.acquire_owned() => place.ok(),
            place = shared.acquire_owned() => place.ok(),
        }
    }

    /// A place, if there is one now.
    pub fn try_take(&self, model: &Digest) -> Option<OwnedSemaphorePermit> {
        let own = self.own.get(model).and_then(|own| Arc::clone(own).try_acquire_owned().ok());
        own.or_else(|| Arc::clone(&self.shared).try_acquire_owned().ok())
    }

    pub fn free(&self) -> usize {
        self.own.values().chain([&self.shared]).map(|places| places.available_permits()).sum()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const HOG: Digest = Digest([1; 32]);
    const MODEST: Digest = Digest([2; 32]);

    #[tokio::test]
    async fn a_model_that_takes_all_that_it_can_leaves_the_others_their_part() {
        let shares = Shares::new(8, [HOG, MODEST].iter());
        let taken: Vec<_> = std::iter::from_fn(|| shares.try_take(&HOG)).collect();
        assert_eq!((taken.len(), shares.free()), (6, 2));
        assert!(shares.take(&HOG).now_or_never().is_none(), "it waits for itself");
        let others: Vec<_> = std::iter::from_fn(|| shares.try_take(&MODEST)).collect();
        assert_eq!((others.len(), shares.free()), (2, 0));
        let mut waiting = std::pin::pin!(shares.take(&MODEST));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(taken);
        assert!(waiting.await.is_some(), "what is shared is its as well");
        drop(others);
        assert_eq!(shares.free(), 8);
    }

    #[test]
    fn one_model_has_all_places_and_too_few_are_shared() {
        for (places, models) in [(5, &[HOG][..]), (3, &[HOG, MODEST])] {
            let shares = Shares::new(places, models.iter());
            assert_eq!(std::iter::from_fn(|| shares.try_take(&HOG)).collect::<Vec<_>>().len(), places);
        }
    }
}
