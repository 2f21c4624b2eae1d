//! Models by content: published, fetched, checked against their root.
