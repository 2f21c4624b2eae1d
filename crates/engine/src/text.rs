//! A text that is run on in pieces, and texts that are run together.

use graph::{Data, Fault, sampling::Scratch};

use crate::{
    kernel::Place,
    language::{LanguageModel, Logits, RunError},
    plan::{Chunk, Lane, Workspace},
};

/// Rows of one call: enough to use each weight many times, few enough to stay in the cache.
const CHUNK: usize = 64;

/// A text under way: what was run of it is kept.
pub struct Text<'a> {
    model: &'a LanguageModel,
    lane: Lane,
    space: Workspace,
    chunk: usize,
    from: usize,
}

/// Called with a position and the logits after it.
type Each<'a> = dyn FnMut(usize, Logits, &mut Scratch) -> Result<(), RunError> + 'a;

impl LanguageModel {
    /// A text that can be run on in pieces.
    pub fn text(&self) -> Text<'_> {
        Text { model: self, lane: self.plan().lane(), space: self.spaces().take(), chunk: CHUNK, from: 0 }
    }

    /// Runs pieces of several texts together, as they might be served; each is extended as if it were alone.
    pub fn extend_together(&self, texts: &mut [Text], pieces: &[&[u32]]) -> Result<Vec<Vec<i64>>, RunError> {
        let mut space = Workspace::default();
        let mut places = Vec::new();
        for (lane, (text, piece)) in texts.iter().zip(pieces).enumerate() {
            places.extend((0..piece.len()).map(|index| Place { lane, position: text.lane.length + index }));
        }
        let inputs = [Data::I32(pieces.concat().iter().map(|&token| token as i32).collect())];
        let mut lanes: Vec<&mut Lane> = texts.iter_mut().map(|text| &mut text.lane).collect();
        let wanted: Vec<usize> = (0..places.len()).collect();
        self.plan().run(&mut space, &mut lanes, &Chunk { inputs: &inputs, places: &places, wanted: &wanted })?;
        let row = |row| self.with_logits(&space, &inputs, row, |logits, _| logits.map(<[i64]>::to_vec)).flatten();
        (0..places.len()).map(row).collect()
    }
}

impl Text<'_> {
    /// Runs in chunks of that many rows; the bits are the same for any.
    #[must_use]
    pub fn with_chunk(mut self, rows: usize) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// Leaves out the logits of the positions before `from`.
    pub fn skip(&mut self, from: usize) {
        self.from = from;
    }

    pub fn length(&self) -> usize {
        self.lane.length
    }

    /// A text that begins with the first `length` tokens of this one; what they left is shared, not run again.
    #[must_use]
    pub fn share(&self, length: usize) -> Self {
        let mut other = self.model.text().with_chunk(self.chunk);
        other.lane = self.lane.share(length);
        other
    }

    /// Goes back to the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.lane.truncate(length);
    }

    /// Memory that the tokens' keys and values take, shared or not.
    pub fn bytes(&self) -> usize {
        self.lane.bytes()
    }

    /// Runs more tokens; gives the logits after each of them that is not skipped. The tokens are in the vocabulary and
    /// the text stays within the context.
    pub fn extend(&mut self, tokens: &[u32]) -> Result<Vec<Vec<i64>>, RunError> {
        let mut all = Vec::new();
        self.run(tokens, &mut |_, logits, _| {
            all.push(logits?.to_vec());
            Ok(())
        })?;
        Ok(all)
    }

    /// As `extend`, without keeping all logits at once.
    pub fn run(&mut self, tokens: &[u32], each: &mut Each) -> Result<(), RunError> {
        let limit = self.model.context().saturating_sub(self.lane.length);
        self.model.check_tokens(tokens, limit)?;
        for piece in tokens.chunks(self.chunk) {
            let start = self.lane.length;
            let first = self.from.saturating_sub(start).min(piece.len());
            let inputs = self.call(piece, first)?;
            for (row, position) in (start + first..start + piece.len()).enumerate() {
                self.model
                    .with_logits(&self.space, &inputs, row, |logits, scratch| each(position, logits, scratch))??;
            }
        }
        Ok(())
    }

    /// Runs tokens that are none too many; gives an output of the last of them.
    pub(crate) fn last_output(&mut self, tokens: &[u32], output: usize) -> Result<Data, RunError> {
        let mut last = None;
        let pieces = tokens.len().div_ceil(self.chunk);
        for (index, piece) in tokens.chunks(self.chunk).enumerate() {
            let wanted = usize::from(index + 1 == pieces);
            let inputs = self.call(piece, piece.len() - wanted)?;
            last = self.model.plan().output(&self.space, &inputs, output).filter(|_| wanted > 0).cloned();
        }
        last.ok_or_else(|| Fault::Excluded { operator: "output" }.into())
    }

    /// One call over rows of this text, whose outputs from row `first` on are wanted; gives its inputs.
    fn call(&mut self, piece: &[u32], first: usize) -> Result<[Data; 1], RunError> {
        let start = self.lane.length;
        let places: Vec<Place> = (0..piece.len()).map(|index| Place { lane: 0, position: start + index }).collect();
        let inputs = [Data::I32(piece.iter().map(|&token| token as i32).collect())];
        let wanted: Vec<usize> = (first..piece.len()).collect();
        let chunk = Chunk { inputs: &inputs, places: &places, wanted: &wanted };
        self.model.plan().run(&mut self.space, &mut [&mut self.lane], &chunk)?;
        Ok(inputs)
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        self.model.spaces().give(std::mem::take(&mut self.space));
    }
}
