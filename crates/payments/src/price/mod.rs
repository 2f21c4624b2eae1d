//! What a call costs, in which asset, and who is paid of it.

mod feed;
mod lineage;
mod quote;
mod split;

pub use feed::{Feed, FeedError};
pub use lineage::{Earners, Lineage, LineageError, MODELS_MAX, Parent, Payee};
pub use quote::{LEVELS, Money, Price, PriceError, Quote, Rate, Tariff, Unit, Usage, per_mille};
pub use split::{Holder, MILLION, PARTS_MAX, Part, Portion, Share, Split, SplitError};
