//! `TfIdfVectorizer`: how often each n-gram of a pool occurs in a row of integers or texts, its items apart by up to `max_skip_count` others;
//! weighted by one product.

use std::collections::BTreeMap;

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "TfIdfVectorizer",
    domain: "",
    versions: &[9],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &[
        "max_gram_length",
        "max_skip_count",
        "min_gram_length",
        "mode",
        "ngram_counts",
        "ngram_indexes",
        "pool_int64s",
        "pool_strings",
        "weights",
    ],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let (rows, size) = match *x.shape() {
        [] => (1, 1),
        [size] => (1, size),
        [rows, size] => (rows, size),
        _ => return Err(Problem::shape(0, "a row or rows", x.shape())),
    };
    let plan = Plan::of(node)?;
    let mut shape = x.shape().to_vec();
    shape.pop();
    shape.push(plan.columns);
    let places = context.room(&shape, Element::F32)?;
    let turns = (plan.most * plan.skips) as u64;
    context.spend((x.len() as u64).saturating_mul(turns).saturating_mul(plan.most as u64 + 8))?;
    context.bytes(x.len() as u64 * 16)?;
    let mut counts = vec![0_u64; places];
    let lines = counts.chunks_exact_mut(plan.columns.max(1)).take(rows).enumerate();
    match (node.integers("pool_int64s")?, node.texts("pool_strings")?) {
        (Some(pool), None) => {
            let grams = plan.grams(pool.iter().collect())?;
            let items = inputs.integers(0)?;
            lines.for_each(|(row, counts)| plan.count(&grams, &items[row * size..][..size], counts));
        }
        (None, Some(pool)) => {
            let grams = plan.grams(pool.iter().collect())?;
            let items = inputs.texts(0)?;
            lines.for_each(|(row, counts)| plan.count(&grams, &items[row * size..][..size], counts));
        }
        _ => return Err(Problem::Attribute { name: "pool_int64s", expected: "one pool, of integers or of texts" }),
    }
    Ok(vec![Array::f32s(&shape, plan.weighted(node, &counts)?)?.into()])
}

/// What the attributes say, checked.
struct Plan<'n> {
    least: usize,
    most: usize,
    /// Distances between items, from 1.
    skips: usize,
    /// Where the n-grams of each length begin in the pool.
    starts: &'n [i64],
    /// The column of each n-gram of the pool.
    indexes: Vec<usize>,
    columns: usize,
}

impl<'n> Plan<'n> {
    fn of(node: &'n Node) -> Result<Self, Problem> {
        let size = |name, least: i64| match node.integer_or_none(name)? {
            Some(size) if (least..1 << 16).contains(&size) => Ok(size as usize),
            _ => Err(Problem::Attribute { name, expected: "a size below 2^16" }),
        };
        let refused = || Problem::Attribute { name: "ngram_indexes", expected: "a column for each n-gram" };
        let indexes = node.integers("ngram_indexes")?.ok_or_else(refused)?;
        let indexes: Result<Vec<usize>, Problem> =
            indexes.iter().map(|&index| usize::try_from(index).ok().filter(|&index| index < 1 << 31).ok_or_else(refused)).collect();
        let indexes = indexes?;
        let columns = indexes.iter().max().map_or(0, |most| most + 1);
        let starts = node.integers("ngram_counts")?.unwrap_or_default();
        let (least, most) = (size("min_gram_length", 1)?, size("max_gram_length", 1)?);
        Ok(Self { least, most, skips: size("max_skip_count", 0)? + 1, starts, indexes, columns })
    }

    /// The columns of the n-grams of the lengths that count; of two equal ones the later.
    fn grams<I: Ord + Copy>(&self, pool: Vec<I>) -> Result<BTreeMap<Vec<I>, usize>, Problem> {
        let refused = || Problem::Attribute { name: "ngram_counts", expected: "rising places of the pool, whole n-grams apart" };
        let mut grams = BTreeMap::new();
        let mut columns = self.indexes.iter();
        for (index, &start) in self.starts.iter().enumerate() {
            let end = self.starts.get(index + 1).map_or(Some(pool.len()), |&end| usize::try_from(end).ok());
            let items = usize::try_from(start).ok().zip(end).and_then(|(start, end)| pool.get(start..end)).ok_or_else(refused)?;
            for gram in items.chunks_exact(index + 1) {
                let column = *columns.next().ok_or_else(refused)?;
                if (self.least..=self.most).contains(&(index + 1)) {
                    grams.insert(gram.to_vec(), column);
                }
            }
        }
        Ok(grams)
    }

    /// Adds a row's n-grams; those of one item, which no distance changes, once.
    fn count<'i, I: Ord>(&self, grams: &BTreeMap<Vec<&'i I>, usize>, items: &'i [I], counts: &mut [u64]) {
        for skip in 1..=self.skips {
            let least = if skip > 1 { self.least.max(2) } else { self.least };
            for start in 0..items.len() {
                let mut gram: Vec<&I> = Vec::new();
                for item in items[start..].iter().step_by(skip).take(self.most) {
                    gram.push(item);
                    if gram.len() >= least && let Some(&column) = grams.get(&gram) {
                        counts[column] += 1;
                    }
                }
            }
        }
    }

    fn weighted(&self, node: &Node, counts: &[u64]) -> Result<Vec<f32>, Problem> {
        let weights = node.floats("weights")?.filter(|weights| !weights.is_empty());
        if weights.is_some_and(|weights| weights.len() < self.columns) {
            return Err(Problem::Attribute { name: "weights", expected: "a weight for each column" });
        }
        let weight = |place: usize| weights.map_or(1.0, |weights| weights[place % self.columns]);
        let counted = counts.iter().enumerate();
        Ok(match node.text("mode", "")? {
            "TF" => counts.iter().map(|&count| count as f32).collect(),
            "IDF" => counted.map(|(place, &count)| if count > 0 { weight(place) } else { 0.0 }).collect(),
            "TFIDF" => counted.map(|(place, &count)| weight(place) * count as f32).collect(),
            _ => return Err(Problem::Attribute { name: "mode", expected: "TF, IDF or TFIDF" }),
        })
    }
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    let plan = Plan::of(node)?;
    match (node.integers("pool_int64s")?, node.texts("pool_strings")?) {
        (Some(pool), None) => plan.grams(pool.iter().collect()).map(|_| ()),
        (None, Some(pool)) => plan.grams(pool.iter().collect()).map(|_| ()),
        _ => Err(Problem::Attribute { name: "pool_int64s", expected: "one pool, of integers or of texts" }),
    }
}
