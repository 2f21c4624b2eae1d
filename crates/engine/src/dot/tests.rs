//! Every kernel of every level against the meaning, over random shapes and the corners of weights and activations.

use graph::{
    Format, Packed,
    formats::{Group, Packer},
    ops::linear_blocks_f32::quantise,
};
use proptest::prelude::*;

use super::{BLOCK, Blocks, Matrix, multiply_blocks};
use crate::{cpu::Level, threads::Threads};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    /// Any weights; some blocks all extreme, some scales zero, subnormal or negative.
    fn weights(&mut self, format: Format, outputs: usize, columns: usize) -> Packed {
        let (layout, blocks) = (format.layout(), format.blocks(columns).unwrap());
        let mut packer = Packer::new(format, &[outputs, columns]).unwrap();
        for _ in 0..outputs {
            let mut source: Vec<u8> = (0..blocks * layout.source).map(|_| self.next() as u8).collect();
            for block in source.chunks_mut(layout.source) {
                match self.next() % 8 {
                    0 => block.fill(0x80),
                    1 => block.fill(0),
                    2 => block.fill(0xff),
                    _ => {}
                }
                let uppers: &[usize] = match format {
                    Format::Q4K | Format::Q5K | Format::Q4_1 | Format::Q5_1 => &[1, 3],
                    Format::Q6K => &[209],
                    _ => &[1],
                };
                for &upper in uppers {
                    block[upper] &= if self.one_in(6) { 0x83 } else { 0xbf };
                }
            }
            packer.push(&source);
        }
        packer.finish().unwrap()
    }

    /// Activations with zeros, blocks of zeros, subnormals, and now and then what is not finite.
    fn activations(&mut self, count: usize) -> Vec<f32> {
        let mut x: Vec<f32> = (0..count).map(|_| self.next() as i32 as f32 * 1e-9).collect();
        for block in x.chunks_mut(BLOCK) {
            let factor = [1.0, 1e-38, 0.0, 1e30, 1.0, 1.0, 1e-30, 1e-44][(self.next() % 8) as usize];
            block.iter_mut().for_each(|x| *x *= factor);
            if self.one_in(40) {
                block[(self.next() % 32) as usize] =
                    [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][(self.next() % 3) as usize];
            }
        }
        x
    }
}

/// The operator's meaning, in its own words.
fn meaning(weights: &Packed, x: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    let rows: Vec<Vec<Group>> = (0..weights.rows()).map(|row| weights.groups(row)).collect();
    let mut out = Vec::new();
    for x in x.chunks_exact(weights.columns()) {
        let mut quants = vec![0_i8; x.len()];
        let scales: Vec<f32> =
            x.chunks_exact(BLOCK).zip(quants.chunks_exact_mut(BLOCK)).map(|(x, quants)| quantise(x, quants)).collect();
        for (output, groups) in rows.iter().enumerate() {
            let (mut sum, mut column) = (0.0_f32, 0);
            for group in groups {
                let products = group.quants.iter().zip(&quants[column..]);
                let dot: i32 = products.map(|(&weight, &quant)| i32::from(weight) * i32::from(quant)).sum();
                sum = (group.scale * scales[column / BLOCK]).mul_add(dot as f32, sum);
                if let Some(minimum) = group.minimum {
                    let total: i32 = quants[column..][..BLOCK].iter().map(|&quant| i32::from(quant)).sum();
                    sum = (-minimum).mul_add(scales[column / BLOCK] * total as f32, sum);
                }
                column += group.quants.len();
            }
            out.push(bias.map_or(sum, |bias| sum + bias[output]));
        }
    }
    out
}

/// Equal bits; all NaN are one.
fn assert_equal(found: &[f32], expected: &[f32], what: &str) {
    let bits = |value: f32| if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() };
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!(bits(found) == bits(expected), "{what}: {found} instead of {expected} at {index}");
    }
}

fn check(format: Format, outputs: usize, columns: usize, rows: usize, seed: u64) {
    let mut random = Random(seed | 1);
    let weights = random.weights(format, outputs, columns);
    let x = random.activations(rows * columns);
    let bias: Option<Vec<f32>> = random.one_in(2).then(|| random.activations(outputs.next_multiple_of(BLOCK)));
    let bias = bias.as_ref().map(|bias| &bias[..outputs]);
    let expected = meaning(&weights, &x, bias);
    for level in Level::available() {
        for threads in [Threads::one(), Threads::new(3)] {
            let mut blocks = Blocks::default();
            // Fewer rows after more: what is left of those must not show.
            blocks.fill(level, &threads, &random.activations(3 * columns), columns);
            blocks.fill(level, &threads, &x, columns);
            let mut found = vec![7.0; rows * outputs];
            multiply_blocks(level, &threads, &Matrix::of(&weights, 0).unwrap(), &blocks, bias, &mut found);
            let what = format!("{} {} {outputs}x{columns}, {rows} rows, seed {seed}", format.name(), level.name());
            assert_equal(&found, &expected, &what);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_level_has_the_bits_of_the_meaning(outputs in 1_usize..70, blocks in 1_usize..6, rows in 1_usize..40, seed: u64) {
        for format in Format::of_blocks() {
            check(format, outputs, blocks * format.layout().columns, rows, seed);
        }
    }
}

#[test]
fn every_number_of_rows_has_its_kernel() {
    for format in Format::of_blocks() {
        for rows in 1..=33 {
            check(format, 17, format.layout().columns, rows, 1000 + rows as u64);
        }
    }
}

#[test]
fn columns_beyond_one_panel_and_rows_beyond_one_pass_go_on_where_they_were() {
    for format in Format::of_blocks() {
        check(format, 20, 2304, 3, 5);
        check(format, 40, 2304, 19, 8);
        check(format, 150, 256, 2, 6);
        check(format, 3, 256, 530, 7);
    }
}

#[test]
fn a_stack_of_matrices_is_read_one_at_a_time() {
    let mut random = Random(9);
    let mut packer = Packer::new(Format::Q4_0, &[2, 20, 64]).unwrap();
    let source: Vec<u8> =
        (0..2 * 20 * 2 * 18).map(|index| if index % 18 == 1 { 0x20 } else { random.next() as u8 }).collect();
    source.chunks_exact(36).for_each(|row| {
        packer.push(row);
    });
    let stack = packer.finish().unwrap();
    let x = random.activations(64);
    let (mut blocks, threads) = (Blocks::default(), Threads::one());
    blocks.fill(Level::PORTABLE, &threads, &x, 64);
    let all: Vec<Vec<Group>> = (0..40).map(|row| stack.groups(row)).collect();
    for (matrix, groups) in all.chunks_exact(20).enumerate() {
        let mut found = [0.0; 20];
        multiply_blocks(Level::PORTABLE, &threads, &Matrix::of(&stack, matrix).unwrap(), &blocks, None, &mut found);
        assert_eq!(groups.len(), found.len());
        assert_ne!(found, [0.0; 20]);
    }
    assert!(Matrix::of(&stack, 2).is_none());
    assert!(Matrix::of(&stack, usize::MAX).is_none());
}
