//! `MeanVarianceNormalization`: over `axes`, `(x - mean) / (√(mean of squares - mean²) + 1e-9)`, both means being sums from +0 in order
//! divided by the count.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "MeanVarianceNormalization",
    domain: "",
    versions: &[9, 13],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["axes"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axes = index::axes(node.integers("axes")?.unwrap_or(&[0, 2, 3]), x.rank())?;
    context.room(x.shape(), x.element())?;
    context.bytes(x.len() as u64 * 8)?;
    context.spend((x.len() as u64).saturating_mul(3))?;
    // Each element's cell: its place with the normalised axes taken out.
    let mut kept = x.shape().to_vec();
    axes.iter().for_each(|&axis| kept[axis] = 1);
    let cells = index::spread(&kept, x.shape());
    let lines = count(&kept).unwrap_or(0);
    let size = x.len() / lines.max(1);
    precision!(x.element(), T => {
        let values = T::read(x).ok_or(Problem::Excluded)?;
        let (mut sums, mut squares) = (vec![T::ZERO; lines], vec![T::ZERO; lines]);
        for (&value, &cell) in context.crew().watched(values.iter().zip(&cells), 4) {
            sums[cell] += value;
            squares[cell] = value.fma(value, squares[cell]);
        }
        let count = T::count(size);
        let deviation = |cell: usize| {
            let mean = sums[cell] / count;
            (squares[cell] / count - mean * mean).square_root()
        };
        let y = context.crew().fill(values.len(), 16, T::ZERO, |at| {
            let (value, cell) = (values[at], cells[at]);
            (value - sums[cell] / count) / (deviation(cell) + T::of(1e-9))
        });
        Ok(vec![T::write(x.element(), x.shape(), y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}
