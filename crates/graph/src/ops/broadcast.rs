//! Broadcasting of two operands: sizes are compared from the innermost outward, and a size of 1 repeats.

use super::{float_tensor, floats, walk};
use crate::{
    evaluate::Fault,
    operator::{Form, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

/// The form of a float operator of two operands.
pub fn float_form(site: &Site) -> Result<Form, Refusal> {
    site.expect_element(0, Element::F32)?;
    site.expect_element(1, Element::F32)?;
    Ok(Form { element: Element::F32, shape: shape(site)? })
}

/// One IEEE operation on each pair of elements.
pub fn zip_floats(name: &'static str, inputs: &[&Tensor], each: fn(f32, f32) -> f32) -> Result<Tensor, Fault> {
    let (left, right) = (floats(name, inputs, 0)?, floats(name, inputs, 1)?);
    let (sizes, pairs) = pairs(inputs[0].shape(), inputs[1].shape());
    let values = pairs.into_iter().map(|(one, other)| each(left[one], right[other])).collect();
    float_tensor(name, &sizes, values)
}

/// The common shape of inputs 0 and 1.
pub fn shape(site: &Site) -> Result<Shape, Refusal> {
    let (left, right) = (&site.input(0)?.shape, &site.input(1)?.shape);
    let rank = left.rank().max(right.rank());
    let at = |shape: &Shape, index: usize| {
        (index + shape.rank()).checked_sub(rank).and_then(|index| shape.0.get(index).copied())
    };
    let mut common = Vec::new();
    for index in 0..rank {
        let size = match (at(left, index), at(right, index)) {
            (Some(size), None | Some(Dimension::Fixed(1))) | (None | Some(Dimension::Fixed(1)), Some(size)) => size,
            (Some(one), Some(other)) if one == other => one,
            _ => return Err(site.shape_refusal(1, &format!("one that broadcasts with {left}"))),
        };
        common.push(size);
    }
    Ok(Shape(common))
}

/// Operands of one shape pass side by side, where a row of them has a width.
pub fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let is_fast = form.shape.width().is_some() && site.input(0)?.shape == site.input(1)?.shape;
    if is_fast { walk::walked(site, form) } else { walk::alone(site, form) }
}

/// The common sizes, and for each element of the result the flat indices of its operands.
pub fn pairs(left: &[usize], right: &[usize]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let rank = left.len().max(right.len());
    let at = |shape: &[usize], index: usize| {
        (index + shape.len()).checked_sub(rank).and_then(|index| shape.get(index).copied()).unwrap_or(1)
    };
    let sizes: Vec<usize> = (0..rank)
        .map(|index| {
            let (one, other) = (at(left, index), at(right, index));
            if one == 1 { other } else { one }
        })
        .collect();
    let steps = |shape: &[usize]| {
        let mut step = 1;
        let mut steps: Vec<usize> = (0..rank)
            .rev()
            .map(|index| {
                let size = at(shape, index);
                let own = if size == 1 { 0 } else { step };
                step *= size;
                own
            })
            .collect();
        steps.reverse();
        steps
    };
    let (left, right) = (steps(left), steps(right));
    let (mut place, mut pair) = (vec![0; rank], (0, 0));
    let count = sizes.iter().product();
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push(pair);
        for axis in (0..rank).rev() {
            (place[axis], pair) = (place[axis] + 1, (pair.0 + left[axis], pair.1 + right[axis]));
            if place[axis] < sizes[axis] {
                break;
            }
            pair = (pair.0 - left[axis] * sizes[axis], pair.1 - right[axis] * sizes[axis]);
            place[axis] = 0;
        }
    }
    (sizes, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_repeats_over_a_matrix() {
        assert_eq!(pairs(&[2, 2], &[2]), (vec![2, 2], vec![(0, 0), (1, 1), (2, 0), (3, 1)]));
        assert_eq!(pairs(&[2, 1], &[1, 2]), (vec![2, 2], vec![(0, 0), (0, 1), (1, 0), (1, 1)]));
        assert_eq!(pairs(&[], &[1, 2]), (vec![1, 2], vec![(0, 0), (0, 1)]));
        assert_eq!(pairs(&[2, 2, 1], &[2, 1, 2]).1[3..6], [(1, 1), (2, 2), (2, 3)]);
        assert_eq!(pairs(&[0, 2], &[2]), (vec![0, 2], vec![]));
    }
}
