//! Prices: the arithmetic is the protocol's, so that whoever reads a receipt counts as the gateway did.

use protocol::Assurance;
pub use protocol::price::{Money, Price, PriceError, Quote, Rate, Tariff, Unit, Usage};

/// What better assurance costs, in thousandths of the price: more nodes work, or one works longer.
pub static LEVELS: &[(Assurance, u32)] = &[
    (Assurance::Signed, 1_000),
    (Assurance::Attested, 1_100),
    (Assurance::Audited, 1_050),
    (Assurance::Quorum, 3_000),
    (Assurance::Proven, 50_000),
];

/// What a level costs, in thousandths of the price.
pub fn per_mille(level: Assurance) -> u32 {
    LEVELS.iter().find(|(known, _)| *known == level).map_or(1_000, |(_, per_mille)| *per_mille)
}

/// Whether nothing costs more by a price than by another. Prices in different units cannot be compared without a rate, which is not the payer's
/// to foresee.
pub fn is_at_most(price: &Price, most: &Price) -> bool {
    price.unit == most.unit
        && price.per_call <= most.per_call
        && price.per_input_token <= most.per_input_token
        && price.per_output_token <= most.per_output_token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_level_costs_more() {
        assert_eq!(per_mille(Assurance::Audited), 1_050);
        assert_eq!(per_mille(Assurance::Quorum), 3_000);
        assert_eq!(LEVELS.len(), Assurance::ALL.len());
    }
}
