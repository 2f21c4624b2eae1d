//! Digests, signatures and authenticated trees: the small code that everyone who verifies runs.
