//! What is made of constants beside their numbers: once for the constants that it is made of, however many nodes share them.
//!
//! A form is known by its type and by the constants that it was made of, and is a function of these alone: who asked for it first changes nothing. Rules and
//! kernels keep theirs in one place, and ask the account for it (`loading`).

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::tensor::Tensor;

/// The forms that were made of a constant, alone or with others behind it; clones share them.
#[derive(Clone, Default)]
pub struct Derived(Arc<Mutex<BTreeMap<Key, Held>>>);

/// The type of a form, and where the other constants lie.
type Key = (TypeId, Vec<usize>);

struct Held {
    form: Arc<dyn Any + Send + Sync>,
    /// Kept with the form, so that no other constant ever lies where they do.
    _others: Vec<Arc<Tensor>>,
}

impl Derived {
    /// The form of that type of this constant and the others; made now where nobody has asked for it before.
    pub fn get<T: Any + Send + Sync>(&self, others: &[&Arc<Tensor>], make: impl FnOnce() -> T) -> Arc<T> {
        let Ok(form) = self.try_get(others, || Ok::<T, Infallible>(make()));
        form
    }

    /// The same of what may be refused, and is not kept then.
    pub fn try_get<T: Any + Send + Sync, E>(
        &self,
        others: &[&Arc<Tensor>],
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let key: Key = (TypeId::of::<T>(), others.iter().map(|&other| Arc::as_ptr(other).addr()).collect());
        if let Some(form) = self.held(&key) {
            return Ok(form);
        }
        // Not under the lock: what is made may need another form of the same constant.
        let made = Arc::new(make()?);
        let form: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&made);
        let others = others.iter().copied().map(Arc::clone).collect();
        self.forms().entry(key.clone()).or_insert(Held { form, _others: others });
        // Where two made it at once, both take the first.
        Ok(self.held(&key).unwrap_or(made))
    }

    fn held<T: Any + Send + Sync>(&self, key: &Key) -> Option<Arc<T>> {
        let form = Arc::clone(&self.forms().get(key)?.form);
        form.downcast().ok()
    }

    /// A map is whole after every step.
    fn forms(&self) -> MutexGuard<'_, BTreeMap<Key, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Derived")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Data;

    #[test]
    fn a_form_is_made_once_for_the_constants_that_it_is_made_of() {
        let constant = |value: i8| Arc::new(Tensor::of(&[1], Data::I8(vec![value])));
        let (derived, one, other) = (Derived::default(), constant(1), constant(1));
        let first = derived.get(&[], || 1_u32);
        assert!(Arc::ptr_eq(&first, &derived.clone().get::<u32>(&[], || unreachable!("it is there"))));
        // Another kind, and the same kind of other constants, are forms of their own.
        assert_eq!(*derived.get(&[], || 2_u64), 2);
        let [with_one, with_other] = [&one, &other].map(|with| derived.get(&[with], || 3_u32));
        assert!(!Arc::ptr_eq(&with_one, &with_other) && !Arc::ptr_eq(&with_one, &first));
        assert!(Arc::ptr_eq(&with_one, &derived.get::<u32>(&[&one], || unreachable!("it is there"))));
    }

    #[test]
    fn what_is_refused_is_not_kept_and_one_form_may_ask_for_another() {
        let derived = Derived::default();
        assert_eq!(derived.try_get(&[], || Err::<u32, _>("no")).unwrap_err(), "no");
        assert_eq!(*derived.get(&[], || *derived.get(&[], || 4_u64) as u32 + 1), 5);
    }
}
