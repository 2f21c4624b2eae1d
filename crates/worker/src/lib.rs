//! Serves models and signs a receipt for every answer.
//!
//! `answer` and `chain` are pure: what a worker says is a function of the request, the model and its last receipt.
//! The rest is the edge: sockets, disk, clock. An answer's last frame leaves only after its receipt is durable. Never
//! signs what it could not open on the ledger, and never waits for ever for whoever reads.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod adversary;
mod answer;
mod chain;
mod compiling;
mod config;
mod defence;
mod evidence;
mod following;
mod jobs;
mod lifetime;
mod loading;
mod memory;
mod openings;
mod prompting;
mod rate;
mod reader;
mod registry;
mod served;
mod service;
mod shares;

pub use adversary::Adversary;
pub use answer::{Answer, answer};
pub use chain::{Chain, Salts, Terms};
pub use config::{Config, WorkerError};
pub use lifetime::Lifetime;
pub use memory::cache_bytes;
pub use network::process::Program;
pub use prompting::{PromptingError, serve};
pub use service::Worker;
