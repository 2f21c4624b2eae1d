//! What a call costs, in which asset, and who is paid of it.

mod feed;
mod quote;

use alloy_primitives::Address;

pub use feed::{Feed, FeedError, Lives};
/// Whom an amount belongs to.
pub use protocol::EvmAddress as Holder;
pub use protocol::{
    lineage::{Earners, Lineage, LineageError, MODELS_MAX, Parent, Payee},
    share::{Holders, MILLION, PARTS_MAX, Part, Parts, Portion, Share, Split, SplitError},
};
pub use quote::{LEVELS, Money, Price, PriceError, Quote, Rate, Tariff, Unit, Usage, is_at_most, per_mille};

/// The holder at an address.
pub const fn holder(address: Address) -> Holder {
    Holder(address.into_array())
}

/// The address of a holder.
pub fn address(holder: &Holder) -> Address {
    Address::from(holder.0)
}
