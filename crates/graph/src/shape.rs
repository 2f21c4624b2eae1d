//! Shapes of a graph's values: sizes known when the model is loaded, and one size that each call chooses.

use std::fmt;

/// One size of a shape. `Rows` is the same number everywhere in one call: positions of a text, or the batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Dimension {
    Fixed(usize),
    Rows,
}

/// At most [`Shape::RANK_MAX`] dimensions, outermost first.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Shape(pub Vec<Dimension>);

impl Shape {
    pub const RANK_MAX: usize = 8;

    pub fn fixed(sizes: &[usize]) -> Self {
        Self(sizes.iter().map(|&size| Dimension::Fixed(size)).collect())
    }

    /// `[Rows, sizes…]`.
    pub fn rows(sizes: &[usize]) -> Self {
        Self([Dimension::Rows].into_iter().chain(sizes.iter().map(|&size| Dimension::Fixed(size))).collect())
    }

    pub fn rank(&self) -> usize {
        self.0.len()
    }

    pub fn has_rows(&self) -> bool {
        self.0.contains(&Dimension::Rows)
    }

    /// Whether rows stand anywhere but outermost: a row would then be no run of elements.
    pub fn has_inner_rows(&self) -> bool {
        self.0.iter().skip(1).any(|size| *size == Dimension::Rows)
    }

    /// The innermost size where it is fixed.
    pub fn width(&self) -> Option<usize> {
        match self.0.last() {
            Some(Dimension::Fixed(size)) => Some(*size),
            Some(Dimension::Rows) | None => None,
        }
    }

    /// All sizes where all are fixed.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.0.iter().map(|dimension| if let Dimension::Fixed(size) = dimension { Some(*size) } else { None }).collect()
    }

    /// The sizes when `Rows` is `rows`.
    pub fn with_rows(&self, rows: usize) -> Vec<usize> {
        let size = |dimension: &Dimension| if let Dimension::Fixed(size) = dimension { *size } else { rows };
        self.0.iter().map(size).collect()
    }

    /// How many elements there are for `rows`; `None` on overflow.
    pub fn count(&self, rows: usize) -> Option<usize> {
        self.with_rows(rows).into_iter().try_fold(1_usize, usize::checked_mul)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .0
            .iter()
            .map(|dimension| match dimension {
                Dimension::Fixed(size) => size.to_string(),
                Dimension::Rows => "rows".to_owned(),
            })
            .collect();
        write!(formatter, "[{}]", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_shows_rows_by_name_and_counts_its_elements() {
        let shape = Shape::rows(&[3, 4]);
        assert_eq!(shape.to_string(), "[rows, 3, 4]");
        assert_eq!(shape.count(2), Some(24));
        assert_eq!(shape.count(usize::MAX), None);
        assert_eq!((shape.sizes(), shape.width()), (None, Some(4)));
        assert_eq!(Shape::fixed(&[2, 5]).sizes(), Some(vec![2, 5]));
    }
}
