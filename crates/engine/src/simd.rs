//! Vectors of binary32 for the few kernels that plain code under wider instructions would not make fast.
//!
//! A kernel is written once over [`Vector`] and built for each level. Every operation rounds as the scalar one does, lane by
//! lane, so the width changes no bit.

/// Vectors of one level's width, a divisor of 16. Comparisons answer as scalars' do: one with a NaN is false.
///
/// # Safety
/// Every method may be called only where the CPU has the level's instructions; pointers are valid for `WIDTH` elements
/// and need no alignment.
pub trait Vector: Copy {
    const WIDTH: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// Widens binary16; exact.
    unsafe fn load_halves(from: *const u16) -> Self;
    /// Converts bytes; exact.
    unsafe fn load_bytes(from: *const i8) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Rounds to binary16, ties to even.
    unsafe fn store_halves(self, to: *mut u16);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn subtract(self, other: Self) -> Self;
    unsafe fn multiply(self, other: Self) -> Self;
    /// `self · factor + addend`, rounded once.
    unsafe fn fused(self, factor: Self, addend: Self) -> Self;
    /// `self` where it is greater, else `other`.
    unsafe fn greater(self, other: Self) -> Self;
    /// `self` where it is less, else `other`.
    unsafe fn less(self, other: Self) -> Self;
    /// Lanes `from..to` of `self`, the others of `other`.
    unsafe fn within(self, from: usize, to: usize, other: Self) -> Self;
    /// 2^n for `1.5 · 2^23 + n`, n from -126 to 127.
    unsafe fn power(self) -> Self;
}

/// As `graph::float::exp`.
///
/// # Safety
/// As the methods of `V`.
#[inline(always)]
pub unsafe fn exp<V: Vector>(x: V) -> V {
    use graph::float::{EXP, LN2_HIGH, LN2_LOW, LOG2_E, ROUND};
    // SAFETY: as the caller promises.
    unsafe {
        let x = x.greater(V::splat(-87.0)).less(V::splat(88.0));
        let shifted = x.fused(V::splat(LOG2_E), V::splat(ROUND));
        let n = shifted.subtract(V::splat(ROUND));
        let r = n.fused(V::splat(-LN2_LOW), n.fused(V::splat(-LN2_HIGH), x));
        let mut p = V::splat(EXP[0]);
        p = p.fused(r, V::splat(EXP[1]));
        p = p.fused(r, V::splat(EXP[2]));
        p = p.fused(r, V::splat(EXP[3]));
        p = p.fused(r, V::splat(EXP[4]));
        p = p.fused(r, V::splat(EXP[5]));
        p = p.fused(r, V::splat(EXP[6]));
        p.multiply(shifted.power())
    }
}

/// Plain code: any CPU.
#[derive(Clone, Copy)]
pub struct Plain([f32; 8]);

macro_rules! each {
    ($lane:ident => $value:expr) => {{
        let mut lanes = [0.0_f32; 8];
        for ($lane, lane) in lanes.iter_mut().enumerate() {
            *lane = $value;
        }
        Plain(lanes)
    }};
}

impl Vector for Plain {
    const WIDTH: usize = 8;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait demands.
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_halves(from: *const u16) -> Self {
        // SAFETY: as the trait demands.
        let halves = unsafe { from.cast::<[u16; 8]>().read_unaligned() };
        each!(lane => graph::float::from_half(halves[lane]))
    }
    #[inline(always)]
    unsafe fn load_bytes(from: *const i8) -> Self {
        // SAFETY: as the trait demands.
        let bytes = unsafe { from.cast::<[i8; 8]>().read_unaligned() };
        each!(lane => f32::from(bytes[lane]))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as the trait demands.
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_halves(self, to: *mut u16) {
        let halves = self.0.map(graph::float::to_half);
        // SAFETY: as the trait demands.
        unsafe { to.cast::<[u16; 8]>().write_unaligned(halves) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        each!(lane => self.0[lane] + other.0[lane])
    }
    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        each!(lane => self.0[lane] - other.0[lane])
    }
    #[inline(always)]
    unsafe fn multiply(self, other: Self) -> Self {
        each!(lane => self.0[lane] * other.0[lane])
    }
    #[inline(always)]
    unsafe fn fused(self, factor: Self, addend: Self) -> Self {
        each!(lane => self.0[lane].mul_add(factor.0[lane], addend.0[lane]))
    }
    #[inline(always)]
    unsafe fn greater(self, other: Self) -> Self {
        each!(lane => if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] })
    }
    #[inline(always)]
    unsafe fn less(self, other: Self) -> Self {
        each!(lane => if self.0[lane] < other.0[lane] { self.0[lane] } else { other.0[lane] })
    }
    #[inline(always)]
    unsafe fn within(self, from: usize, to: usize, other: Self) -> Self {
        each!(lane => if (from..to).contains(&lane) { self.0[lane] } else { other.0[lane] })
    }
    #[inline(always)]
    unsafe fn power(self) -> Self {
        each!(lane => f32::from_bits(self.0[lane].to_bits().wrapping_add(127) << 23))
    }
}

