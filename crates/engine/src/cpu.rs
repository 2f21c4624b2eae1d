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
            }
        }
        levels
    }

    pub(crate) fn instructions(self) -> Instructions {
        self.0
    }

    /// For a line of a report.
    pub fn name(self) -> &'static str {
        match self.0 {
            Instructions::Portable => "portable",
            Instructions::Avx2 => "avx2",
            Instructions::Avx512 => "avx512-vnni",
        }
    }
}

/// Builds one plain function three times, for each level, and calls the one that `level` allows. Rust neither fuses
/// nor reorders float operations, so the three have the same bits.
macro_rules! versions {
    ($(#[$doc:meta])* $visible:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "the level comes on top of what the function needs")]
        $visible fn $name(level: $crate::cpu::Level, $($argument: $kind),*) {
            #[inline(always)]
            fn portable($($argument: $kind),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                fn avx2($($argument: $kind),*) { portable($($argument),*) }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
                fn avx512($($argument: $kind),*) { portable($($argument),*) }
                match level.instructions() {
                    $crate::cpu::Instructions::Portable => portable($($argument),*),
                    // SAFETY: only detection of these very features makes the level.
                    $crate::cpu::Instructions::Avx2 => unsafe { avx2($($argument),*) },
                    // SAFETY: as above.
                    $crate::cpu::Instructions::Avx512 => unsafe { avx512($($argument),*) },
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
