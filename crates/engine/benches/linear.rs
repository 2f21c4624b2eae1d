//! Products with packed weights, kernel by kernel, beside what this core can do at best: GMAC/s and GB/s for each format
//! and number of rows. CPU time of one thread, the best of some runs; weights come from memory.
//!
//! `cargo bench -p engine --bench linear -- [level] [format]`. The kernels are the engine's own files: nothing of them
//! is public.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark stops where it cannot go on, and prints")]
#![allow(dead_code, unused_imports, reason = "the engine uses more of its files than this does")]

#[path = "../src/constants.rs"]
mod constants;
#[path = "../src/cpu.rs"]
mod cpu;
#[path = "../src/dot/mod.rs"]
mod dot;
#[path = "../src/simd.rs"]
mod simd;
#[path = "../src/tail.rs"]
mod tail;
#[path = "../src/threads.rs"]
mod threads;

use bytes::Bytes;
use cpu::Level;
use dot::{Blocks, Matrix, Planes, multiply_blocks, multiply_floats, multiply_integers};
use graph::{Data, Format, Packed, formats::Weights};
use rustix::time::{ClockId, clock_gettime};
use threads::Threads;

const OUTPUTS: usize = 2048;
const COLUMNS: usize = 2048;
const ROWS: [usize; 5] = [1, 2, 8, 16, 120];
/// Together beyond any cache of one core.
const BYTES: usize = 256 << 20;
const RUNS: usize = 3;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let chosen = |name: &str, among: &[String]| among.is_empty() || among.iter().any(|wanted| wanted == name);
    let (levels, formats): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|name| Level::named(name).is_some());
    println!("memory_read_gb_s {:.1}", read_speed());
    for format in Format::ALL.into_iter().filter(|format| chosen(format.name(), &formats)) {
        let matrices = matrices(format);
        for level in Level::available().into_iter().rev().filter(|level| chosen(level.name(), &levels)) {
            // Plain code is slow on purpose.
            let rows = if level == Level::PORTABLE { &ROWS[..1] } else { &ROWS[..] };
            for &rows in rows {
                report(format, level, rows, &matrices);
            }
        }
    }
}

/// As many matrices as fill the memory that is gone through; all weights small.
fn matrices(format: Format) -> Vec<Packed> {
    let shape = [OUTPUTS, COLUMNS];
    let bytes = format.bytes(&shape).unwrap();
    let one = |index: usize| {
        let data: Vec<u8> = (0..bytes).map(|at| ((at * 7 + index) % 53) as u8).collect();
        Packed::new(format, &shape, aligned(&data)).unwrap()
    };
    (0..(BYTES / bytes).max(2)).map(one).collect()
}

/// As artefacts are mapped: at the start of a cache line.
fn aligned(data: &[u8]) -> Bytes {
    let mut room = vec![0; data.len() + 64];
    let start = room.as_ptr().align_offset(64);
    room[start..][..data.len()].copy_from_slice(data);
    Bytes::from(room).slice(start..start + data.len())
}

fn report(format: Format, level: Level, rows: usize, matrices: &[Packed]) {
    let threads = Threads::new(1);
    let x: Vec<f32> = (0..rows * COLUMNS).map(|at| (at % 97) as f32 * 0.01 - 0.4).collect();
    let integers = Data::I8((0..rows * COLUMNS).map(|at| (at % 251) as u8 as i8).collect());
    let mut blocks = Blocks::default();
    blocks.fill(level, &threads, &x, COLUMNS);
    let planes = Planes::of(&integers, COLUMNS).unwrap();
    let (mut floats, mut sums) = (vec![0.0; rows * OUTPUTS], vec![0; rows * OUTPUTS]);
    let count = if level == Level::PORTABLE { 2 } else { matrices.len().min((4096 / rows).max(4)) };
    let seconds = best(|| {
        for packed in &matrices[..count.min(matrices.len())] {
            let weights = Matrix::of(packed, 0).unwrap();
            match format.weights() {
                Weights::Blocks => multiply_blocks(level, &threads, &weights, &blocks, None, &mut floats),
                Weights::Float => multiply_floats(level, &threads, &weights, &x, None, &mut floats),
                Weights::Integer => multiply_integers(level, &threads, &weights, &planes, None, &mut sums),
            }
        }
    }) / count.min(matrices.len()) as f64;
    let products = (rows * OUTPUTS * COLUMNS) as f64;
    let bytes = matrices[0].bytes().len() as f64;
    println!(
        "{:5} {:12} {rows:4} rows {:8.1} GMAC/s {:6.1} GB/s",
        format.name(),
        level.name(),
        products / seconds / 1e9,
        bytes / seconds / 1e9
    );
}

/// What a bare loop reads from memory.
fn read_speed() -> f64 {
    let memory: Vec<u64> = (0..BYTES as u64 / 8).collect();
    let seconds = best(|| {
        // Four streams, as memory likes it.
        let quarters: Vec<&[u64]> = memory.chunks(memory.len() / 4).collect();
        let mut sums = [0_u64; 4];
        for at in 0..quarters[0].len() {
            for (sum, quarter) in sums.iter_mut().zip(&quarters) {
                *sum ^= quarter[at];
            }
        }
        std::hint::black_box(sums);
    });
    BYTES as f64 / seconds / 1e9
}

/// CPU seconds of the quickest of some runs.
fn best(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let started = cpu_seconds();
        run();
        cpu_seconds() - started
    };
    (0..RUNS).map(once).fold(f64::INFINITY, f64::min)
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
