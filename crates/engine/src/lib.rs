//! Runs exact graphs fast, with the bits that the graph defines.
//!
//! No kernel's result depends on the CPU, the number of threads, the cut into chunks or what else runs in the batch;
//! tests hold each against the reference evaluator. Opens no file and no socket, reads no clock.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

pub mod cpu;
pub mod dot;
pub mod kernel;
pub mod ops;
pub mod plan;
