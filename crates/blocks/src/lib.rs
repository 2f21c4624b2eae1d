//! Executed blocks and waiting transactions, as whoever serves a chain needs them (`specs/rpc.md`).
//!
//! The newest blocks are in memory with their states, older ones in an index on disk, beside what they overwrote: from that come older
//! states. What waits is in a pool with Ethereum's rules. `Served` answers JSON-RPC from them. Makes no block, orders nothing and decides nothing about the chain: that is left
//! to a `Source`, of which there are two: a devchain that makes blocks itself, and a validator that executes what was agreed on.

mod index;
mod live;
mod pool;
mod served;
mod state_file;
mod undo;
mod view;
pub mod waiting;

pub use index::{Index, NativeOutcome};
pub use live::{Held, Keep, Live, Recent};
pub use pool::{Pool, PoolLimits, Promised, Room};
pub use served::{Served, Source};
pub use state_file::{StateFile, StateFileError, change};
pub use undo::{Step, Undos};
pub use view::View;
