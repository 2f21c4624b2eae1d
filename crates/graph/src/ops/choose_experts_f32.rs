//! `choose_experts_f32`: for each row of scores the indices of the greatest, the lowest index winning ties.
//!
//! With a bias, constant, scores count with it. With groups, the experts lie in that many groups of equal size; a group's
//! score is the sum of its `best` greatest, added in falling order from +0, and only the experts of the `kept` groups with
//! the greatest scores may be chosen. A score wins where it is greater than the one before it; no NaN is greater.

use super::{excluded, floats, integer_tensor, sizes_with_width, walk};
use crate::{
    attribute::Attributes,
    evaluate::Fault,
    operator::{Form, Interval, Kind, Operator, Reach, Refusal, Site, with_width},
    shape::Shape,
    tensor::{Element, Tensor},
    work::Work,
};

pub static OPERATOR: Operator = Operator {
    name: "choose_experts_f32",
    kind: Kind::Ordered,
    reach: Reach::Row,
    inputs: (1, 2),
    attributes: &["count", "groups", "kept", "best"],
    shape: |site| Choice::form(site, Element::F32),
    bounds: Choice::bounds,
    work: Choice::work,
    meaning,
};

/// Experts of a layer.
pub const EXPERTS_MAX: usize = 1 << 12;

/// How experts are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub count: usize,
    pub groups: usize,
    pub kept: usize,
    pub best: usize,
}

impl Choice {
    /// What chosen experts look like, by scores of these elements and perhaps a constant bias of the same.
    pub fn form(site: &Site, scores: Element) -> Result<Form, Refusal> {
        let scored = site.expect_element(0, scores)?;
        let experts = site.width(0)?;
        if experts > EXPERTS_MAX {
            return Err(site.shape_refusal(0, "at most 4096 experts"));
        }
        if site.inputs.len() > 1 {
            site.expect_element(1, scores)?;
            site.expect_constant(1)?;
            site.expect_shape(1, &Shape::fixed(&[experts]))?;
        }
        let choice = Self::read(site.attributes, experts)?;
        Ok(Form { element: Element::I32, shape: with_width(&scored.shape, choice.count) })
    }

    /// Every expert may be chosen.
    pub fn bounds(site: &Site) -> Result<Interval, Refusal> {
        let experts = i64::try_from(site.width(0)?).unwrap_or(i64::MAX);
        Ok(Interval { low: 0, high: experts.saturating_sub(1) })
    }

    /// Among so many experts.
    pub fn read(attributes: &Attributes, experts: usize) -> Result<Self, Refusal> {
        let optional = |name, limit| attributes.get(name).map_or(Ok(1), |_| attributes.size(name, limit));
        let groups = optional("groups", experts)?;
        let (kept, size) = (optional("kept", groups)?, experts / groups);
        if !experts.is_multiple_of(groups) {
            return Err(Refusal::Attribute { name: "groups", expected: "a divisor of the number of experts" });
        }
        Ok(Self { count: attributes.size("count", kept * size)?, groups, kept, best: optional("best", size)? })
    }

    /// The greatest are kept in their order: one that comes late may move them all.
    pub fn work(site: &Site, form: &Form) -> Result<Work, Refusal> {
        let experts = site.width(0)?;
        let Self { count, groups, kept, best } = Self::read(site.attributes, experts)?;
        let among = |all: usize, kept: usize| (all as u64).saturating_mul(walk::NUMBER * (2 + kept as u64));
        let of_groups = if groups > 1 { among(experts, best).saturating_add(among(groups, kept)) } else { 0 };
        let row = among(experts, count).saturating_add(of_groups);
        let rows = Work::of_row(walk::inner_rows(site)?.saturating_mul(row));
        Ok(rows.and(walk::beside(site, form)?))
    }

    /// The experts that a row of scores chooses, greatest first. Sums of groups begin at +0.
    pub fn choose<T: Copy + Default + PartialOrd + std::ops::Add<Output = T>>(&self, scores: &[T]) -> Vec<usize> {
        let size = scores.len() / self.groups;
        let of_group = |group: usize| {
            let scores = &scores[group * size..][..size];
            greatest(scores, |_| true, self.best).iter().fold(T::default(), |sum, &index| sum + scores[index])
        };
        let of_groups: Vec<T> = (0..self.groups).map(of_group).collect();
        let kept = greatest(&of_groups, |_| true, self.kept);
        greatest(scores, |expert| kept.contains(&(expert / size)), self.count)
    }
}

/// The indices of the `count` greatest of those allowed, in falling order.
fn greatest<T: PartialOrd>(values: &[T], allowed: impl Fn(usize) -> bool, count: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    for _ in 0..count {
        let mut best: Option<usize> = None;
        for (index, value) in values.iter().enumerate() {
            let free = allowed(index) && !chosen.contains(&index);
            if free && best.is_none_or(|best| *value > values[best]) {
                best = Some(index);
            }
        }
        chosen.extend(best);
    }
    chosen
}

fn meaning(attributes: &Attributes, inputs: &[&Tensor]) -> Result<Tensor, Fault> {
    let scores = floats("choose_experts_f32", inputs, 0)?;
    let bias = if inputs.len() > 1 { Some(floats("choose_experts_f32", inputs, 1)?) } else { None };
    let (_, experts) = inputs[0].rows_and_width();
    let choice = Choice::read(attributes, experts).map_err(|_| excluded("choose_experts_f32"))?;
    let mut values = Vec::new();
    for row in scores.chunks_exact(experts) {
        let corrected = match bias {
            Some(bias) => row.iter().zip(bias).map(|(score, bias)| score + bias).collect(),
            None => row.to_vec(),
        };
        values.extend(choice.choose(&corrected).into_iter().map(|expert| expert as i64));
    }
    let shape = sizes_with_width(inputs[0].shape(), choice.count);
    integer_tensor("choose_experts_f32", Element::I32, &shape, values)
}
