//! What an operator keeps with a node between runs.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use super::problem::Problem;

/// What an operator makes of a node's attributes once, at its first run; no part of the node's meaning.
#[derive(Default)]
pub struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

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
}

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
