//! Every noun on the wire: its canonical bytes, its digest, its limits.
//!
//! One noun has one encoding: decoding and encoding again gives the same bytes, trailing bytes are refused, and no
//! length is believed before it is checked against its limit. Knows no serde, no clock, no I/O.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::panic,
        clippy::expect_used,
        clippy::unwrap_used,
        clippy::wildcard_enum_match_arm
    )
)]

mod bounded;
mod canonical;
mod nouns;
mod rotation;
mod scalars;
mod value;

pub mod account;
pub mod allocation;
pub mod bundle;
pub mod epoch;
pub mod lineage;
pub mod payment;
pub mod price;
pub mod receipt;
pub mod refund;
pub mod registry;
pub mod request;
pub mod service;
pub mod settled;
pub mod settlement;
pub mod share;
pub mod short_bundle;
pub mod transaction;

pub use account::{AccountProof, EvmAccount, EvmRecord, EvmWord, SlotProof};
pub use allocation::AllocationRecord;
pub use bounded::{Bytes, List, Text, TooLong};
pub use bundle::{Bundle, Trust};
pub use canonical::{Canonical, DecodeError, Noun, Reader, Version};
pub use epoch::{Certificate, EpochRecord};
pub use lineage::{Earners, Lineage};
pub use payment::{Paid, Payer, Payment, ShownPayer, Terms};
pub use price::{Quote, Tariff, Usage};
pub use receipt::{Opening, Receipt, SignedReceipt};
pub use refund::{PayerProof, refund_account};
pub use registry::{DuesRecord, KeyRecord, ModelRecord, NodeRecord, ReceiptStatus, Role, ShareRecord, Standing};
pub use request::{
    Assurance, Chat, Constraint, Element, Finish, Input, Message, Output, Parameters, Privacy, Prompt, Request,
    Speaker, Tensor, Tool, ToolCall,
};
pub use rotation::{NetworkKeys, ROTATIONS_MAX, ROTATIONS_USUAL, RotationRefused, rotation_namespace};
pub use settlement::{
    Beneficiary, BridgeRecord, Burn, CertifiedRotation, EvmAddress, KeyRotation, Payout, PayoutKind, SettlementRecord,
};
pub use short_bundle::{ShortBundle, UnfitPath, WrittenBundle};
pub use transaction::{Action, SignedTransaction, Transaction};
pub use value::{Value, ValueError};

pub use crypto::{Digest, PublicKey, Signature, threshold::GroupKey};

/// Identity of a node: the digest of its first key, unchanged when keys rotate.
pub type NodeId = Digest;
/// Milliseconds since the Unix epoch.
pub type Milliseconds = u64;
/// Base units of OPG: 10^18 make one OPG.
pub type Amount = u128;
