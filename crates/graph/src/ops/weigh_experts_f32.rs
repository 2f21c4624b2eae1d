//! `weigh_experts_f32`: the scores of the chosen experts, divided by their sum where `normalise` is 1, times `scale`.
//!
//! The sum runs over the choice in its order, from +0; each weight is one division and one product.

use super::{excluded, float_tensor, floats, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Kind, Operator, Reach, Refusal, Site, no_bounds, with_width},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "weigh_experts_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["normalise", "scale"],
    shape,
    bounds: no_bounds,
    work: walk::mapped,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let scores = site.expect_element(0, Element::F32)?;
    let choice = site.expect_element(1, Element::I32)?;
    let (experts, count) = (site.width(0)?, site.width(1)?);
    super::gather_rows::check_indices(choice.interval, experts)?;
    if choice.shape != with_width(&scores.shape, count) {
        return Err(site.shape_refusal(1, &format!("that of {} but for the innermost size", scores.shape)));
    }
    site.attributes.integer_in("normalise", 0, 1)?;
    site.attributes.float("scale")?;
    Ok(Form { element: Element::F32, shape: choice.shape.clone() })
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (scores, choice) = (floats("weigh_experts_f32", inputs, 0)?, integers("weigh_experts_f32", inputs, 1)?);
    let normalise = attributes.integer("normalise").map_err(|_| excluded("weigh_experts_f32"))? == 1;
    let scale = attributes.float("scale").map_err(|_| excluded("weigh_experts_f32"))?;
    let ((_, experts), (_, count)) = (inputs[0].rows_and_width(), inputs[1].rows_and_width());
    let mut values = Vec::new();
    for (scores, choice) in scores.chunks_exact(experts).zip(choice.chunks_exact(count)) {
        let chosen: Vec<f32> = choice.iter().map(|&expert| scores[expert as usize]).collect();
        let sum = chosen.iter().fold(0.0_f32, |sum, score| sum + score);
        values.extend(chosen.iter().map(|score| if normalise { score / sum * scale } else { score * scale }));
    }
    float_tensor("weigh_experts_f32", inputs[1].shape(), values)
}
