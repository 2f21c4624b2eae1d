//! What memory this machine has, as its kernel tells it.

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What programs may take without others being put out of memory.
    pub available: u64,
}

impl Memory {
    /// `None` where the kernel does not say.
    pub fn of_machine() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn read(facts: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let said = facts.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"))?;
            said.trim().parse::<u64>().ok()?.checked_mul(1 << 10)
        };
        Some(Self { total: bytes("MemTotal:")?, available: bytes("MemAvailable:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read_and_nothing_else_is() {
        let facts = "MemTotal:       16384 kB\nMemFree:            7 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(Memory::read(facts), Some(Memory { total: 16 << 20, available: 8 << 20 }));
        for other in ["", "MemTotal: 1 kB", "MemTotal: many kB\nMemAvailable: 1 kB", "MemTotal: 1\nMemAvailable: 1"] {
            assert_eq!(Memory::read(other), None, "{other}");
        }
    }
}
