//! A whole answer with what vouches for it.

/// The receipt of an answer and what opens it.
pub struct Answered {
    pub receipt: protocol::SignedReceipt,
    pub opening: protocol::Opening,
    /// True where the caller asked for receipt and opening.
    pub include_opening: bool,
    /// What the answer cost, where it was paid for.
    pub payment: Option<Box<Paid>>,
}

/// The exact charge of a call, in base units as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Paid {
    pub scheme: &'static str,
    pub network: String,
    pub asset: String,
    pub payer: String,
    pub charged: String,
    /// The most that it could have been.
    pub max: String,
    /// The same in OPG.
    pub charged_opg: String,
}
