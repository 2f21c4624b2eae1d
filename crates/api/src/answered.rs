//! A whole answer with what vouches for it.

/// The receipt of an answer and what opens it.
pub struct Answered {
    pub receipt: protocol::SignedReceipt,
    pub opening: protocol::Opening,
    /// True where the caller asked for receipt and opening.
    pub include_opening: bool,
}
