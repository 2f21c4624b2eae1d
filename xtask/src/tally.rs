//! How many tests passed and failed, read from what the runners print.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

/// The counts of one runner, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    const ONE_FAILED: Self = Self { passed: 0, failed: 1 };
    const NONE: Self = Self { passed: 0, failed: 0 };

    /// A runner that failed without naming a failed test (its build broke, say) still counts as one failure.
    pub fn with_status(self, succeeded: bool) -> Self {
        if succeeded || self.failed > 0 { self } else { self + Self::ONE_FAILED }
    }

    /// The last summary that nextest printed: `Summary [0.1s] 5 tests run: 3 passed (1 slow), 2 failed, 0 skipped`.
    pub fn of_nextest(output: &str) -> Self {
        let plain = without_colours(output);
        let mut summaries = plain.lines().filter(|line| line.trim_start().starts_with("Summary ["));
        let Some((_, counts)) = summaries.next_back().and_then(|line| line.split_once("run: ")) else {
            return Self::NONE;
        };
        counts.split(", ").map(|part| Self::of_count(part.split(" (").next().unwrap_or(part))).sum()
    }

    /// Every summary that the standard runner printed: `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    pub fn of_libtest(output: &str) -> Self {
        let plain = without_colours(output);
        let summaries = plain.lines().filter_map(|line| line.strip_prefix("test result: "));
        let counts = summaries.filter_map(|line| line.split_once(". ")).flat_map(|(_, counts)| counts.split("; "));
        counts.map(Self::of_count).sum()
    }

    /// Python's own runner: `Ran 5 tests in 0.1s`, then `OK` or `FAILED (failures=1, errors=1)`. None if it did not run.
    pub fn of_unittest(output: &str) -> Option<Self> {
        let ran = output.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u64>().ok())?;
        let failures = output.lines().find_map(|line| line.strip_prefix("FAILED (")?.strip_suffix(')'));
        let failed = failures.map_or(0, |list| {
            let counts = list.split(", ").filter_map(|part| part.split_once('='));
            counts
                .filter(|(kind, _)| matches!(*kind, "failures" | "errors"))
                .filter_map(|(_, n)| n.parse::<u64>().ok())
                .sum()
        });
        Some(Self { passed: ran.saturating_sub(failed), failed })
    }

    /// One `5 passed`; what is neither passed nor skipped has failed, whatever the runner calls it.
    fn of_count(part: &str) -> Self {
        let Some((Ok(count), word)) = part.trim().split_once(' ').map(|(count, word)| (count.parse(), word)) else {
            return Self::NONE;
        };
        match word {
            "passed" => Self { passed: count, failed: 0 },
            "failed" | "timed out" | "exec failed" => Self { passed: 0, failed: count },
            _ => Self::NONE,
        }
    }
}

impl Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NONE, Add::add)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_counts_what_timed_out_as_failed() {
        let output = "    Summary [   1.2s] 9 tests run: 6 passed (1 slow), 2 failed, 1 timed out, 4 skipped\n";
        assert_eq!(Tally::of_nextest(output), Tally { passed: 6, failed: 3 });
    }

    #[test]
    fn nextest_colours_are_ignored() {
        let output = "\u{1b}[32m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(Tally::of_nextest(output), Tally { passed: 2, failed: 0 });
    }

    #[test]
    fn the_standard_runner_is_added_up_over_its_binaries() {
        let output = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                      test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(Tally::of_libtest(output), Tally { passed: 6, failed: 2 });
    }

    #[test]
    fn a_python_error_is_a_failure() {
        let output = "Ran 5 tests in 0.010s\n\nFAILED (failures=1, errors=1, skipped=2)\n";
        assert_eq!(Tally::of_unittest(output), Some(Tally { passed: 3, failed: 2 }));
        assert_eq!(Tally::of_unittest("Ran 1 test in 0.010s\n\nOK\n"), Some(Tally { passed: 1, failed: 0 }));
        assert_eq!(Tally::of_unittest("hello"), None);
    }

    #[test]
    fn a_build_that_broke_is_one_failure() {
        assert_eq!(Tally::of_nextest("error: could not compile").with_status(false), Tally::ONE_FAILED);
    }
}
