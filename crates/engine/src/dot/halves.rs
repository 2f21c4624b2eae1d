//! Binary16 to binary32, which is exact.

use graph::float::from_half;

use crate::cpu::{Instructions, Level};

/// Converts as many little-endian halves as there are whole pairs of bytes.
pub fn halves(level: Level, bytes: &[u8], floats: &mut [f32]) {
    let count = bytes.len() / 2;
    let floats = &mut floats[..count];
    match level.vectors() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: only detection makes the level, and it includes F16C.
        Instructions::Avx2 | Instructions::Avx512 | Instructions::Amx => unsafe { vectors(bytes, floats) },
        _ => portable(bytes, floats),
    }
}

fn portable(bytes: &[u8], floats: &mut [f32]) {
    for (bytes, float) in bytes.as_chunks::<2>().0.iter().zip(floats) {
        *float = from_half(u16::from_le_bytes(*bytes));
    }
}

/// # Safety
/// The CPU has F16C.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
unsafe fn vectors(bytes: &[u8], floats: &mut [f32]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
    let (eights, rest) = floats.as_chunks_mut::<8>();
    let (sixteens, tail) = bytes.split_at(eights.len() * 16);
    for (bytes, floats) in sixteens.as_chunks::<16>().0.iter().zip(eights) {
        // SAFETY: 16 bytes are one load, 8 floats one store.
        unsafe { _mm256_storeu_ps(floats.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(bytes.as_ptr().cast()))) };
    }
    portable(tail, rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_has_its_value_on_every_level() {
        let halves_of: Vec<u16> = (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00).chain([1, 2, 3]).collect();
        let bytes: Vec<u8> = halves_of.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        for level in Level::available() {
            let mut floats = vec![0.0; halves_of.len()];
            halves(level, &bytes, &mut floats);
            for (bits, float) in halves_of.iter().zip(&floats) {
                assert_eq!(float.to_bits(), from_half(*bits).to_bits(), "{bits:#x} {}", level.name());
            }
        }
    }
}
