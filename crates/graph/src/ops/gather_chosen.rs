//! `gather_chosen`: from each row the numbers at the indices that another tensor has for that row.

use super::{excluded, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    tensor::{Element, Tensor},
};

pub static OPERATOR: Operator = Operator {
    name: "gather_chosen",
    kind: Kind::Movement,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds,
    work: walk::beside,
    meaning,
};

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.input(0)?;
    if matches!(x.element, Element::Packed(_)) {
        return Err(Refusal::Element { input: 0, expected: "numbers that are not packed", found: x.element });
    }
    let choice = site.expect_element(1, Element::I32)?;
    let (width, count) = (site.width(0)?, site.width(1)?);
    super::gather_rows::check_indices(choice.interval, width)?;
    if choice.shape != with_width(&x.shape, count) {
        return Err(site.shape_refusal(1, &format!("that of {} but for the innermost size", x.shape)));
    }
    Ok(Form { element: x.element, shape: choice.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(0)?.interval)
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let choice = integers("gather_chosen", inputs, 1)?;
    let ((_, width), (_, count)) = (inputs[0].rows_and_width(), inputs[1].rows_and_width());
    let (bytes, size) = (inputs[0].to_bytes(), inputs[0].element().bytes());
    let mut chosen = Vec::with_capacity(choice.len() * size);
    for (place, &index) in choice.iter().enumerate() {
        chosen.extend_from_slice(&bytes[(place / count * width + index as usize) * size..][..size]);
    }
    Tensor::from_bytes(inputs[0].element(), inputs[1].shape(), &chosen).ok_or(excluded("gather_chosen"))
}
