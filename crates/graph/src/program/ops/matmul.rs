//! `MatMul`: matrix products over broadcast outer axes. Each sum runs over the inner axis from +0, by fma for floats;
//! integers wrap around at their width.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "MatMul",
    domain: "",
    versions: &[1, 9, 13],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &[],
    run: |_, inputs, context| Ok(vec![product(inputs.tensor(0)?, inputs.tensor(1)?, context)?.into()]),
};

/// Where the matrices of a product lie.
pub(super) struct Plan {
    pub shape: Vec<usize>,
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    /// First elements of each pair of matrices.
    pub pairs: Vec<(usize, usize)>,
}

pub(super) fn plan(one: &[usize], other: &[usize], context: &mut Context) -> Result<Plan, Problem> {
    let refused = || Problem::shape(1, format!("an inner size that fits {one:?}"), other);
    let (left, right) = match (one, other) {
        ([], _) | (_, []) => return Err(refused()),
        ([size], [_]) => (vec![1, *size], vec![other[0], 1]),
        ([size], _) => (vec![1, *size], other.to_vec()),
        (_, [size]) => (one.to_vec(), vec![*size, 1]),
        _ => (one.to_vec(), other.to_vec()),
    };
    let ((outer, matrix), (outer_right, matrix_right)) =
        (left.split_at(left.len() - 2), right.split_at(right.len() - 2));
    let (rows, inner, columns) = (matrix[0], matrix[1], matrix_right[1]);
    if inner != matrix_right[0] {
        return Err(refused());
    }
    let batch = index::broadcast(outer, outer_right)?;
    let mut shape = batch.clone();
    if one.len() > 1 {
        shape.push(rows);
    }
    if other.len() > 1 {
        shape.push(columns);
    }
    let matrices = count(&batch).ok_or_else(refused)? as u64;
    context.bytes(matrices.saturating_mul(16))?;
    context.spend(matrices.saturating_mul(rows as u64).saturating_mul(inner as u64).saturating_mul(columns as u64))?;
    let places = index::spread(outer, &batch).into_iter().zip(index::spread(outer_right, &batch));
    let pairs = places.map(|(i, j)| (i * rows * inner, j * inner * columns)).collect();
    Ok(Plan { shape, rows, inner, columns, pairs })
}

pub(super) fn product(one: &Array, other: &Array, context: &mut Context) -> Result<Array, Problem> {
    let element = one.element();
    let refused = |input, found: &Array| Problem::Element { input, expected: "numbers of one type", found: found.element().name() };
    if other.element() != element {
        return Err(refused(1, other));
    }
    let plan = plan(one.shape(), other.shape(), context)?;
    context.room(&plan.shape, element)?;
    precision!(element, T => {
        let (a, b) = (T::read(one).ok_or(Problem::Excluded)?, T::read(other).ok_or(Problem::Excluded)?);
        T::write(element, &plan.shape, sums(&plan, &a, &b, T::ZERO, |x, y, sum| x.fma(y, sum)))
    }, else => {
        let (Some(a), Some(b)) = (one.integers(), other.integers()) else { return Err(refused(0, one)) };
        let sums = sums(&plan, &a, &b, 0, |x: i128, y, sum| x.wrapping_mul(y).wrapping_add(sum));
        Array::wholes(element, &plan.shape, sums.into_iter())
    })
}

pub(super) fn sums<T: Copy>(plan: &Plan, a: &[T], b: &[T], zero: T, step: impl Fn(T, T, T) -> T) -> Vec<T> {
    let mut all = Vec::new();
    for &(i, j) in &plan.pairs {
        for row in 0..plan.rows {
            let line = &a[i + row * plan.inner..][..plan.inner];
            for column in 0..plan.columns {
                let sum = line.iter().enumerate().fold(zero, |sum, (k, &x)| step(x, b[j + k * plan.columns + column], sum));
                all.push(sum);
            }
        }
    }
    all
}
