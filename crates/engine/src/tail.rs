//! Which nodes lie behind the last one that mixes rows: what they compute of a row needs no other row.

use graph::{Checked, Data, Dimension, Reach, Shape, Source};

/// The nodes of the tail, and what they read from before it.
pub struct Tail {
    holds: Vec<bool>,
    crossings: Vec<Source>,
}

impl Tail {
    pub fn of(checked: &Checked) -> Self {
        let graph = checked.graph();
        let mut holds = vec![true; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate().rev() {
            let keeps_rows = match node.operator.reach {
                Reach::Row | Reach::Position => {
                    checked.node_fact(index).is_some_and(|fact| leads_with_rows(&fact.shape))
                }
                Reach::Before | Reach::All => false,
            };
            let cuttable = |&source: &Source| {
                matches!(source, Source::Constant(_))
                    || checked.fact(source).is_some_and(|fact| leads_with_rows(&fact.shape))
            };
            if !holds[index] || !keeps_rows || !node.inputs.iter().all(cuttable) {
                holds[index] = false;
                // What a node before the tail reads is needed for all rows.
                for source in &node.inputs {
                    if let Source::Node(before) = *source {
                        holds[before] = false;
                    }
                }
            }
        }
        let is_before = |source: &Source| match *source {
            Source::Node(node) => !holds[node],
            Source::Input(_) => true,
            Source::Constant(_) => false,
        };
        let tail = graph.nodes.iter().zip(&holds).filter(|(_, holds)| **holds);
        let read = tail.flat_map(|(node, _)| node.inputs.iter().copied());
        let mut crossings: Vec<Source> =
            read.chain(graph.outputs.iter().map(|output| output.source)).filter(is_before).collect();
        crossings.sort_unstable();
        crossings.dedup();
        Self { holds, crossings }
    }

    pub fn holds(&self, node: usize) -> bool {
        self.holds[node]
    }

    /// Values from before the tail that it, or an output, reads.
    pub fn crossings(&self) -> &[Source] {
        &self.crossings
    }
}

fn leads_with_rows(shape: &Shape) -> bool {
    shape.0.first() == Some(&Dimension::Rows) && shape.0.iter().filter(|size| **size == Dimension::Rows).count() == 1
}

/// Copies the wanted ones of `rows` rows.
pub fn cut(whole: &Data, rows: usize, wanted: &[usize], out: &mut Data) {
    match (whole, out) {
        (Data::I8(whole), Data::I8(out)) => copy(whole, rows, wanted, out),
        (Data::U8(whole), Data::U8(out)) => copy(whole, rows, wanted, out),
        (Data::I16(whole), Data::I16(out)) => copy(whole, rows, wanted, out),
        (Data::I32(whole), Data::I32(out)) => copy(whole, rows, wanted, out),
        (Data::I64(whole), Data::I64(out)) => copy(whole, rows, wanted, out),
        (Data::F16(whole), Data::F16(out)) => copy(whole, rows, wanted, out),
        (Data::F32(whole), Data::F32(out)) => copy(whole, rows, wanted, out),
        (whole, out) => {
            *out = empty(whole);
            cut(whole, rows, wanted, out);
        }
    }
}

fn copy<T: Copy>(whole: &[T], rows: usize, wanted: &[usize], out: &mut Vec<T>) {
    let width = whole.len().checked_div(rows).unwrap_or(0);
    out.clear();
    wanted.iter().for_each(|row| out.extend_from_slice(&whole[row * width..][..width]));
}

fn empty(like: &Data) -> Data {
    match like {
        Data::I8(_) => Data::I8(Vec::new()),
        Data::U8(_) => Data::U8(Vec::new()),
        Data::I16(_) => Data::I16(Vec::new()),
        Data::I32(_) => Data::I32(Vec::new()),
        Data::I64(_) => Data::I64(Vec::new()),
        Data::F16(_) => Data::F16(Vec::new()),
        Data::F32(_) => Data::F32(Vec::new()),
    }
}