/// The methods of a vector that are one instruction each.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $out:ty)? = $body:expr;)*) => {
        $(#[inline(always)]
        unsafe fn $name($($argument: $kind),*) $(-> $out)? {
            // SAFETY: as the trait demands.
            unsafe { $body }
        })*
    };
}

#[cfg(target_arch = "x86_64")]
pub use wide::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::*;

    use super::Vector;

    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    const INDICES: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
    const EVEN: i32 = _MM_FROUND_TO_NEAREST_INT;

    impl Vector for Avx2 {
        const WIDTH: usize = 8;
        instructions! {
            splat(value: f32) -> Self = Self(_mm256_set1_ps(value));
            load(from: *const f32) -> Self = Self(_mm256_loadu_ps(from));
            load_halves(from: *const u16) -> Self = Self(_mm256_cvtph_ps(_mm_loadu_si128(from.cast())));
            load_bytes(from: *const i8) -> Self = {
                Self(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))))
            };
            store(self: Self, to: *mut f32) = _mm256_storeu_ps(to, self.0);
            store_halves(self: Self, to: *mut u16) = _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<EVEN>(self.0));
            add(self: Self, other: Self) -> Self = Self(_mm256_add_ps(self.0, other.0));
            subtract(self: Self, other: Self) -> Self = Self(_mm256_sub_ps(self.0, other.0));
            multiply(self: Self, other: Self) -> Self = Self(_mm256_mul_ps(self.0, other.0));
            fused(self: Self, factor: Self, addend: Self) -> Self = Self(_mm256_fmadd_ps(self.0, factor.0, addend.0));
            // Both answer the second operand where one is a NaN.
            greater(self: Self, other: Self) -> Self = Self(_mm256_max_ps(self.0, other.0));
            less(self: Self, other: Self) -> Self = Self(_mm256_min_ps(self.0, other.0));
            within(self: Self, from: usize, to: usize, other: Self) -> Self = {
                let indices = _mm256_loadu_si256(INDICES.as_ptr().cast());
                let before = _mm256_cmpgt_epi32(_mm256_set1_epi32(from as i32), indices);
                let until = _mm256_cmpgt_epi32(_mm256_set1_epi32(to as i32), indices);
                let mask = _mm256_castsi256_ps(_mm256_andnot_si256(before, until));
                Self(_mm256_blendv_ps(other.0, self.0, mask))
            };
            power(self: Self) -> Self = {
                let biased = _mm256_add_epi32(_mm256_castps_si256(self.0), _mm256_set1_epi32(127));
                Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased)))
            };
        }
    }

    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Vector for Avx512 {
        const WIDTH: usize = 16;
        instructions! {
            splat(value: f32) -> Self = Self(_mm512_set1_ps(value));
            load(from: *const f32) -> Self = Self(_mm512_loadu_ps(from));
            load_halves(from: *const u16) -> Self = Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.cast())));
            load_bytes(from: *const i8) -> Self = {
                Self(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))))
            };
            store(self: Self, to: *mut f32) = _mm512_storeu_ps(to, self.0);
            store_halves(self: Self, to: *mut u16) = _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<EVEN>(self.0));
            add(self: Self, other: Self) -> Self = Self(_mm512_add_ps(self.0, other.0));
            subtract(self: Self, other: Self) -> Self = Self(_mm512_sub_ps(self.0, other.0));
            multiply(self: Self, other: Self) -> Self = Self(_mm512_mul_ps(self.0, other.0));
            fused(self: Self, factor: Self, addend: Self) -> Self = Self(_mm512_fmadd_ps(self.0, factor.0, addend.0));
            // Both answer the second operand where one is a NaN.
            greater(self: Self, other: Self) -> Self = Self(_mm512_max_ps(self.0, other.0));
            less(self: Self, other: Self) -> Self = Self(_mm512_min_ps(self.0, other.0));
            within(self: Self, from: usize, to: usize, other: Self) -> Self = {
                let below = |limit: usize| (1_u32 << limit.min(16)).wrapping_sub(1);
                let mask = (below(to) & !below(from)) as u16;
                Self(_mm512_mask_mov_ps(other.0, mask, self.0))
            };
            power(self: Self) -> Self = {
                let biased = _mm512_add_epi32(_mm512_castps_si512(self.0), _mm512_set1_epi32(127));
                Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased)))
            };
        }
    }
}

