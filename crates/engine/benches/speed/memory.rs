//! How fast one core reads memory, and how much of it this process has used.

use serde_json::{Value, json};

use crate::{Outcome, clock::timed};

const ROUNDS: usize = 5;

/// The best rate of several rounds, over one, two, four and eight streams: what a core can read, not what a loop happens to.
pub fn read(bytes: usize) -> Value {
    let numbers: Vec<u64> = (0..bytes as u64 / 8).collect();
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        for streams in [1, 2, 4, 8] {
            let (sum, seconds) = timed(|| sum(&numbers, streams));
            std::hint::black_box(sum);
            best = best.max(bytes as f64 / seconds.cpu);
        }
    }
    json!({"bytes_per_cpu_s": best})
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

/// Cache lines of several parts of the memory in turns.
#[inline(always)]
fn sum_streams<const STREAMS: usize>(numbers: &[u64]) -> u64 {
    let part = numbers.len() / STREAMS / 8 * 8;
    let mut sums = [[0_u64; 8]; STREAMS];
    for line in (0..part).step_by(8) {
        for (stream, sums) in sums.iter_mut().enumerate() {
            let numbers = &numbers[stream * part + line..][..8];
            for (sum, number) in sums.iter_mut().zip(numbers) {
                *sum = sum.wrapping_add(*number);
            }
        }
    }
    sums.iter().flatten().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// The most memory that this process ever held at once, mapped files that it touched included.
pub fn used() -> Outcome<Value> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no peak")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(json!({"peak_bytes": kib * 1024}))
}
