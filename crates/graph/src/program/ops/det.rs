//! `Det`: the determinant of each matrix: elimination with the greatest pivot of each column, the first of equal ones; the product of the pivots in order.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Det",
    domain: "",
    versions: &[11, 22],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[],
    run,
};

fn run(_: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let [lead @ .., rows, columns] = x.shape() else { return Err(Problem::shape(0, "square matrices", x.shape())) };
    if rows != columns {
        return Err(Problem::shape(0, "square matrices", x.shape()));
    }
    let (size, shape) = (*rows, lead.to_vec());
    let total = context.room(&shape, x.element())?;
    context.bytes(x.weight())?;
    context.spend((x.len() as u64).saturating_mul(size as u64))?;
    let result = precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let crew = context.crew();
        let one = |index: usize| determinant(values[index * size * size..][..size * size].to_vec(), size, crew);
        T::write(x.element(), &shape, crew.fill(total, (size * size).saturating_mul(size), T::ZERO, one))
    }, else => Err(inputs.element(0, "floats")));
    Ok(vec![result?.into()])
}

fn determinant<T: Real>(mut matrix: Vec<T>, size: usize, crew: &dyn Crew) -> T {
    let mut product = T::ONE;
    for step in crew.watched(0..size, size * size) {
        let magnitude = |row: usize| matrix[row * size + step].magnitude();
        let pivot = (step..size).fold(step, |best, row| if magnitude(row) > magnitude(best) { row } else { best });
        if pivot != step {
            (0..size).for_each(|column| matrix.swap(pivot * size + column, step * size + column));
            product = -product;
        }
        let head = matrix[step * size + step];
        product = product * head;
        if head == T::ZERO {
            return product;
        }
        for row in crew.watched(step + 1..size, size) {
            let factor = matrix[row * size + step] / head;
            for column in step..size {
                matrix[row * size + column] = (-factor).fma(matrix[step * size + column], matrix[row * size + column]);
            }
        }
    }
    product
}
