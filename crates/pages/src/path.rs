//! Where a page of the tree is: the first bits of the keys below it, four at a time.

use std::fmt;

use crypto::Digest;

/// Pages that a branch leads to.
pub(crate) const WAYS: usize = 16;
/// Bits that one step takes.
const STEP: usize = 4;
/// First byte of a path on the disk: none is empty there.
const MARK: u8 = 1;

/// A way down from the root, one nibble after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    /// Its first nibbles; zero behind them.
    nibbles: [u8; 64],
    length: usize,
}

impl Path {
    pub const ROOT: Self = Self { nibbles: [0; 64], length: 0 };

    /// Bits of a key that it fixes.
    pub fn depth(&self) -> usize {
        self.length.saturating_mul(STEP)
    }

    /// One step further.
    pub fn child(&self, way: usize) -> Self {
        let mut child = *self;
        if let (Some(place), Ok(way)) = (child.nibbles.get_mut(self.length), u8::try_from(way)) {
            *place = way;
            child.length = self.length.saturating_add(1);
        }
        child
    }

    /// Which way leads on to `key`; `None` at the end of all keys.
    pub fn way(&self, key: &Digest) -> Option<usize> {
        nibble(key, self.length)
    }

    /// Whether it leads to `key`.
    pub fn leads_to(&self, key: &Digest) -> bool {
        let own = self.nibbles.iter().take(self.length);
        own.enumerate().all(|(index, own)| nibble(key, index) == Some(usize::from(*own)))
    }

    /// Whether a path goes on where this one ends.
    pub fn leads_on_to(&self, other: &Self) -> bool {
        let own = self.nibbles.iter().take(self.length);
        self.length < other.length && own.zip(&other.nibbles).all(|(own, other)| own == other)
    }

    /// Its name on the disk. Names are in the order in which a walk from the root, left to right, meets the pages.
    pub fn name(&self) -> Vec<u8> {
        std::iter::once(MARK).chain(self.nibbles.iter().take(self.length).copied()).collect()
    }

    /// The path with this name.
    #[cfg(test)]
    pub fn named(name: &[u8]) -> Option<Self> {
        let (MARK, nibbles) = name.split_first().map(|(mark, nibbles)| (*mark, nibbles))? else { return None };
        let fits = nibbles.len() <= 64 && nibbles.iter().all(|nibble| usize::from(*nibble) < WAYS);
        fits.then(|| nibbles.iter().fold(Self::ROOT, |path, nibble| path.child(usize::from(*nibble))))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        self.nibbles.iter().take(self.length).try_for_each(|nibble| write!(f, "{nibble:x}"))
    }
}

fn nibble(key: &Digest, index: usize) -> Option<usize> {
    let byte = usize::from(*key.0.get(index >> 1)?);
    Some(if index & 1 == 0 { byte >> 4 } else { byte & 15 })
}
