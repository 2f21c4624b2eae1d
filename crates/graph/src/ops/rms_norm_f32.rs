//! `rms_norm_f32`: `(x · (1 / √(mean of squares + epsilon))) · gain`.
//!
//! Squares are summed in 16 strided lanes by fused multiply-adds, then the lanes by a fixed tree.

use super::{excluded, float_tensor, floats, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "rms_norm_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["epsilon"],
    shape,
    bounds: no_bounds,
    work,
    meaning,
};

/// Partial sums kept side by side.
pub const LANES: usize = 16;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_element(0, Element::F32)?;
    site.expect_element(1, Element::F32)?;
    site.expect_constant(1)?;
    site.expect_shape(1, &Shape::fixed(&[site.width(0)?]))?;
    site.attributes.float("epsilon")?;
    Ok(Form { element: Element::F32, shape: x.shape.clone() })
}

/// The lanes' sum: 8 apart, then 4, 2, 1.
pub fn tree(mut lanes: [f32; LANES]) -> f32 {
    for distance in [8, 4, 2, 1] {
        for lane in 0..distance {
            lanes[lane] += lanes[lane + distance];
        }
    }
    lanes[0]
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let roots = Work::of_row(walk::inner_rows(site)?.saturating_mul(walk::STEP));
    Ok(roots.and(walk::beside(site, form)?))
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let epsilon = attributes.float("epsilon").map_err(|_| excluded("rms_norm_f32"))?;
    let (x, gain) = (floats("rms_norm_f32", inputs, 0)?, floats("rms_norm_f32", inputs, 1)?);
    let mut values = Vec::new();
    for row in x.chunks_exact(gain.len()) {
        let mut lanes = [0.0_f32; LANES];
        for (index, x) in row.iter().enumerate() {
            lanes[index % LANES] = x.mul_add(*x, lanes[index % LANES]);
        }
        let mean = tree(lanes) / row.len() as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        values.extend(row.iter().zip(gain).map(|(x, gain)| x * scale * gain));
    }
    float_tensor("rms_norm_f32", inputs[0].shape(), values)
}
