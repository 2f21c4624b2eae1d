//! How fast one core reads memory, and how much of it this process has used.

use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use serde_json::{Value, json};

use crate::{Outcome, clock::timed};

const ROUNDS: usize = 5;
/// What is read of one stream before it is the next one's turn: four cache lines.
const TURN: usize = 32;

/// The best rate of several rounds, over one, two, four and eight streams: what a core can read, not what a loop happens to.
pub fn read(bytes: usize) -> Outcome<Value> {
    let numbers = numbers(bytes)?;
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        for streams in [1, 2, 4, 8] {
            let (sum, seconds) = timed(|| sum(numbers, streams));
            std::hint::black_box(sum);
            best = best.max(bytes as f64 / seconds.cpu);
        }
    }
    Ok(json!({"bytes_per_cpu_s": best}))
}

/// Memory of large pages where the system has them, every one of them written to; this process ends with it.
fn numbers(bytes: usize) -> Outcome<&'static [u64]> {
    // SAFETY: a new mapping of that many bytes that nothing else points into, and that is never unmapped.
    let numbers = unsafe {
        let start = mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?;
        // Without large pages the test is only slower.
        let _advised = madvise(start, bytes, Advice::LinuxHugepage);
        std::slice::from_raw_parts_mut(start.cast::<u64>(), bytes / 8)
    };
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = index as u64;
    }
    Ok(numbers)
}

/// Reads every number: with the widest vectors that the CPU has, a turn of each stream after the other.
fn sum(numbers: &[u64], streams: usize) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: only needs the feature that was just found.
        return unsafe { vectors::avx512(numbers, streams) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: as above.
        return unsafe { vectors::avx2(numbers, streams) };
    }
    let add = |sum: u64, number: &u64| sum.wrapping_add(*number);
    numbers.iter().fold(0, add)
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::*;

    use super::TURN;

    /// # Safety
    /// The CPU has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn avx512(numbers: &[u64], streams: usize) -> u64 {
        let part = numbers.len() / streams / TURN * TURN;
        let mut sums = [_mm512_setzero_si512(); TURN / 8];
        for turn in (0..part).step_by(TURN) {
            for stream in 0..streams {
                let at = numbers[stream * part + turn..][..TURN].as_ptr();
                for (index, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the slice has a whole turn.
                    *sum = _mm512_add_epi64(*sum, unsafe { _mm512_loadu_si512(at.add(8 * index).cast()) });
                }
            }
        }
        sums.into_iter().fold(0, |all, sum| all.wrapping_add(_mm512_reduce_add_epi64(sum).cast_unsigned()))
    }

    /// # Safety
    /// The CPU has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2(numbers: &[u64], streams: usize) -> u64 {
        let part = numbers.len() / streams / TURN * TURN;
        let mut sums = [_mm256_setzero_si256(); TURN / 4];
        for turn in (0..part).step_by(TURN) {
            for stream in 0..streams {
                let at = numbers[stream * part + turn..][..TURN].as_ptr();
                for (index, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the slice has a whole turn.
                    *sum = _mm256_add_epi64(*sum, unsafe { _mm256_loadu_si256(at.add(4 * index).cast()) });
                }
            }
        }
        let mut lanes = [0_u64; TURN];
        // SAFETY: as many lanes as there are sums.
        sums.iter().enumerate().for_each(|(index, sum)| unsafe {
            _mm256_storeu_si256(lanes.as_mut_ptr().add(4 * index).cast(), *sum);
        });
        lanes.iter().fold(0, |all, lane| all.wrapping_add(*lane))
    }
}

/// The most memory that this process ever held at once, mapped files that it touched included.
pub fn used() -> Outcome<Value> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no peak")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(json!({"peak_bytes": kib * 1024}))
}
