//! Models whose publishers wrote down in the ledger's registry what they ask for, as far as that is known here; and when one of them became
//! dearer, because whoever opened a session before that has not agreed to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use payments::price::{Price, is_at_most};
use protocol::{Digest, Milliseconds};

/// A model with a price of its publisher's.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub price: Price,
    /// Id of its lineage in the books.
    pub lineage: Digest,
}

/// What is known of published models, by root.
#[derive(Default)]
pub struct PublishedModels(Mutex<Known>);

#[derive(Default)]
struct Known {
    models: BTreeMap<Digest, Published>,
    /// Those that their publishers offer no more.
    retired: BTreeSet<Digest>,
    /// When a price came in the place of one that is not known to have been as high.
    risen_at_ms: BTreeMap<Digest, Milliseconds>,
}

impl PublishedModels {
    pub fn of(&self, root: &Digest) -> Option<Published> {
        self.lock().models.get(root).copied()
    }

    pub fn is_retired(&self, root: &Digest) -> bool {
        self.lock().retired.contains(root)
    }

    /// Whether its publisher offers it no more.
    pub fn set_retired(&self, root: &Digest, is_retired: bool) {
        let mut known = self.lock();
        if is_retired {
            known.retired.insert(*root)
        } else {
            known.retired.remove(root)
        };
    }

    /// When a model became dearer the last time; `None` where it never did.
    pub fn risen_at_ms(&self, root: &Digest) -> Option<Milliseconds> {
        self.lock().risen_at_ms.get(root).copied()
    }

    pub fn put(&self, root: Digest, published: Published, now_ms: Milliseconds) {
        let mut known = self.lock();
        let before = known.models.insert(root, published);
        if before.is_none_or(|before| !is_at_most(&published.price, &before.price)) {
            known.risen_at_ms.insert(root, now_ms);
        }
    }

    /// From then on it has the price that is configured, which may be any.
    pub fn forget(&self, root: &Digest, now_ms: Milliseconds) {
        let mut known = self.lock();
        if known.models.remove(root).is_some() {
            known.risen_at_ms.insert(*root, now_ms);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Whole after every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use payments::price::Unit;

    use super::*;

    #[test]
    fn a_price_has_risen_where_it_is_not_known_to_have_been_as_high() {
        let (models, root) = (PublishedModels::default(), Digest([1; 32]));
        let price =
            |unit, per_call| Published { price: Price { unit, per_call, ..Price::FREE }, lineage: Digest::ZERO };
        models.forget(&root, 1);
        assert_eq!(models.risen_at_ms(&root), None, "nobody published it");
        for (now_ms, published, risen_at_ms) in [
            // What was configured before is not known here.
            (2, price(Unit::Opg, 5), 2),
            (3, price(Unit::Opg, 5), 2),
            (4, price(Unit::Opg, 4), 2),
            (5, price(Unit::Opg, 5), 5),
            (6, price(Unit::Usd, 1), 6),
        ] {
            models.put(root, published, now_ms);
            assert_eq!(models.risen_at_ms(&root), Some(risen_at_ms), "{now_ms}");
        }
        models.forget(&root, 7);
        models.forget(&root, 8);
        assert_eq!((models.of(&root).is_none(), models.risen_at_ms(&root)), (true, Some(7)));
    }
}
