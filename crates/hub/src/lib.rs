//! Models by content: kept, served, fetched, checked against their root.
//!
//! Nothing is believed because a hub said it: whoever fetches an artefact recomputes its root before using it.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod models;
mod service;
mod shelf;

pub use models::{Models, ModelsError};
pub use service::{Config, Hub, HubError};
pub use shelf::{ARTEFACT_BYTES_MAX, Entry, Shelf, ShelfError};
