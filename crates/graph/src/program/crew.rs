//! Who computes the pieces of a node's work, and for whom: several hands may share them, and a run that nobody waits for any more ends
//! between two of them.
//!
//! What a piece computes never depends on how work is cut or on who does it. Work that is left unfinished leaves zeros
//! behind, which nobody sees: the step that runs the node looks once more when the node is done, and whoever left has left for good.

use std::sync::{Mutex, PoisonError};

/// Operations between two looks, as the accounts count them: a small part of a second where each costs fifty nanoseconds.
const LOOK: u64 = 1 << 19;
/// Fewer operations are not worth another hand.
const SHARE: u64 = 1 << 14;
/// Pieces for each hand where the work can be cut freely: late hands then cost little.
const PIECES_EACH: usize = 4;

/// How finely work is cut, in operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grain {
    /// Between two looks.
    pub look: u64,
    /// What is worth another hand.
    pub share: u64,
}

/// The hands that a run has.
pub trait Crew: Sync {
    /// How many work at once.
    fn count(&self) -> usize;

    /// Calls once for every number below `count`, in any order and perhaps at once; the rest are left out once nobody waits.
    fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync));

    /// Whether somebody waits for the run. Once it is false it stays so.
    fn stays(&self) -> bool;

    fn grain(&self) -> Grain {
        Grain { look: LOOK, share: SHARE }
    }
}

/// The caller's own hands, until all is done.
pub struct Alone;

impl Crew for Alone {
    fn count(&self) -> usize {
        1
    }

    fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(each);
    }

    fn stays(&self) -> bool {
        true
    }
}

impl<'c> dyn Crew + 'c {
    /// Calls `each(first row, rows of out)` for pieces of `out` that together are all of it. A row is `width` wide, the last perhaps
    /// less, and costs `work` operations.
    pub fn rows<T: Send>(&self, out: &mut [T], width: usize, work: usize, each: impl Fn(usize, &mut [T]) + Sync) {
        let (width, work) = (width.max(1), work.max(1) as u64);
        let rows = out.len().div_ceil(width);
        let (all, Grain { look, share }) = ((rows as u64).saturating_mul(work), self.grain());
        if rows == 0 || all <= look && (self.count() == 1 || all < 2 * share) {
            return if rows > 0 {
                each(0, out)
            };
        }
        let shared = rows.div_ceil(self.count() * PIECES_EACH).max((share / work) as usize);
        let piece = if self.count() == 1 { rows } else { shared }.min((look / work) as usize).max(1);
        let pieces: Vec<Mutex<&mut [T]>> = out.chunks_mut(piece * width).map(Mutex::new).collect();
        self.pieces(pieces.len(), &|index| {
            // Nobody else takes this piece; the lock only says so to the compiler.
            let mut out = pieces[index].lock().unwrap_or_else(PoisonError::into_inner);
            each(index * piece, &mut out);
        });
    }

    /// One value for each number below `count`, each of which costs `work` operations.
    pub fn fill<T: Clone + Send>(
        &self,
        count: usize,
        work: usize,
        zero: T,
        value: impl Fn(usize) -> T + Sync,
    ) -> Vec<T> {
        let mut all = vec![zero; count];
        self.rows(&mut all, 1, work, |first, out| {
            out.iter_mut().enumerate().for_each(|(at, out)| *out = value(first + at));
        });
        all
    }

    /// What walks through work that has an order, and asks now and then whether it may go on.
    pub fn look(&self) -> Look<'_> {
        Look { crew: self, left: self.grain().look, ended: false }
    }

    /// The items of an iterator, each of which costs `work` operations; fewer once nobody waits.
    pub fn watched<I: IntoIterator>(&self, items: I, work: usize) -> Watched<'_, I::IntoIter> {
        Watched { items: items.into_iter(), look: self.look(), work }
    }
}

/// Counts operations between two looks.
pub struct Look<'c> {
    crew: &'c dyn Crew,
    left: u64,
    ended: bool,
}

impl Look<'_> {
    /// Whether to go on with something that costs `work` operations.
    #[inline]
    pub fn on(&mut self, work: usize) -> bool {
        match self.left.checked_sub(work as u64) {
            Some(left) => self.left = left,
            None => {
                self.left = self.crew.grain().look;
                self.ended = self.ended || !self.crew.stays();
            }
        }
        !self.ended
    }
}

/// See [`watched`](trait@Crew).
pub struct Watched<'c, I> {
    items: I,
    look: Look<'c>,
    work: usize,
}

impl<I: Iterator> Iterator for Watched<'_, I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if self.look.on(self.work) { self.items.next() } else { None }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Who ends early has no use for what it made room for.
        self.items.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Hands that are left after so many looks.
    struct Leaving(AtomicUsize);

    impl Crew for Leaving {
        fn count(&self) -> usize {
            3
        }
        fn pieces(&self, count: usize, each: &(dyn Fn(usize) + Sync)) {
            (0..count).rev().take_while(|_| self.stays()).for_each(each);
        }
        fn stays(&self) -> bool {
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        }
    }

    #[test]
    fn pieces_of_rows_together_are_all_rows_and_the_last_may_be_short() {
        let many = Leaving(AtomicUsize::new(usize::MAX));
        for crew in [&Alone as &dyn Crew, &many] {
            for (length, width, work) in
                [(0, 3, 1), (1, 3, 1), (50, 3, 1 << 14), (101, 1, 1 << 30), (64, 5, 1), (7, 9, 9)]
            {
                let mut out = vec![0; length];
                crew.rows(&mut out, width, work, |first, out| {
                    out.chunks_mut(width).enumerate().for_each(|(row, out)| out.fill(first + row + 1));
                });
                assert!(out.iter().enumerate().all(|(at, &row)| row == at / width + 1), "{length} {width} {work}");
            }
            assert_eq!(crew.fill(1000, 1 << 12, 0, |at| at), (0..1000).collect::<Vec<usize>>());
        }
    }

    #[test]
    fn who_has_left_is_seen_within_a_piece_s_work() {
        let crew: &dyn Crew = &Leaving(AtomicUsize::new(2));
        let done = AtomicUsize::new(0);
        crew.rows(&mut [0; 100], 1, LOOK as usize, |_, _| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 2);
        let crew: &dyn Crew = &Leaving(AtomicUsize::new(2));
        assert_eq!(crew.watched(0..u64::MAX, LOOK as usize / 2).count(), 8);
    }
}
