//! `GlobalAveragePool` in binary32: the sums of several channels side by side.

use graph::program::{Array, Context, Crew, Data, Element, Inputs, Node, Outcome, pool::global};

use super::{Row, product::Build, row};

pub const ROW: Row = row!("GlobalAveragePool", run);

/// Sums that run at once, so that none waits for its own last step.
const TOGETHER: usize = 8;

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (Data::F32(values), Ok((shape, plane))) = (x.data(), global(x)) else {
        return (node.operator.run)(node, inputs, context);
    };
    context.room(&shape, Element::F32)?;
    context.spend(x.len() as u64)?;
    let mut sums = vec![0.0; shape.iter().product()];
    lines::<B>(context.crew(), values, plane, &mut sums);
    sums.iter_mut().for_each(|sum| *sum /= plane as f32);
    Ok(vec![Array::f32s(&shape, sums)?.into()])
}

/// The sum of each line, from +0, in order.
pub fn lines<B: Build>(crew: &dyn Crew, values: &[f32], size: usize, sums: &mut [f32]) {
    if size > LONG {
        // A line may be the whole input: it is watched, and its sum has an order anyhow.
        return crew.rows(sums, 1, size, |first, sums| {
            for (line, sum) in sums.iter_mut().enumerate() {
                let blocks = crew.watched(values[(first + line) * size..][..size].chunks(LONG), LONG);
                *sum = blocks.flatten().fold(0.0, |sum, &value| sum + value);
            }
        });
    }
    crew.rows(sums, TOGETHER, size * TOGETHER, |first, sums| {
        let values = &values[(first * TOGETHER * size).min(values.len())..];
        B::plain(|| side_by_side(values, size, sums));
    });
}

/// Longer lines are summed alone.
const LONG: usize = 1 << 16;

#[inline(always)]
fn side_by_side(values: &[f32], size: usize, sums: &mut [f32]) {
    for (lines, sums) in values.chunks(TOGETHER * size.max(1)).zip(sums.chunks_mut(TOGETHER)) {
        let mut local = [0.0_f32; TOGETHER];
        if sums.len() == TOGETHER && lines.len() == TOGETHER * size {
            let lines: [&[f32]; TOGETHER] = std::array::from_fn(|line| &lines[line * size..][..size]);
            for at in 0..size {
                local.iter_mut().zip(&lines).for_each(|(sum, line)| *sum += line[at]);
            }
        } else {
            for (sum, line) in local.iter_mut().zip(lines.chunks_exact(size.max(1))) {
                *sum = line.iter().fold(0.0, |sum, &value| sum + value);
            }
        }
        sums.copy_from_slice(&local[..sums.len()]);
    }
}
