//! Everything random of a run, drawn from its seed by name: what is drawn first or last changes nothing else.

use crypto::{Digest, hash};

/// The number `index` of what is called `what`, for one seed.
pub(crate) fn draw(seed: u64, what: &str, index: u64) -> Digest {
    hash("og/sim/draw/v1", &[&seed.to_be_bytes(), what.as_bytes(), &index.to_be_bytes()])
}

/// A drawn number below `bound`; zero where there is none below it.
pub(crate) fn below(seed: u64, what: &str, index: u64, bound: u64) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = draw(seed, what, index).0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).checked_rem(bound).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_name_and_number_and_on_nothing_else() {
        assert_eq!(draw(1, "salt", 0), draw(1, "salt", 0));
        let others = [draw(2, "salt", 0), draw(1, "fault", 0), draw(1, "salt", 1)];
        assert!(others.iter().all(|other| *other != draw(1, "salt", 0)));
        assert!((0..100).all(|index| below(1, "salt", index, 7) < 7));
        assert_eq!(below(1, "salt", 0, 0), 0);
    }
}
