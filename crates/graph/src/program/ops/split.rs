//! `Split`: consecutive pieces along an axis: of stated sizes, or as equal as their number allows, the last the smallest.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Split",
    domain: "",
    versions: &[2, 11, 13, 18],
    inputs: (1, 2),
    outputs: (1, MANY),
    attributes: &["axis", "num_outputs", "split"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axis = index::axis(node.integer("axis", 0)?, x.rank())?;
    let around = Around::new(x.shape(), axis);
    let stated = match inputs.integers_or_none(1)? {
        Some(sizes) => Some(sizes),
        None => node.integers("split")?.map(<[i64]>::to_vec),
    };
    let sizes = match stated {
        Some(sizes) => sizes,
        None => {
            let pieces = node.integer("num_outputs", node.outputs.len() as i64)?;
            equal(around.size, usize::try_from(pieces).ok().filter(|&pieces| pieces > 0 && pieces <= MANY).ok_or_else(|| {
                Problem::value("the number of pieces", format!("1 to {MANY}"), pieces)
            })?)
        }
    };
    let refused = || Problem::value("the sizes of the pieces", format!("{} in all", around.size), format!("{sizes:?}"));
    let whole: Result<Vec<usize>, Problem> = sizes.iter().map(|&size| usize::try_from(size).map_err(|_| refused())).collect();
    let whole = whole?;
    if whole.iter().try_fold(0_usize, |all, &size| all.checked_add(size)) != Some(around.size) {
        return Err(refused());
    }
    let (mut pieces, mut start) = (Vec::new(), 0);
    for size in whole {
        let mut shape = x.shape().to_vec();
        shape[axis] = size;
        let total = context.room(&shape, x.element())?;
        context.bytes(total as u64 * 8)?;
        let mut indices = Vec::with_capacity(total);
        for outer in 0..around.outer {
            let first = around.at(outer, start, 0);
            indices.extend(first..first + size * around.inner);
        }
        pieces.push(x.take(&shape, &indices)?.into());
        start += size;
    }
    Ok(pieces)
}

fn equal(size: usize, pieces: usize) -> Vec<i64> {
    let each = size.div_ceil(pieces);
    (0..pieces).map(|piece| size.saturating_sub(piece * each).min(each) as i64).collect()
}
