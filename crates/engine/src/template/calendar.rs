//! What templates show of the time, in UTC.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The conversions that chat templates use; others stand as they are.
pub(super) fn strftime(format: &str, time_ms: u64) -> String {
    let (days, seconds) = (time_ms / 86_400_000, time_ms / 1000 % 86_400);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], index: u64| names.get(index as usize).copied().unwrap_or_default();
    let (month_name, day_name) = (name(&MONTHS, month - 1), name(&DAYS, days % 7));
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('Y') => text.push_str(&year.to_string()),
            Some('m') => text.push_str(&format!("{month:02}")),
            Some('d') => text.push_str(&format!("{day:02}")),
            Some('H') => text.push_str(&format!("{:02}", seconds / 3600)),
            Some('M') => text.push_str(&format!("{:02}", seconds / 60 % 60)),
            Some('S') => text.push_str(&format!("{:02}", seconds % 60)),
            Some('B') => text.push_str(month_name),
            Some('b') => text.push_str(month_name.get(..3).unwrap_or_default()),
            Some('A') => text.push_str(day_name),
            Some('a') => text.push_str(day_name.get(..3).unwrap_or_default()),
            Some('y') => text.push_str(&format!("{:02}", year % 100)),
            Some('F') => text.push_str(&format!("{year}-{month:02}-{day:02}")),
            Some('e') => text.push_str(&format!("{day:2}")),
            Some('I') => text.push_str(&format!("{:02}", (seconds / 3600 + 11) % 12 + 1)),
            Some('p') => text.push_str(if seconds < 43_200 { "AM" } else { "PM" }),
            Some('%') | None => text.push('%'),
            Some(other) => text.extend(['%', other]),
        }
    }
    text
}

/// Year, month and day of a number of days since 1970-01-01 (the proleptic Gregorian calendar, in eras of 400 years).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_as_a_calendar_does() {
        let cases = [
            (0, "1970-01-01 Thu"),
            (951_782_400_000, "2000-02-29 Tue"),
            (1_732_147_200_000, "2024-11-21 Thu"),
            (4_102_444_799_000, "2099-12-31 Thu"),
        ];
        for (time_ms, expected) in cases {
            assert_eq!(strftime("%Y-%m-%d %a", time_ms), expected);
        }
        assert_eq!(strftime("%d %B, %H:%M:%S 100%% %q", 86_399_000), "01 January, 23:59:59 100% %q");
        assert_eq!(strftime("%F %e %y %I %p", 43_200_000), "1970-01-01  1 70 12 PM");
    }
}
