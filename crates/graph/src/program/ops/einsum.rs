//! `Einsum`: a sum of products over named axes: for each place of the output the sum from +0 over the other names, in the order in which they first come, of the products from the first operand to the last, the last by fma.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Einsum",
    domain: "",
    versions: &[12, 28],
    inputs: (1, MANY),
    outputs: (1, 1),
    attributes: &["equation"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let arrays: Result<Vec<&Array>, Problem> = (0..inputs.len()).map(|input| inputs.tensor(input).map(AsRef::as_ref)).collect();
    let arrays = arrays?;
    let plan = Plan::parse(node.text("equation", "")?, &arrays)?;
    let element = arrays.first().ok_or(Problem::Missing { input: 0 })?.element();
    if let Some(input) = arrays.iter().position(|array| array.element() != element) {
        return Err(inputs.element(input, element.name()));
    }
    let (shape, inner) = (plan.sizes(&plan.output), plan.sizes(&plan.summed));
    let total = context.room(&shape, element)?;
    let inner_count = count(&inner).unwrap_or(usize::MAX);
    context.bytes((total as u64).saturating_add(inner_count as u64).saturating_mul(8 * arrays.len() as u64))?;
    context.spend((total as u64).saturating_mul(inner_count as u64).saturating_mul(arrays.len() as u64))?;
    let walks: Vec<(Vec<usize>, Vec<usize>)> = (0..arrays.len())
        .map(|input| (index::walk(&shape, &plan.steps(input, &plan.output)), index::walk(&inner, &plan.steps(input, &plan.summed))))
        .collect();
    let (crew, work) = (context.crew(), arrays.len() * 4);
    let result = precision!(element, T => {
        let values: Option<Vec<_>> = arrays.iter().map(|array| T::read(array)).collect();
        let values = values.ok_or(Problem::Excluded)?;
        let one = |place: usize| {
            crew.watched(0..inner_count, work).fold(T::ZERO, |sum, step| {
                let number = |input: usize| values[input][walks[input].0[place] + walks[input].1[step]];
                let last = walks.len() - 1;
                let product = (0..last).map(number).reduce(|product, number| product * number);
                product.map_or_else(|| sum + number(last), |product| product.fma(number(last), sum))
            })
        };
        T::write(element, &shape, crew.fill(total, inner_count.saturating_mul(work), T::ZERO, one))
    }, else => {
        let values: Option<Vec<Vec<i128>>> = arrays.iter().map(|array| array.integers()).collect();
        let values = values.ok_or_else(|| inputs.element(0, "numbers"))?;
        let one = |place: usize| {
            crew.watched(0..inner_count, work).fold(0_i128, |sum, step| {
                let number = |input: usize| values[input][walks[input].0[place] + walks[input].1[step]];
                sum.wrapping_add((0..walks.len()).map(number).fold(1, i128::wrapping_mul))
            })
        };
        Array::wholes(element, &shape, crew.fill(total, inner_count.saturating_mul(work), 0, one).into_iter())
    });
    Ok(vec![result?.into()])
}

/// A name of an axis: a letter, or a place of the ellipsis counted from its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

struct Plan {
    /// The names of each operand's axes, and how far neighbours along them lie apart.
    operands: Vec<Vec<(Label, usize)>>,
    output: Vec<Label>,
    summed: Vec<Label>,
    known: std::collections::BTreeMap<Label, usize>,
}

impl Plan {
    fn parse(equation: &str, arrays: &[&Array]) -> Result<Self, Problem> {
        let refused = || Problem::value("attribute equation", format!("terms for {} operands", arrays.len()), equation);
        let text: String = equation.chars().filter(|letter| !letter.is_whitespace()).collect();
        let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(left, right)| (left, Some(right)));
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != arrays.len() {
            return Err(refused());
        }
        let mut plan = Self { operands: Vec::new(), output: Vec::new(), summed: Vec::new(), known: Default::default() };
        let mut widest = 0;
        for (term, array) in terms.iter().zip(arrays) {
            let letters = term.replace("...", "").chars().count();
            let ellipsis = array.rank().checked_sub(letters).filter(|&left| left == 0 || term.contains("...")).ok_or_else(refused)?;
            widest = widest.max(ellipsis);
            let labels = labels(term, ellipsis).ok_or_else(refused)?;
            plan.learn(&labels, array.shape()).ok_or_else(refused)?;
            // A size of 1 stands for every place of the label.
            let step = |(&size, step): (&usize, usize)| if size == 1 { 0 } else { step };
            let steps = array.shape().iter().zip(index::strides(array.shape())).map(step);
            plan.operands.push(labels.into_iter().zip(steps).collect());
        }
        plan.output = match right {
            Some(right) => labels(right, widest).ok_or_else(refused)?,
            None => plan.implied(widest),
        };
        if !plan.output.iter().all(|label| plan.known.contains_key(label)) {
            return Err(refused());
        }
        for (label, _) in plan.operands.iter().flatten() {
            if !plan.output.contains(label) && !plan.summed.contains(label) {
                plan.summed.push(*label);
            }
        }
        Ok(plan)
    }

    /// Notes the sizes; 1 gives way to others. `None` where two differ.
    fn learn(&mut self, labels: &[Label], shape: &[usize]) -> Option<()> {
        for (&label, &size) in labels.iter().zip(shape) {
            let known = self.known.entry(label).or_insert(size);
            match (*known, size) {
                (one, other) if one == other => {}
                (1, other) => *known = other,
                (_, 1) => {}
                _ => return None,
            }
        }
        Some(())
    }

    /// Without an arrow: the ellipsis, then all letters that come once, in the alphabet's order.
    fn implied(&self, widest: usize) -> Vec<Label> {
        let times = |label: &Label| self.operands.iter().flatten().filter(|(other, _)| other == label).count();
        let letters = self.known.keys().copied().filter(|label| matches!(label, Label::Letter(_)) && times(label) == 1);
        (0..widest).rev().map(Label::Ellipsis).chain(letters).collect()
    }

    fn sizes(&self, labels: &[Label]) -> Vec<usize> {
        labels.iter().map(|label| self.known.get(label).copied().unwrap_or(1)).collect()
    }

    /// How far a step along each label moves in an operand; a label that it has twice moves along its diagonal.
    fn steps(&self, operand: usize, labels: &[Label]) -> Vec<usize> {
        labels.iter().map(|label| self.operands[operand].iter().filter(|(own, _)| own == label).map(|(_, step)| step).sum()).collect()
    }
}

fn labels(term: &str, ellipsis: usize) -> Option<Vec<Label>> {
    let letters = |text: &str| text.chars().map(|letter| letter.is_ascii_alphabetic().then_some(Label::Letter(letter))).collect::<Option<Vec<_>>>();
    match term.split_once("...") {
        None => letters(term),
        Some((before, behind)) => Some([letters(before)?, (0..ellipsis).rev().map(Label::Ellipsis).collect(), letters(behind)?].concat()),
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let equation = node.text("equation", "")?;
    let terms = equation.split("->").next().unwrap_or("").split(',').count();
    match terms == node.inputs.len() {
        true => Ok(()),
        false => Err(Problem::value("attribute equation", format!("terms for {} operands", node.inputs.len()), equation)),
    }
}
