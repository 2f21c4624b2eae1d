//! JSON-RPC 2.0 as Ethereum's clients speak it (`specs/rpc.md`): one POST route and one WebSocket on the same path.
//!
//! A file per group of methods and one table. Everything foreign is bounded: bodies, batches, ranges, results, filters, subscriptions,
//! what waits for a slow reader; of what all share, nobody has everything, and places to compute are given in turns. Knows one chain, through
//! `ChainNode`, and none of its insides; holds no keys and signs nothing.

mod answer;
mod blocks;
mod candidates;
mod dispatch;
mod error;
mod faces;
mod filters;
mod limits;
mod methods;
mod node;
mod params;
mod party;
mod server;
mod shares;
mod socket;
mod state;
mod turns;

pub use error::RpcError;
pub use limits::Limits;
pub use node::{ChainNode, Event, FinalHeader, Hash, LogKey, NodeError, Place, State, SubmitError, Syncing};
pub use server::Server;
