//! Shapes, strides, axes and broadcasting: which flat index a place of a tensor has.

use super::array::count;
use super::problem::Problem;

/// How far apart neighbours along each axis lie, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// The shape that two shapes broadcast to, aligned at their ends.
pub fn broadcast(one: &[usize], other: &[usize]) -> Result<Vec<usize>, Problem> {
    let rank = one.len().max(other.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let pair = |axis| match (size(one, axis), size(other, axis)) {
        (a, b) if a == b => Some(a),
        (1, size) | (size, 1) => Some(size),
        _ => None,
    };
    let shape: Option<Vec<usize>> = (0..rank).map(pair).collect();
    shape.ok_or_else(|| Problem::Broadcast { one: one.to_vec(), other: other.to_vec() })
}

/// For each place of `to`, in order, the flat index in a tensor of shape `from` that broadcasts there.
pub fn spread(from: &[usize], to: &[usize]) -> Vec<usize> {
    let lead = to.len() - from.len();
    let own = strides(from);
    let steps: Vec<usize> = (0..to.len())
        .map(|axis| match axis.checked_sub(lead) {
            Some(own_axis) if from[own_axis] != 1 => own[own_axis],
            _ => 0,
        })
        .collect();
    walk(to, &steps)
}

/// The flat indices that a walk over all places of `shape` meets, where one step along an axis moves by `steps`.
pub fn walk(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    let mut indices = vec![0];
    if count(shape) == Some(0) {
        return Vec::new();
    }
    for (&size, &step) in shape.iter().zip(steps) {
        let grown = indices.iter().flat_map(|&index| (0..size).map(move |place| index + place * step));
        indices = grown.collect();
    }
    indices
}

/// An axis as a file states it, counted from the end where negative.
pub fn axis(found: i64, rank: usize) -> Result<usize, Problem> {
    let axis = if found < 0 { found.saturating_add(rank as i64) } else { found };
    match usize::try_from(axis) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(Problem::value("an axis", format!("-{rank} to below {rank}"), found)),
    }
}

/// Axes as a file states them, each once, rising.
pub fn axes(found: &[i64], rank: usize) -> Result<Vec<usize>, Problem> {
    let axes: Result<Vec<usize>, Problem> = found.iter().map(|&found| axis(found, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    match axes.windows(2).all(|pair| pair[0] != pair[1]) {
        true => Ok(axes),
        false => Err(Problem::value("a list of axes", "each axis once", format!("{found:?}"))),
    }
}

/// A shape seen from one axis: how many places stand before it, its size, and how many stand behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    pub outer: usize,
    pub size: usize,
    pub inner: usize,
}

impl Around {
    pub fn new(shape: &[usize], axis: usize) -> Self {
        let inner = shape[axis + 1..].iter().product();
        Self { outer: shape[..axis].iter().product(), size: shape[axis], inner }
    }

    /// The flat index of a place.
    pub fn at(&self, outer: usize, place: usize, inner: usize) -> usize {
        (outer * self.size + place) * self.inner + inner
    }

    /// All pairs of outer and inner places, in order.
    pub fn lines(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let inner = self.inner;
        (0..self.outer).flat_map(move |outer| (0..inner).map(move |inner| (outer, inner)))
    }
}

/// A size as a tensor of integers states it.
pub fn size(found: i64) -> Result<usize, Problem> {
    usize::try_from(found).map_err(|_| Problem::value("a size", "0 or more", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_a_column_broadcast_to_a_matrix() {
        let shape = broadcast(&[2, 1], &[3]).unwrap();
        assert_eq!(shape, [2, 3]);
        assert_eq!(spread(&[2, 1], &shape), [0, 0, 0, 1, 1, 1]);
        assert_eq!(spread(&[3], &shape), [0, 1, 2, 0, 1, 2]);
        assert_eq!(spread(&[], &shape), [0; 6]);
        assert_eq!(broadcast(&[0, 1], &[1, 4]).unwrap(), [0, 4]);
        assert!(broadcast(&[2], &[3]).is_err());
    }

    #[test]
    fn axes_count_from_both_ends_and_stand_once() {
        assert_eq!(axis(-1, 3), Ok(2));
        assert!(axis(3, 3).is_err() && axis(-4, 3).is_err() && axis(i64::MIN, 3).is_err() && axis(0, 0).is_err());
        assert_eq!(axes(&[2, -3], 3), Ok(vec![0, 2]));
        assert!(axes(&[2, -1], 3).is_err());
    }
}
