//! Matrix products: which matrices meet, and the order of their sums.

use super::array::count;
use super::crew::Crew;
use super::index;
use super::machine::Context;
use super::price::Price;
use super::problem::Problem;

/// Where the matrices of a product lie.
pub struct Plan {
    pub shape: Vec<usize>,
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    /// First elements of each pair of matrices.
    pub pairs: Vec<(usize, usize)>,
}

/// The plan of a product of two shapes; asks for its operations at that price.
pub fn plan(one: &[usize], other: &[usize], price: Price, context: &mut Context) -> Result<Plan, Problem> {
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
    context.spend(price.operations(matrices, [rows, inner, columns]))?;
    let places = index::spread(outer, &batch).into_iter().zip(index::spread(outer_right, &batch));
    let pairs = places.map(|(i, j)| (i * rows * inner, j * inner * columns)).collect();
    Ok(Plan { shape, rows, inner, columns, pairs })
}

/// Places of a sum between two looks.
const PLACES: usize = 1 << 12;

/// Each sum from `zero` over the inner axis, in order.
pub fn sums<T: Copy + Send + Sync>(
    plan: &Plan,
    (a, b): (&[T], &[T]),
    crew: &dyn Crew,
    zero: T,
    step: impl Fn(T, T, T) -> T + Sync,
) -> Vec<T> {
    let (rows, inner, columns) = (plan.rows, plan.inner, plan.columns);
    crew.fill(plan.pairs.len() * rows * columns, inner.saturating_mul(2), zero, |at| {
        let (line, column) = (at / columns, at % columns);
        let ((i, j), row) = (plan.pairs[line / rows], line % rows);
        let (line, mut look) = (&a[i + row * inner..][..inner], crew.look());
        let mut sum = zero;
        for (block, line) in line.chunks(PLACES).enumerate() {
            if !look.on(line.len() * 2) {
                break;
            }
            let from = j + block * PLACES * columns + column;
            sum = line.iter().enumerate().fold(sum, |sum, (k, &x)| step(x, b[from + k * columns], sum));
        }
        sum
    })
}
