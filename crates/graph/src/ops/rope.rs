//! `rope`: turns each head's vector by angles that grow with the position; cosines and sines are a constant table.
//!
//! Half rotation: `y[j] = x[j]·c[j] - x[j+h]·s[j]`, `y[j+h] = x[j+h]·c[j] + x[j]·s[j]`, h half the head's width. The
//! table's row of a position holds h cosines, then h sines.

use super::{excluded, integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "rope",
    kind: Kind::Integer,
    reach: Reach::Position,
    inputs: (2, 2),
    attributes: &[],
    shape,
    bounds,
    work,
    meaning,
};

/// Width of one head, where x is `[rows, heads · head]` and the table `[at least rows_max, head]`.
pub(super) fn head(site: &Site) -> Result<usize, Refusal> {
    let x = &site.input(0)?.shape;
    let [Dimension::Rows, Dimension::Fixed(width)] = *x.0.as_slice() else {
        return Err(site.shape_refusal(0, "[rows, heads · head]"));
    };
    let [positions, head] = *site.expect_constant(1)?.shape() else {
        return Err(site.shape_refusal(1, "[positions, head]"));
    };
    if head == 0 || head % 2 != 0 || width % head != 0 || width == 0 {
        return Err(site.shape_refusal(1, &format!("[positions, an even divisor of {width}]")));
    }
    if positions < site.rows_max {
        return Err(site.shape_refusal(1, &format!("[{} positions or more, head]", site.rows_max)));
    }
    Ok(head)
}

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    site.expect_element(1, Element::I16)?;
    head(site)?;
    let Shape(sizes) = &x.shape;
    Ok(Form { element: Element::I32, shape: Shape(sizes.clone()) })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    let (x, table) = (site.input(0)?.interval, site.input(1)?.interval);
    let most = u128::from(x.magnitude()).saturating_mul(u128::from(table.magnitude())).saturating_mul(2);
    if most > super::linear::ACCUMULATOR_MAX {
        let magnitude = u64::try_from(most).unwrap_or(u64::MAX);
        return Err(Refusal::Overflow { what: "the accumulator's 2^30", magnitude });
    }
    Interval::symmetric(most, Element::I32)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    if site.input(0)?.element == Element::I16 {
        return walk::beside(site, form);
    }
    Ok(walk::alone(site, form)?.and(walk::widened(site, 1)?))
}

fn meaning(_: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let (x, table) = (integers("rope", inputs, 0)?, integers("rope", inputs, 1)?);
    let (&[_, width], &[_, head]) = (inputs[0].shape(), inputs[1].shape()) else { return Err(excluded("rope")) };
    let half = head / 2;
    let mut values = vec![0; x.len()];
    for (index, value) in values.iter_mut().enumerate() {
        let (position, place) = (index / width, index % head);
        let (cosine, sine) = (table[position * head + place % half], table[position * head + half + place % half]);
        *value = match place.checked_sub(half) {
            None => x[index] * cosine - x[index + half] * sine,
            Some(_) => x[index] * cosine + x[index - half] * sine,
        };
    }
    integer_tensor("rope", Element::I32, inputs[0].shape(), values)
}
