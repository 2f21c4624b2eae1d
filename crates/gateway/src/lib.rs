//! The front door: takes a client's request, has it served, hands back answer and receipt.
//!
//! Believes no worker: what it streamed, what the worker signed and what the opening says must be one and the same, or
//! the answer is not acknowledged. Acknowledges nothing before the receipt is durable in its outbox, and sends what is
//! there until the ledger has anchored it. Keeps no global state: several can live in one process.
#![forbid(unsafe_code)]

mod aside;
mod bounds;
mod checks;
mod contexts;
mod counter;
mod counting;
mod credit;
mod delivery;
mod directory;
mod facilitator;
mod fair;
mod gateway;
mod http;
mod kept;
mod metrics;
mod outbox;
mod pace;
mod payment;
mod penalties;
mod places;
mod posting;
mod prepare;
mod proven;
mod public_url;
mod question;
mod seats;
mod shared;
mod stages;
mod vocabulary;
mod waiting;
mod waits;
mod window;
mod worker_error;

pub use counter::serve;
pub use facilitator::{Facilitator, FacilitatorConfig, FacilitatorError, FacilitatorPace};
pub use gateway::{Config, Gateway, GatewayError};
pub use http::{RevenueQuestion, SignedRevenueQuestion};
pub use network::process::Program;
pub use pace::Pace;
pub use payment::{DeskError, LedgerSource, PaidChain, Payments, Prices, fee_max};
pub use public_url::{PublicUrl, PublicUrlError};
