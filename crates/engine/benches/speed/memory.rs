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

fn sum(numbers: &[u64], streams: usize) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: only needs the feature that was just found.
        return unsafe { sum_avx512(numbers, streams) };
    } else if is_x86_feature_detected!("avx2") {
        // SAFETY: only needs the feature that was just found.
        return unsafe { sum_avx2(numbers, streams) };
    }
    dispatch(numbers, streams)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn sum_avx512(numbers: &[u64], streams: usize) -> u64 {
    dispatch(numbers, streams)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn sum_avx2(numbers: &[u64], streams: usize) -> u64 {
    dispatch(numbers, streams)
}

#[inline(always)]
fn dispatch(numbers: &[u64], streams: usize) -> u64 {
    match streams {
        1 => sum_streams::<1>(numbers),
        2 => sum_streams::<2>(numbers),
        4 => sum_streams::<4>(numbers),
        _ => sum_streams::<8>(numbers),
    }
}

/// Several parts of the memory in turns.
#[inline(always)]
fn sum_streams<const STREAMS: usize>(numbers: &[u64]) -> u64 {
    let part = numbers.len() / STREAMS / TURN * TURN;
    let mut sums = [0_u64; TURN];
    for turn in (0..part).step_by(TURN) {
        for stream in 0..STREAMS {
            for (sum, number) in sums.iter_mut().zip(&numbers[stream * part + turn..][..TURN]) {
                *sum = sum.wrapping_add(*number);
            }
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// The most memory that this process ever held at once, mapped files that it touched included.
pub fn used() -> Outcome<Value> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no peak")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(json!({"peak_bytes": kib * 1024}))
}
