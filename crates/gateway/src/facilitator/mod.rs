//! The facilitator: `/verify`, `/settle`, `/supported` and `/discovery/resources` for servers that take payments (`specs/payments.md`).
//!
//! What is good is decided in `payments`, by the checks of this gateway's own desk; here are the connections. An errand is durable before
//! its transaction leaves; after a crash the same transaction is sent again. Another one for the same payment leaves only under the same
//! number, at a higher price, so that its chain takes one of them.

mod booth;
mod http;
mod owner;
mod start;

pub use booth::{Booth, FacilitatorPace};
pub use http::routes;
pub use start::look_after;
pub use start::{Facilitator, FacilitatorConfig, FacilitatorError};
