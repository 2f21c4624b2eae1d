//! What is said of how much a worker serves at a time.

use clap::Args;

/// Connections of a worker, each of which may hold a job.
const PLACES_MOST: i64 = 256;
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

// No doc comment: it would take the place of the command's own.
#[derive(Args, Clone, Copy, Default)]
pub struct Capacity {
    /// Memory for the keys and values of each language model's texts, as in 8GiB. Without it, a quarter of what this machine has free,
    /// divided among a worker's models, but at least 256MiB. No answer depends on it; texts that have no room are refused.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub cache_memory: Option<u64>,
    /// Jobs of a worker that run at the same time, and as many texts of each of its models; without it, 16, or two for each model. No
    /// answer depends on it.
    #[arg(long, value_name = "JOBS", value_parser = clap::value_parser!(u16).range(1..=PLACES_MOST))]
    pub places: Option<u16>,
}

/// A number of bytes, or of one of the units that computers count in.
fn bytes(said: &str) -> Result<u64, String> {
    let refused = || format!("{said:?} is no size above zero, expected one as in 512MiB or 8GiB, or a number of bytes");
    let unit = UNITS.iter().find_map(|(unit, bits)| Some((said.strip_suffix(unit)?, *bits)));
    let (number, bits) = unit.unwrap_or((said, 0));
    let number = number.trim_end().parse::<u64>().map_err(|_| refused())?;
    number.checked_mul(1 << bits).filter(|bytes| *bytes > 0).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (said, expected) in
            [("1", 1), ("8GiB", 8 << 30), ("512 MiB", 512 << 20), ("3KiB", 3 << 10), ("2TiB", 2 << 40)]
        {
            assert_eq!(bytes(said), Ok(expected), "{said}");
        }
        for said in ["", "0", "0GiB", "GiB", "8GB", "8gib", "-1", "1.5GiB", "99999999TiB"] {
            assert!(bytes(said).unwrap_err().contains("8GiB"), "{said}");
        }
    }
}
