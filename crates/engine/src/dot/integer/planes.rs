//! Integer activations as planes of bytes, laid out as the kernels read them.
//!
//! Columns are filled up with zeros to spans of 64. Rows lie in groups of up to 16 side by side: a group's plane is
//! `[span][row][64]` bytes, so a span of a group is one tile of AMX. Numbers of 16 bits are two planes, the upper byte
//! signed, the lower one not: their product is 256 times the upper plane's and the lower plane's.

use graph::Data;

use crate::{
    cpu::{Level, versions},
    dot::ROWS,
};

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
    /// Laid out by plain code.
    #[allow(dead_code, reason = "for kernels that have no level at hand")]
    pub fn of(x: &Data, columns: usize) -> Option<Self> {
        Self::at(Level::PORTABLE, x, columns)
    }

    /// Laid out by the vectors of a level. `None` for elements that are no small integers, or rows that are not of
    /// `columns`.
    pub fn at(level: Level, x: &Data, columns: usize) -> Option<Self> {
        match x {
            Data::I8(x) => Self::fill(x, columns, SIGNED, |_, x, line| signed(level, x, line)),
            Data::U8(x) => Self::fill(x, columns, UNSIGNED, |_, x, line| {
                line.0[..x.len()].copy_from_slice(x);
                0
            }),
            Data::I16(x) => Self::fill(x, columns, SPLIT, |plane, x, line| match plane {
                0 => upper(level, x, line),
                _ => lower(level, x, line),
            }),
            _ => None,
        }
    }

    /// `line` fills a span of a plane and adds up its bytes where they are signed.
    fn fill<T>(
        x: &[T],
        columns: usize,
        signs: &'static [Sign],
        line: impl Fn(usize, &[T], &mut Line) -> i32,
    ) -> Option<Self> {
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
                    sums[row] += line(plane, x, &mut lines[group * ROWS * count + span * width + row % ROWS]);
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

versions! {
    fn signed(x: &[i8], line: &mut Line) -> i32 {
        let mut sum = 0;
        for (byte, &x) in line.0.iter_mut().zip(x) {
            *byte = x.cast_unsigned();
            sum += i32::from(x);
        }
        sum
    }
}

versions! {
    fn upper(x: &[i16], line: &mut Line) -> i32 {
        let mut sum = 0;
        for (byte, &x) in line.0.iter_mut().zip(x) {
            *byte = (x >> 8) as u8;
            sum += i32::from(x >> 8);
        }
        sum
    }
}

versions! {
    fn lower(x: &[i16], line: &mut Line) -> i32 {
        line.0.iter_mut().zip(x).for_each(|(byte, &x)| *byte = x as u8);
        0
    }
}
