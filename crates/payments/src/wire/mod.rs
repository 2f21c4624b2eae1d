//! x402 on the wire: headers, offers, payments, outcomes; version 2, and version 1 read.

pub mod extension;
pub mod header;
pub mod json;
mod network;
mod payload;
mod response;
mod terms;

pub use json::WireError;
pub use network::Network;
pub use payload::{
    Accepted, PaymentPayload, PermitAuthorization, PermittedTransfer, SIGNATURE_BYTES_MAX, TransferAuthorization,
};
pub use response::{SettleResponse, VerifyResponse};
pub use terms::{LEGACY_VERSION, PaymentRequired, Requirements, Resource, VERSION};
