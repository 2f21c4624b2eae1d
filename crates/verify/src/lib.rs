//! Bundle in, verdict or refusal out: offline, deterministic, trusting only what is pinned.
