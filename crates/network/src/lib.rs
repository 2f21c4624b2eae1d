//! HTTP between nodes (`specs/interfaces.md`): a bounded server, a bounded client, frames on a stream; and processes of a node's own.
//!
//! Every body has a limit that is checked before it is read; every wait has an end. Knows no node's duties.

mod agreed;
mod client;
mod clock;
mod error;
mod frames;
mod holding;
mod json_rpc;
mod ledger_client;
mod machine;
mod origins;
mod patient;
mod places;
pub mod process;
mod server;
mod transport;

pub use agreed::faults;
pub use axum;
pub use bytes::Bytes;
pub use client::{Answer, Client, Frames, Pieces};
pub use clock::{date, now_ms};
pub use error::{NetworkError, Refusal};
pub use frames::{FRAME_BYTES_MAX, frame_bytes};
pub use holding::holding;
pub use json_rpc::{JsonRpc, RpcError, quantity};
pub use ledger_client::{
    AccountView, CHALLENGES_A_PAGE, LedgerClient, MODELS_A_PAGE, Progress, ReceiptIds, SHARES_A_PAGE, Sender,
    Whereabouts,
};
pub use machine::Memory;
pub use origins::{OriginError, Origins};
pub use server::{Encoded, Limits, Noun, Peer, Server, nouns};
