//! `softmax_f32`: over the innermost axis, `e_i / S` with `e_i = exp(x_i - max x)` by the specification's own exp and
//! `S` the sum of the `e_i` from the first to the last.

use super::{float_tensor, floats, map_f32, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    float,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    tensor::Tensor,
};

pub static OPERATOR: Operator = Operator {
    name: "softmax_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 1),
    attributes: &[],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    site.width(0)?;
    map_f32::shape(site)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let x = floats("softmax_f32", inputs, 0)?;
    let (_, width) = inputs[0].rows_and_width();
    let mut values = Vec::with_capacity(x.len());
    for row in x.chunks_exact(width) {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
        let powers: Vec<f32> = row.iter().map(|x| float::exp(x - most)).collect();
        let sum = powers.iter().fold(0.0_f32, |sum, power| sum + power);
        values.extend(powers.iter().map(|power| power / sum));
    }
    float_tensor("softmax_f32", inputs[0].shape(), values)
}
