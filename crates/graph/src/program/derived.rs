//! What an operator keeps with a node between runs, or with all nodes that make the same of the same constants.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::problem::Problem;

/// What an operator makes once, at its first run, of a node's attributes, or of constants alone (`loading`); no part of the node's meaning.
#[derive(Default)]
pub struct Derived(Arc<OnceLock<Arc<dyn Any + Send + Sync>>>);

impl Derived {
    /// What was made before, or is made now.
    pub fn get<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Result<T, Problem>) -> Result<Arc<T>, Problem> {
        let held = match self.0.get() {
            Some(held) => held.clone(),
            None => {
                let made: Arc<dyn Any + Send + Sync> = Arc::new(make()?);
                self.0.get_or_init(|| made).clone()
            }
        };
        held.downcast().map_err(|_| Problem::Excluded)
    }

    /// The same place, for another node that makes the same.
    pub(super) fn shared(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A copy of a node may be given other attributes, and begins with nothing.
impl Clone for Derived {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Derived")
    }
}
