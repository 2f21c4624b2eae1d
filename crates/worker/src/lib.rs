//! Serves models and signs a receipt for every answer.
//!
//! `answer` and `chain` are pure: what a worker says is a function of the request, the model and its last receipt.
//! The rest is the edge: sockets, disk, clock. An answer's last frame leaves only after its receipt is durable.

mod adversary;
mod answer;
mod chain;
mod evidence;
mod jobs;
mod registry;
mod service;

pub use adversary::Adversary;
pub use answer::{Answer, answer};
pub use chain::{Chain, Salts, Terms};
pub use service::{Config, Worker, WorkerError};
