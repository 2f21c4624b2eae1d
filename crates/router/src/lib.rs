//! Chooses a worker for a request: a pure function.
