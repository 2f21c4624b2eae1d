//! What memory this machine has, as its kernel tells it.

/// In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What programs may take without others being put out of memory.
    pub available: u64,
}

impl Memory {
    /// `None` where the kernel does not say. In a container, what that has (cgroup v2, as it shows at its own root).
    pub fn of_machine() -> Option<Self> {
        let text = |path: &str| std::fs::read_to_string(path).ok();
        let machine = Self::read(&text("/proc/meminfo")?)?;
        Some(machine.within(text("/sys/fs/cgroup/memory.max"), text("/sys/fs/cgroup/memory.current")))
    }

    /// No more than a group of processes may have, if its kernel says a number; some of which it has taken.
    fn within(self, most: Option<String>, taken: Option<String>) -> Self {
        let bytes = |text: Option<String>| text?.trim().parse::<u64>().ok();
        let Some(most) = bytes(most) else { return self };
        let left = most.saturating_sub(bytes(taken).unwrap_or(0));
        Self { total: self.total.min(most), available: self.available.min(left) }
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

    #[test]
    fn a_container_has_what_it_may_have_and_no_more_than_its_machine() {
        let machine = Memory { total: 16 << 20, available: 8 << 20 };
        let said = |text: &str| Some(text.to_owned());
        for (most, taken, total, available) in [
            (None, None, 16 << 20, 8 << 20),
            (said("max\n"), said("7\n"), 16 << 20, 8 << 20),
            (said("4194304\n"), said("1048576\n"), 4 << 20, 3 << 20),
            (said("4194304\n"), None, 4 << 20, 4 << 20),
            (said("1048576\n"), said("4194304\n"), 1 << 20, 0),
            (said("1099511627776\n"), said("0\n"), 16 << 20, 8 << 20),
        ] {
            assert_eq!(machine.within(most.clone(), taken), Memory { total, available }, "{most:?}");
        }
    }
}
