//! The ledger: what finalized blocks do to accounts, contracts, nodes, models, receipts and challenges (`specs/ledger.md`).
//!
//! A pure state machine. Reads no clock, no disk, no randomness: block times are arguments, and two ledgers that
//! executed the same blocks have the same roots. No transaction makes it panic, and none moves money into being.
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

mod actions;
mod allocation;
mod archive;
mod arriving;
mod base;
mod bundle;
mod close;
mod closed;
mod committee;
mod content;
mod credit;
mod duty;
mod epochs;
mod event;
mod evm_content;
mod executed;
mod follow;
mod genesis;
mod kept;
mod late;
mod leaf;
mod ledger;
mod ordered;
mod present;
mod purse;
mod records;
mod refunds;
mod refusal;
mod rotation;
mod rules;
mod seated;
mod settle;
mod settled;
mod shares;
mod sight;
mod snapshot;
mod state;
mod statuses;
mod table;
mod trusted;
mod verdict;
mod views;
mod work;

pub use actions::{COMMISSION_MAX, COMMISSION_STEP};
pub use allocation::GenesisAllocation;
pub use archive::RECENT_EPOCHS;
pub use arriving::{Arrival, ArrivingEpoch, group_rows};
pub use base::{Base, Cache, EPOCHS, PIECES, ROW_PAGES, SEQUENCES, TABLES};
pub use bundle::{BundleError, Bundled, Certified, CertifiedEvm};
pub use content::RestoreError;
pub use epochs::EPOCHS_A_GROUP;
pub use event::{Event, Offence};
pub use executed::{Executed, Outcome};
pub use genesis::{Genesis, GenesisAccount, GenesisError, GenesisModel, GenesisNode, GenesisParameter, GenesisWallet};
pub use kept::{Ahead, Kept};
pub use leaf::{Leaf, PAGE_BYTES_MAX};
pub use ledger::{BeginError, Block, Heading, Ledger, NONCE_WINDOW};
pub use ordered::{Checked, Kind, Native, Ordered, TRANSACTION_BYTES_MAX};
pub use purse::{Head, LOCKED, STAKING, address_of};
pub use records::{
    AccountRecord, AuditRecord, Ballot, BurnRecord, ChallengeRecord, CreditRecord, EquivocationRecord, HomeRecord,
    ListedNode, NamedKeyRecord, NetworkRecord, SeatRecord,
};
pub use refusal::Refusal;
pub use rules::{MILLION, NewRules, OPG, Rules, WORK_RATE};
pub use seated::NamedSeat;
pub use settle::{BRIDGE, PAYOUTS_MAX, PayoutCause};
pub use sight::{Accounts, ChallengeSight, EpochSight, OpenSight, ReceiptSight, Sight};
pub use snapshot::{Snapshot, told_epochs};
pub use trusted::{FirstTrust, GenesisMeasurement, GenesisTrust, TrustError};
pub use views::Account;
pub use work::{Begun, Ran, surroundings};
