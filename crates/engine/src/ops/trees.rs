//! Fast `trees`: a tree walks several rows at once, so that their steps wait for memory together.

use graph::{
    Data, Element, Fault,
    ops::trees::{SPLIT, VOTE},
};

use crate::{
    constants::Numbers,
    kernel::{Call, Kernel, Making, State, excluded},
};

/// Rows that walk together.
const ROWS: usize = 16;
/// Rows of a piece that is worth another thread.
const PIECE: usize = if cfg!(test) { 3 } else { 64 };

/// Everything where it lies in the graph.
struct Trees {
    splits: Numbers<i32>,
    leaves: Numbers<i32>,
    votes: Numbers<i32>,
    roots: Numbers<i32>,
    features: usize,
    targets: usize,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let known = matches!(making.inputs.first()?.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    let kernel = Trees {
        splits: making.numbers(1)?,
        leaves: making.numbers(2)?,
        votes: making.numbers(3)?,
        roots: making.numbers(4)?,
        features: making.width(0)?,
        targets: usize::try_from(making.integer("targets")?).ok()?,
    };
    known.then(|| Box::new(kernel) as Box<dyn Kernel>)
}

impl Kernel for Trees {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let Data::I32(out) = out else { return Err(excluded("trees")) };
        match call.inputs.first() {
            Some(Data::I8(x)) => self.all(call, x, out),
            Some(Data::U8(x)) => self.all(call, x, out),
            Some(Data::I16(x)) => self.all(call, x, out),
            Some(Data::I32(x)) => self.all(call, x, out),
            _ => return Err(excluded("trees")),
        }
        Ok(())
    }
}

impl Trees {
    fn all<T: Copy + Into<i32> + Sync>(&self, call: &Call, x: &[T], out: &mut [i32]) {
        call.threads.each(out, self.targets, PIECE, |first, out| {
            let mut rows = Vec::with_capacity(ROWS * self.features);
            let x = x.get(first * self.features..).unwrap_or(&[]);
            for (x, out) in x.chunks(ROWS * self.features).zip(out.chunks_mut(ROWS * self.targets)) {
                let count = out.len() / self.targets;
                rows.clear();
                rows.extend(x[..count * self.features].iter().map(|&x| -> i32 { x.into() }));
                out.fill(0);
                self.block(&rows, out);
            }
        });
    }

    /// Up to `ROWS` rows through all trees.
    fn block(&self, rows: &[i32], out: &mut [i32]) {
        let ((splits, _), (votes, _)) = (self.splits.as_chunks::<SPLIT>(), self.votes.as_chunks::<VOTE>());
        let leaves = &self.leaves[..];
        let mut places = [0_i32; ROWS];
        let places = &mut places[..out.len() / self.targets];
        for &root in self.roots.iter() {
            places.fill(root);
            let mut walking = root >= 0;
            while walking {
                walking = false;
                for (place, row) in places.iter_mut().zip(rows.chunks_exact(self.features)) {
                    // What is below 0 is a leaf.
                    let Some(split) = usize::try_from(*place).ok().and_then(|place| splits.get(place)) else {
                        continue;
                    };
                    // Where the walk goes on: where the feature is at most the value, and behind that where it is above.
                    let above = usize::from(row[split[0] as usize] > split[1]);
                    *place = split[2 + above];
                    walking |= *place >= 0;
                }
            }
            for (&place, sums) in places.iter().zip(out.chunks_exact_mut(self.targets)) {
                let leaf = !place as usize;
                for &[target, weight] in &votes[leaves[leaf] as usize..leaves[leaf + 1] as usize] {
                    // The sum fits, whatever it passes on its way.
                    sums[target as usize] = sums[target as usize].wrapping_add(weight);
                }
            }
        }
    }
}
