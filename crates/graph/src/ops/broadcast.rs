//! Broadcasting of two operands: sizes are compared from the innermost outward, and a size of 1 repeats.

use super::{float_tensor, floats};
use crate::{
    evaluate::Fault,
    operator::{Form, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
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
    let flat = |shape: &[usize], place: &[usize]| {
        (0..rank).fold(0, |flat, index| {
            let size = at(shape, index);
            flat * size + if size == 1 { 0 } else { place[index] }
        })
    };
    let count = sizes.iter().product();
    let pairs = (0..count).map(|index| {
        let mut place = vec![0; rank];
        let mut rest = index;
        for axis in (0..rank).rev() {
            place[axis] = rest % sizes[axis];
            rest /= sizes[axis];
        }
        (flat(left, &place), flat(right, &place))
    });
    let pairs = pairs.collect();
    (sizes, pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_repeats_over_a_matrix() {
        assert_eq!(pairs(&[2, 2], &[2]), (vec![2, 2], vec![(0, 0), (1, 1), (2, 0), (3, 1)]));
        assert_eq!(pairs(&[2, 1], &[1, 2]), (vec![2, 2], vec![(0, 0), (0, 1), (1, 0), (1, 1)]));
    }
}