/// Calls a generic kernel, an always inlined `unsafe fn name<V: Vector>`, built for the vectors of `level`, with variables of
/// the arguments' names.
macro_rules! by_level {
    ($level:expr, $name:ident($($argument:ident: $kind:ty),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            use $crate::{cpu::Instructions, simd::{Avx2, Avx512}};
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2($($argument: $kind),*) {
                // SAFETY: the features are those of the vectors; the rest is the caller's promise.
                unsafe { $name::<Avx2>($($argument),*) }
            }
            #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
            unsafe fn avx512($($argument: $kind),*) {
                // SAFETY: as above.
                unsafe { $name::<Avx512>($($argument),*) }
            }
            match $level.vectors() {
                Instructions::Portable => $name::<$crate::simd::Plain>($($argument),*),
                Instructions::Avx2 => avx2($($argument),*),
                Instructions::Avx512 | Instructions::Amx => avx512($($argument),*),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = $level;
            $name::<$crate::simd::Plain>($($argument),*)
        }
    }};
}
pub(crate) use by_level;

#[cfg(test)]
mod tests {
    use graph::float;

    use super::*;
    use crate::cpu::Level;

    #[inline(always)]
    unsafe fn exps<V: Vector>(x: &[f32], out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        for place in (0..x.len()).step_by(V::WIDTH) {
            // SAFETY: the level is this CPU's; lengths are multiples of 16.
            unsafe { exp(V::load(x.as_ptr().add(place))).store(out.as_mut_ptr().add(place)) };
        }
    }

    /// What a method makes of each number, beside what the scalar operation does.
    #[inline(always)]
    unsafe fn methods<V: Vector>(x: &[f32], y: &[f32]) {
        let scalar = |place: usize, vector: V, expected: &dyn Fn(f32, f32) -> f32| {
            let mut found = [0.0; 16];
            // SAFETY: no vector is wider.
            unsafe { vector.store(found.as_mut_ptr()) };
            for lane in 0..V::WIDTH {
                let (x, y) = (x[place + lane], y[place + lane]);
                let expected = expected(x, y);
                let same = found[lane].to_bits() == expected.to_bits() || found[lane].is_nan() && expected.is_nan();
                assert!(same, "{x} {y} lane {lane}: {} instead of {expected}", found[lane]);
            }
        };
        for place in (0..x.len()).step_by(V::WIDTH) {
            // SAFETY: the level is this CPU's; lengths are multiples of 16.
            unsafe {
                let (one, other) = (V::load(x.as_ptr().add(place)), V::load(y.as_ptr().add(place)));
                scalar(place, one.add(other), &|x, y| x + y);
                scalar(place, one.subtract(other), &|x, y| x - y);
                scalar(place, one.multiply(other), &|x, y| x * y);
                scalar(place, one.fused(other, V::splat(0.3)), &|x, y| x.mul_add(y, 0.3));
                scalar(place, one.greater(other), &|x, y| if x > y { x } else { y });
                scalar(place, one.less(other), &|x, y| if x < y { x } else { y });
                let mut halves = [0; 16];
                one.store_halves(halves.as_mut_ptr());
                scalar(place, V::load_halves(halves.as_ptr()), &|x, _| float::from_half(float::to_half(x)));
            }
        }
        for (from, to) in [(0, 16), (0, 3), (2, 7), (5, 5), (0, 0), (7, 8)] {
            let mut found = [0.0; 16];
            // SAFETY: as above.
            unsafe { V::splat(1.0).within(from, to, V::splat(2.0)).store(found.as_mut_ptr()) };
            let expected = |lane: usize| if (from..to).contains(&lane) { 1.0 } else { 2.0 };
            assert!((0..V::WIDTH).all(|lane| found[lane] == expected(lane)), "{from} {to} {found:?}");
        }
    }

    #[test]
    fn every_width_computes_what_one_number_alone_would() {
        let special =
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-40, -87.1, 88.1, 65519.9, 65520.0, 3e-8, 2e-8];
        let x: Vec<f32> = special.into_iter().chain((0..4084).map(|i| (i - 2000) as f32 * 0.0437)).collect();
        let y: Vec<f32> = x.iter().rev().copied().collect();
        for level in Level::available() {
            let mut found = vec![0.0; x.len()];
            let (x, y, out) = (&x[..], &y[..], &mut found[..]);
            // SAFETY: detection made the level; the lengths are multiples of 16.
            unsafe {
                by_level!(level, exps(x: &[f32], out: &mut [f32]));
                by_level!(level, methods(x: &[f32], y: &[f32]));
            }
            let same = |(x, found): (&f32, &f32)| float::exp(*x).to_bits() == found.to_bits();
            assert!(x.iter().zip(&found).all(same), "{}", level.name());
        }
    }
}
