//! `lookup`: replaces each integer by an entry of a constant table: any function of one small integer.

use super::{integer_tensor, integers, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site},
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "lookup",
    kind: Kind::Integer,
    reach: Reach::Row,
    inputs: (2, 2),
    attributes: &["first"],
    shape,
    bounds,
    work,
    meaning,
};

/// Entries of the largest table.
pub const ENTRIES_MAX: usize = 1 << 16;

fn shape(site: &Site) -> Result<Form, Refusal> {
    let x = site.expect_integer(0)?;
    let table = site.expect_integer(1)?;
    let [entries] = *site.expect_constant(1)?.shape() else { return Err(site.shape_refusal(1, "[entries]")) };
    if entries == 0 || entries > ENTRIES_MAX {
        return Err(site.shape_refusal(1, "[1 to 65536 entries]"));
    }
    let first = site.attributes.integer_in("first", -(1 << 31), 1 << 31)?;
    let last = first + i64::try_from(entries).unwrap_or(i64::MAX) - 1;
    if x.interval.low < first || x.interval.high > last {
        return Err(Refusal::Overflow { what: "the entries of the table", magnitude: x.interval.magnitude() });
    }
    Ok(Form { element: table.element, shape: x.shape.clone() })
}

fn bounds(site: &Site) -> Result<Interval, Refusal> {
    Ok(site.input(1)?.interval)
}

fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
    let walked = walk::walked(site, form)?;
    Ok(if site.input(0)?.element == Element::I64 { walked.and(walk::widened(site, 1)?) } else { walked })
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let first = attributes.integer("first").map_err(|_| super::excluded("lookup"))?;
    let (x, table) = (integers("lookup", inputs, 0)?, integers("lookup", inputs, 1)?);
    let values = x.into_iter().map(|x| table[(x - first) as usize]).collect();
    integer_tensor("lookup", inputs[1].element(), inputs[0].shape(), values)
}
