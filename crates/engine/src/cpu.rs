//! What the CPU can do, found out once at run time. Every level gives the same bits; tests hold each against the oracle.

/// A set of instructions that the CPU at hand has. Only detection makes one, so kernels may rely on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Level(Instructions);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Instructions {
    Portable,
    /// AVX2, FMA, F16C.
    Avx2,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
    /// These and the tiles of AMX with bytes; this process may use them.
    Amx,
}

impl Level {
    pub const PORTABLE: Self = Self(Instructions::Portable);

    /// The best level of this CPU.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::PORTABLE)
    }

    /// All levels of this CPU, the best last.
    pub fn available() -> Vec<Self> {
        let mut levels = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            if avx2 {
                levels.push(Self(Instructions::Avx2));
            }
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                levels.push(Self(Instructions::Avx512));
                if amx::permitted() {
                    levels.push(Self(Instructions::Amx));
                }
            }
        }
        levels
    }

    /// The level of that name where this CPU has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|level| level.name() == name)
    }

    pub(crate) fn instructions(self) -> Instructions {
        self.0
    }

    /// The vectors of this level, for kernels that have no use for tiles.
    pub(crate) fn vectors(self) -> Instructions {
        match self.instructions() {
            Instructions::Amx => Instructions::Avx512,
            other => other,
        }
    }

    /// For a line of a report.
    pub fn name(self) -> &'static str {
        match self.0 {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512-vnni",
            Instructions::Amx => "amx",
        }
    }
}

/// Whether the tiles are there and the system lets this process use them.
#[cfg(target_arch = "x86_64")]
mod amx {
    use std::{
        arch::x86_64::{__cpuid, __cpuid_count},
        sync::OnceLock,
    };

    /// In the extended state: tile configuration and tile data.
    const TILE_STATE: u64 = 3 << 17;

    pub fn permitted() -> bool {
        static PERMITTED: OnceLock<bool> = OnceLock::new();
        *PERMITTED.get_or_init(|| present() && state_enabled() && request())
    }

    /// AMX-TILE and AMX-INT8.
    fn present() -> bool {
        const BITS: u32 = 1 << 24 | 1 << 25;
        __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BITS == BITS
    }

    fn state_enabled() -> bool {
        // Bit 27: the system has enabled XGETBV.
        if __cpuid(1).ecx >> 27 & 1 == 0 {
            return false;
        }
        // SAFETY: the system has enabled the instruction.
        let enabled = unsafe { extended_control() };
        enabled & TILE_STATE == TILE_STATE
    }

    /// # Safety
    /// XGETBV is enabled.
    #[target_feature(enable = "xsave")]
    unsafe fn extended_control() -> u64 {
        // SAFETY: as the caller promises.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }

    /// Linux gives a process the tiles' data when it asks; threads started before and after have it too.
    #[cfg(target_os = "linux")]
    fn request() -> bool {
        const ARCH_PRCTL: usize = 158;
        const REQUEST_PERMISSION: usize = 0x1023;
        const TILE_DATA: usize = 18;
        let outcome: isize;
        // SAFETY: this call reads and writes no memory of ours; it clobbers what is named.
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => outcome,
                in("rdi") REQUEST_PERMISSION,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        outcome == 0
    }

    #[cfg(not(target_os = "linux"))]
    fn request() -> bool {
        false
    }
}

/// Builds one plain function three times, for each level, and calls the one that `level` allows. Rust neither fuses
/// nor reorders float operations, so the three have the same bits.
macro_rules! versions {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "the level comes on top of what the function needs")]
        $visible fn $name(level: $crate::cpu::Level, $($argument: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn portable($($argument: $kind),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($argument: $kind),*) $(-> $result)? { portable($($argument),*) }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
                fn avx512($($argument: $kind),*) $(-> $result)? { portable($($argument),*) }
                match level.vectors() {
                    $crate::cpu::Instructions::Portable => portable($($argument),*),
                    // SAFETY: only detection of these very features makes the level.
                    $crate::cpu::Instructions::Avx2 => unsafe { avx2($($argument),*) },
                    // SAFETY: as above.
                    $crate::cpu::Instructions::Avx512 | $crate::cpu::Instructions::Amx => unsafe {
                        avx512($($argument),*)
                    },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = level;
                portable($($argument),*)
            }
        }
    };
}
pub(crate) use versions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_and_each_is_found_by_its_name() {
        let levels = Level::available();
        assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(levels[0], Level::PORTABLE);
        assert!(levels.iter().all(|&level| Level::named(level.name()) == Some(level)));
        assert_eq!(Level::named("abacus"), None);
    }
}
