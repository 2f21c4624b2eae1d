//! Every level against the plain sums, over random shapes and the corners of both sides.

use graph::{Data, Packed};
use proptest::prelude::*;

use super::{Planes, multiply_integers_then};
use crate::{cpu::Level, dot::Matrix, tail::Tail, threads::Threads};

fn check(outputs: usize, columns: usize, rows: usize, seed: u64) {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Extremes come often.
        match state % 8 {
            0 => i64::MAX,
            1 => i64::MIN,
            _ => state.cast_signed(),
        }
    };
    // The upper bits, so that the extremes are extremes of every width.
    let weights: Vec<i8> = (0..outputs * columns).map(|_| (next() >> 56) as i8).collect();
    let packed = Packed::of_integers(&[outputs, columns], &weights).unwrap();
    let bias: Vec<i32> = (0..outputs).map(|_| (next() >> 44) as i32).collect();
    let wide: Vec<i64> = (0..rows * columns).map(|_| next()).collect();
    let planes = [
        Data::I8(wide.iter().map(|x| (x >> 56) as i8).collect()),
        Data::U8(wide.iter().map(|x| (x >> 56) as u8).collect()),
        Data::I16(wide.iter().map(|x| (x >> 48) as i16).collect()),
    ];
    for x in planes {
        let integers: Vec<i32> = match &x {
            Data::I8(x) => x.iter().map(|&x| x.into()).collect(),
            Data::U8(x) => x.iter().map(|&x| x.into()).collect(),
            Data::I16(x) => x.iter().map(|&x| x.into()).collect(),
            _ => unreachable!(),
        };
        let sum = |row: usize, output: usize| {
            let products = integers[row * columns..][..columns].iter().zip(&weights[output * columns..]);
            products.fold(bias[output], |sum, (x, &w)| sum.wrapping_add(x * i32::from(w)))
        };
        let expected: Vec<i32> = (0..rows * outputs).map(|at| sum(at / outputs, at % outputs)).collect();
        for level in Level::available() {
            let planes = Planes::at(level, &x, columns).unwrap();
            for threads in [Threads::one(), Threads::new(3)] {
                let mut found = vec![7; rows * outputs];
                let matrix = Matrix::of(&packed, 0).unwrap();
                multiply_integers_then(level, &threads, &matrix, &planes, Some(&bias), &Tail::Sums, &mut found);
                assert!(found == expected, "{} {outputs}x{columns}, {rows} rows, seed {seed}", level.name());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_level_has_the_plain_sums(outputs in 1_usize..70, columns in 1_usize..300, rows in 1_usize..70, seed: u64) {
        check(outputs, columns, rows, seed);
    }
}

#[test]
fn columns_beyond_one_run_of_spans_and_rows_beyond_one_pass_go_on_where_they_were() {
    check(33, 2500, 3, 1);
    check(150, 70, 1, 2);
    check(5, 64, 530, 3);
}

#[test]
fn only_small_integers_have_planes() {
    assert!(Planes::at(Level::PORTABLE, &Data::I32(vec![0; 4]), 4).is_none());
    assert!(Planes::at(Level::PORTABLE, &Data::I8(vec![0; 5]), 4).is_none());
    assert!(Planes::at(Level::PORTABLE, &Data::I8(Vec::new()), 0).is_none());
}
