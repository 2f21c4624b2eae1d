//! What a wallet signs: typed data by EIP-712, and whose key made a signature.

pub mod approval;
pub mod channel;
pub mod permit2;
pub mod promise;
mod recover;
pub mod session;
pub mod transfer;
mod typed;

pub use recover::{SignatureError, SignerKey, recover};
pub use typed::{Domain, Words, digest};
