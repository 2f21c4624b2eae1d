//! What a facilitator does for servers that take payments: tell whether one is good, and settle it, once.
//!
//! The checks are those of the schemes, made against an offer that is built from what the server asks for ([`Asked::offer`]): there is no
//! second verification. What is settled is an *errand*: written down with its signed transaction before that is sent, so that a crash can
//! neither lose nor double it; what no block takes is sent again at a higher price under its own number, so that its chain takes one of
//! the two. A facilitator adds no consent of its own: it signs no claim and no refund (their receiver does), and a smaller amount than the
//! signed cap of `upto` is taken only from the receiver itself, who shows a token. Holds nobody's money.

mod asked;
mod errand;
mod ledger;
mod listed;
mod merchant;
mod pace;
mod work;

pub use asked::{Asked, Known};
pub use errand::{
    ErrandEnd, ErrandEntry, ErrandRecord, ErrandRepriced, ErrandState, Listed, RAW_BYTES_MAX, URL_BYTES_MAX,
};
pub use ledger::{ErrandBook, Errands, Found, KEPT_MAX, LISTED_A_HOST, LISTED_MAX};
pub use listed::{LISTED_AGAIN_MS, LISTED_FOR_MS, address_to_list, is_its_own, listing, method_of};
pub use merchant::{Merchant, MerchantToken, Merchants};
pub use pace::{Bucket, Buckets};
pub use work::{Good, LINES_MAX, Work};
