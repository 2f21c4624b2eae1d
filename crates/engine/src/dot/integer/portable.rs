//! Integer products in plain words: what the other levels are held against.

use super::{
    Planes, ROWS, SPAN, SPAN_BYTES, Sums, Work,
    planes::{Group, Sign},
};

pub fn multiply(work: Work, x: &Planes, sums: &mut [Sums]) {
    work.check(x, sums);
    let planes = x.signs().len();
    for (index, sums) in sums.chunks_exact_mut(work.rows).enumerate() {
        for (group, sums) in sums.chunks_mut(ROWS).enumerate() {
            let group = x.group(index % planes, work.group + group, work.span);
            for (row, sums) in sums.iter_mut().enumerate() {
                for (output, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.wrapping_add(dot(work.tiles[index / planes], &group, row, output, work.spans));
                }
            }
        }
    }
}

fn dot(tile: &[u8], group: &Group, row: usize, output: usize, spans: usize) -> i32 {
    let mut sum = 0;
    for column in 0..spans * SPAN {
        let (span, place) = (column / SPAN, column % SPAN);
        let byte = group.bytes[(span * group.width + row) * SPAN + place];
        let x = if group.sign == Sign::Signed { i32::from(byte.cast_signed()) } else { i32::from(byte) };
        let weight = tile[span * SPAN_BYTES + (place / 4 * ROWS + output) * 4 + place % 4].cast_signed();
        sum += x * i32::from(weight);
    }
    sum
}
