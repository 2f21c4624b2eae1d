//! What it takes to re-execute an answer, counted from the graph alone: before anything runs, the same number for everybody.
//!
//! A unit is a multiplication and an addition of a linear operator. The count is an upper bound that everyone can make, not
//! a measurement: workers refuse and judges find impossible by it (`specs/evidence.md`, *Work*), so a change of it is a
//! change of the rules.

use graph::{Checked, Fact, Node, Reach, Source};

/// What an element that is written costs beside the products that it is the sum of.
const ELEMENT: u64 = 16;
/// What one operation of a program's account costs: programs write memory where graphs multiply.
const PROGRAM_OPERATION: u64 = 64;
/// Operators that multiply two computed values inside of a row, and how many products each has: each output is a sum over the
/// innermost size of an input.
const PRODUCTS: [(&str, u64); 1] = [("attend", 2)];

/// The work of running a model: so much a call, so much a row, so much for a row and one that it looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    pub call: u64,
    pub row: u64,
    pub pair: u64,
}

impl Work {
    pub(crate) fn of_graph(checked: &Checked) -> Self {
        let nodes = checked.graph().nodes.iter().enumerate();
        nodes.fold(Self::default(), |work, (index, node)| work.with(checked, node, checked.node_fact(index)))
    }

    /// A program is bounded by the account of its run.
    pub(crate) fn of_program(operations: u64) -> Self {
        Self { call: operations.saturating_mul(PROGRAM_OPERATION), ..Self::default() }
    }

    /// Operations that a program may have for so much work.
    pub(crate) fn operations(limit: u64) -> u64 {
        limit / PROGRAM_OPERATION
    }

    /// Of one text of so many tokens, or of a call with so many rows.
    pub fn of(&self, rows: usize) -> u64 {
        let rows = rows as u64;
        let pairs = u128::from(rows) * (u128::from(rows) + 1) / 2;
        let pairs = u64::try_from(pairs).unwrap_or(u64::MAX).saturating_mul(self.pair);
        self.call.saturating_add(rows.saturating_mul(self.row)).saturating_add(pairs)
    }

    /// The most rows, up to `most`, whose work is no more than `limit`.
    pub fn rows_within(&self, limit: u64, most: usize) -> usize {
        let (mut low, mut high) = (0, most);
        while low < high {
            let middle = high - (high - low) / 2;
            if self.of(middle) <= limit {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    fn with(self, checked: &Checked, node: &Node, output: Option<&Fact>) -> Self {
        let elements = output.and_then(|fact| fact.shape.count(1)).unwrap_or(usize::MAX) as u64;
        let sums = node.inputs.iter().map(|&input| terms(checked, node, input)).max().unwrap_or(0);
        let each = sums.saturating_add(ELEMENT);
        let pairs = match node.operator.reach {
            Reach::Row | Reach::Position => 0,
            // A query times its key, and its weight times the value.
            Reach::Before => 2,
            Reach::All => 4,
        };
        Self {
            row: self.row.saturating_add(elements.saturating_mul(each)),
            pair: self.pair.saturating_add(elements.saturating_mul(pairs)),
            ..self
        }
    }
}

/// Products that an element of the node's output is the sum of, as far as an input decides it.
fn terms(checked: &Checked, node: &Node, input: Source) -> u64 {
    let Some(fact) = checked.fact(input) else { return 0 };
    let product = PRODUCTS.iter().find(|(name, _)| *name == node.operator.name);
    let terms = match (&fact.constant, product) {
        (Some(constant), _) => match constant.as_packed() {
            Some(packed) => packed.columns(),
            // A kernel of a convolution, or a matrix as it stands: all sizes but the outputs'.
            None if constant.shape().len() >= 2 => constant.shape().iter().skip(1).product(),
            None => 1,
        },
        (None, Some((_, products))) => {
            let inner = fact.shape.0.iter().rev().take(2).map(|size| match size {
                graph::Dimension::Fixed(size) => *size,
                graph::Dimension::Rows => 1,
            });
            inner.max().unwrap_or(1).saturating_mul(*products as usize)
        }
        (None, None) => 0,
    };
    terms as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_within_a_limit_are_found() {
        let work = Work { call: 5, row: 10, pair: 2 };
        assert_eq!([0, 1, 2, 3].map(|rows| work.of(rows)), [5, 17, 31, 47]);
        for (limit, rows) in [(0, 0), (16, 0), (17, 1), (30, 1), (31, 2), (46, 2), (u64::MAX, 9)] {
            assert_eq!(work.rows_within(limit, 9), rows, "{limit}");
        }
        let vast = Work { call: 0, row: u64::MAX, pair: u64::MAX };
        assert_eq!((vast.of(usize::MAX), vast.rows_within(u64::MAX - 1, 7)), (u64::MAX, 0));
    }

    #[test]
    fn a_program_is_what_its_account_allows() {
        let work = Work::of_program(1 << 34);
        assert_eq!((work.of(0), work.of(7)), (1 << 40, 1 << 40));
        assert_eq!(Work::operations(work.call), 1 << 34);
    }
}
