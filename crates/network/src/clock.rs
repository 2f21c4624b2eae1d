//! The machine's clock in the protocol's unit, for stamping and judging messages, and days as people write them; nothing that is executed
//! reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Milliseconds;

/// Milliseconds since the Unix epoch; zero on a machine whose clock stands before it.
pub fn now_ms() -> Milliseconds {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Milliseconds::try_from(elapsed.as_millis()).unwrap_or(Milliseconds::MAX)
}

/// A day since the Unix epoch as people write it: years of 146,097 days a four centuries, counted from a March.
pub fn date(day: u64) -> String {
    let shifted = day.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_told_as_dates() {
        let cases = [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_833, "2027-01-15"),
            (20_787, "2026-11-30"),
        ];
        for (day, told) in cases {
            assert_eq!(date(day), told);
        }
    }
}
