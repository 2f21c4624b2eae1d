//! `Reshape` to a constant shape and `Flatten`; the symbolic dimension stays outermost.

use crate::Attributes;
use crate::graph::Source;
use crate::onnx::error::OnnxError;
use crate::onnx::lowering::{Lowering, Value, axis, integer, output, problem};
use crate::onnx::proto::Node;
use crate::ops;
use crate::shape::{Dimension, Shape};

pub fn lower(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let x = lowering.source(node, 0)?;
    let wanted = lowering.integers(node, 1)?;
    let keeps_zero = integer(node, "allowzero", 0)? == 0;
    let shape = resolve(&lowering.shape(x), &wanted, keeps_zero)
        .ok_or_else(|| problem(node, format!("cannot bring {} to {wanted:?}", lowering.shape(x))))?;
    to_shape(lowering, node, x, &shape)
}

pub fn flatten(lowering: &mut Lowering, node: &Node<'_>) -> Result<Value, OnnxError> {
    let x = lowering.source(node, 0)?;
    let shape = lowering.shape(x);
    let axis = axis(node, integer(node, "axis", 1)?, shape.rank().saturating_add(1))?;
    if axis != 1 {
        return Err(problem(node, format!("flattens from axis {axis}, expected 1")));
    }
    let count = Shape(shape.0.iter().skip(1).copied().collect()).count(1);
    let (Some(outermost), Some(count)) = (shape.0.first().copied(), count) else {
        return Err(problem(node, format!("cannot flatten {shape}")));
    };
    to_shape(lowering, node, x, &Shape(vec![outermost, Dimension::Fixed(count)]))
}

/// Adds the exact `reshape`.
pub fn to_shape(lowering: &mut Lowering, node: &Node<'_>, x: Source, shape: &Shape) -> Result<Value, OnnxError> {
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dimension::Rows => 0,
    };
    let sizes: Vec<i64> = shape.0.iter().map(size).collect();
    let attributes = Attributes::new().with("sizes", sizes);
    lowering.add(node, output(node), &ops::reshape::OPERATOR, attributes, &[x]).map(Value::Placed)
}

/// What ONNX's target means for `shape`: 0 keeps a size, -1 takes what is left; the rows may be kept by either.
fn resolve(shape: &Shape, wanted: &[i64], keeps_zero: bool) -> Option<Shape> {
    let mut sizes = Vec::new();
    for (index, &size) in wanted.iter().enumerate() {
        sizes.push(match size {
            0 if keeps_zero => Some(shape.0.get(index).copied()?),
            -1 => None,
            _ => Some(Dimension::Fixed(usize::try_from(size).ok().filter(|&size| size > 0)?)),
        });
    }
    if sizes.iter().filter(|size| size.is_none()).count() > 1 {
        return None;
    }
    let known = Shape(sizes.iter().copied().flatten().collect());
    let left = match (shape.has_rows(), known.has_rows()) {
        // The rows are the only size that is not known, so they are what is left.
        (true, false) if known.count(1)? == shape.count(1)? => Dimension::Rows,
        (rows, kept) if rows == kept => Dimension::Fixed(shape.count(1)?.checked_div(known.count(1)?)?),
        _ => return None,
    };
    Some(Shape(sizes.into_iter().map(|size| size.unwrap_or(left)).collect()))
}
