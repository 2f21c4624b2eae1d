//! Integer activations as planes of bytes, laid out as the kernels read them.
//!
//! Columns are filled up with zeros to spans of 64. Rows lie in groups of up to 16 side by side: a group's plane is
//! `[span][row][64]` bytes, so a span of a group is one tile of AMX. Numbers of 16 bits are two planes, the upper byte
//! signed, the lower one not: their product is 256 times the upper plane's and the lower plane's.

use graph::Data;

use crate::dot::ROWS;

/// Columns of a span.
pub const SPAN: usize = 64;

/// How a plane's bytes are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    Signed,
    Unsigned,
}

const SIGNED: &[Sign] = &[Sign::Signed];
const UNSIGNED: &[Sign] = &[Sign::Unsigned];
/// The upper bytes, then the lower ones.
const SPLIT: &[Sign] = &[Sign::Signed, Sign::Unsigned];

/// Rows of activations.
pub struct Planes {
    rows: usize,
    /// Spans of a row.
    count: usize,
    signs: &'static [Sign],
    /// A plane after the other.
    lines: Vec<Line>,
    /// Of each row, the signed plane's bytes added up.
    sums: Vec<i32>,
}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; SPAN]);

/// A group's rows of one plane from some span on.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    pub width: usize,
    pub sign: Sign,
    /// `[span][row][64]`.
    pub bytes: &'a [u8],
}

impl Planes {
    /// `None` for elements that are no small integers, or rows that are not of `columns`.
    pub fn of(x: &Data, columns: usize) -> Option<Self> {
        match x {
            Data::I8(x) => Self::fill(x, columns, SIGNED, |x| [x.cast_unsigned(), 0]),
            Data::U8(x) => Self::fill(x, columns, UNSIGNED, |x| [x, 0]),
            Data::I16(x) => Self::fill(x, columns, SPLIT, |x| [(x >> 8) as u8, x as u8]),
            _ => None,
        }
    }

    fn fill<T: Copy>(x: &[T], columns: usize, signs: &'static [Sign], bytes: impl Fn(T) -> [u8; 2]) -> Option<Self> {
        if columns == 0 || !x.len().is_multiple_of(columns) {
            return None;
        }
        let (rows, count) = (x.len() / columns, columns.div_ceil(SPAN));
        let mut lines = vec![Line([0; SPAN]); signs.len() * rows * count];
        let mut sums = vec![0; rows];
        for (plane, lines) in lines.chunks_exact_mut((rows * count).max(1)).enumerate() {
            for (row, x) in x.chunks_exact(columns).enumerate() {
                let (group, width) = (row / ROWS, ROWS.min(rows - row / ROWS * ROWS));
                for (span, x) in x.chunks(SPAN).enumerate() {
                    let line = &mut lines[group * ROWS * count + span * width + row % ROWS].0;
                    line.iter_mut().zip(x).for_each(|(byte, &x)| *byte = bytes(x)[plane]);
                    if signs[plane] == Sign::Signed {
                        sums[row] += line.iter().map(|byte| i32::from(byte.cast_signed())).sum::<i32>();
                    }
                }
            }
        }
        Some(Self { rows, count, signs, lines, sums })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Spans of a row.
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn groups(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    pub fn signs(&self) -> &'static [Sign] {
        self.signs
    }

    /// The signed plane's bytes of a row added up.
    pub fn sum(&self, row: usize) -> i32 {
        self.sums[row]
    }

    /// A group's rows of a plane from a span on.
    pub fn group(&self, plane: usize, index: usize, span: usize) -> Group<'_> {
        let width = ROWS.min(self.rows - index * ROWS);
        let start = plane * self.rows * self.count;
        let (from, to) = (index * ROWS * self.count + span * width, (index * ROWS + width) * self.count);
        let lines = &self.lines[start + from..start + to];
        // SAFETY: a line is 64 bytes without padding.
        let bytes = unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * SPAN) };
        Group { width, sign: self.signs[plane], bytes }
    }
}
