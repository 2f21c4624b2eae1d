//! Models by content: kept, served, fetched, checked against their root.
//!
//! Nothing is believed because a hub said it: whoever fetches an artefact recomputes its root before using it.

mod models;
mod service;
mod shelf;

pub use models::{Models, ModelsError};
pub use service::{Config, Hub, HubError};
pub use shelf::{ARTEFACT_BYTES_MAX, Entry, Shelf, ShelfError};
