//! The whole network on one seeded thread: validators with the real consensus and the real ledger, workers, a gateway,
//! auditors, and faults and lies between them.
//!
//! Who decides here is who decides in production: `worker::answer` and `Chain::sign` make receipts, `auditor::judge`
//! judges them, `validator::Node` takes transactions and votes, `verify` says what a stranger would. Only their edges
//! (sockets, disks, clocks) are stood in for. Reads no clock, no file and no randomness but the seed's, and iterates in
//! no hash order: equal scenarios give equal outcomes, bit for bit, and so a failure's seed is the failure.

mod actors;
mod cables;
mod draw;
mod network;
mod outcome;
mod scenario;
mod seats;
mod status;

pub use network::{SimulationError, run};
pub use outcome::{Outcome, Promise, Pulse, Transfer};
pub use scenario::{Auditing, Fault, Scenario, Status, Terms, VALIDATORS};
