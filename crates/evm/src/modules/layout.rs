//! How modules keep records in words: several fields in one, the first lowest, as Solidity packs them; and lists.
//!
//! Nothing here wraps or panics: a value that is wider than its field is cut to the field's largest, so bounds are checked
//! where values come in.

use alloy_primitives::{Address, B256, U256, keccak256};

use super::{Frame, Stop};
use crate::state::{StateError, StateRead};

/// Most coins or shares that a record holds: 104 bits, twenty thousand times the supply of the network.
pub(super) const AMOUNT_MAX: u128 = (1 << 104) - 1;

/// Reads fields in their order.
pub(super) struct Reader(pub U256);

impl Reader {
    fn take(&mut self, bits: usize) -> U256 {
        let field = self.0 & largest(bits);
        self.0 = self.0.wrapping_shr(bits);
        field
    }

    pub fn flag(&mut self) -> bool {
        !self.take(8).is_zero()
    }

    pub fn u8(&mut self) -> u8 {
        self.take(8).saturating_to()
    }

    pub fn u32(&mut self) -> u32 {
        self.take(32).saturating_to()
    }

    pub fn u48(&mut self) -> u64 {
        self.take(48).saturating_to()
    }

    pub fn u64(&mut self) -> u64 {
        self.take(64).saturating_to()
    }

    pub fn u104(&mut self) -> u128 {
        self.take(104).saturating_to()
    }

    pub fn u128(&mut self) -> u128 {
        self.take(128).saturating_to()
    }

    pub fn u208(&mut self) -> U256 {
        self.take(208)
    }

    pub fn address(&mut self) -> Address {
        Address::from_word(B256::from(self.take(160)))
    }
}

/// Writes fields in their order.
#[derive(Default)]
pub(super) struct Writer {
    word: U256,
    at: usize,
}

impl Writer {
    fn put(mut self, value: U256, bits: usize) -> Self {
        self.word |= value.min(largest(bits)).wrapping_shl(self.at);
        self.at = self.at.saturating_add(bits);
        self
    }

    pub fn flag(self, value: bool) -> Self {
        self.put(U256::from(value), 8)
    }

    pub fn u8(self, value: u8) -> Self {
        self.put(U256::from(value), 8)
    }

    pub fn u32(self, value: u32) -> Self {
        self.put(U256::from(value), 32)
    }

    pub fn u48(self, value: u64) -> Self {
        self.put(U256::from(value), 48)
    }

    pub fn u64(self, value: u64) -> Self {
        self.put(U256::from(value), 64)
    }

    pub fn u104(self, value: u128) -> Self {
        self.put(U256::from(value), 104)
    }

    pub fn u128(self, value: u128) -> Self {
        self.put(U256::from(value), 128)
    }

    pub fn u208(self, value: U256) -> Self {
        self.put(value, 208)
    }

    pub fn address(self, value: Address) -> Self {
        self.put(value.into_word().into(), 160)
    }

    pub fn word(self) -> U256 {
        self.word
    }
}

fn largest(bits: usize) -> U256 {
    U256::MAX.wrapping_shr(256_usize.saturating_sub(bits))
}

/// The slot `offset` behind another.
pub(super) fn behind(slot: U256, offset: u64) -> U256 {
    slot.wrapping_add(U256::from(offset))
}

/// A list of words, as Solidity keeps `bytes32[]`.
pub(super) struct List(pub U256);

impl List {
    pub fn len(&self, frame: &mut Frame<'_>) -> Result<u64, Stop> {
        Ok(frame.load(self.0)?.saturating_to())
    }

    /// An element, or zero behind the end.
    pub fn get(&self, frame: &mut Frame<'_>, index: u64) -> Result<U256, Stop> {
        let start = frame.elements(self.0)?;
        frame.load(behind(start, index))
    }

    pub fn set(&self, frame: &mut Frame<'_>, index: u64, value: U256) -> Result<(), Stop> {
        let start = frame.elements(self.0)?;
        frame.store(behind(start, index), value)
    }

    /// Adds an element; its place, counted from one.
    pub fn push(&self, frame: &mut Frame<'_>, value: U256) -> Result<u64, Stop> {
        let len = self.len(frame)?;
        self.set(frame, len, value)?;
        let place = len.saturating_add(1);
        frame.store(self.0, U256::from(place))?;
        Ok(place)
    }

    /// Takes an element out by its place, counted from one, and puts the last one there; which one that is, if another.
    pub fn remove(&self, frame: &mut Frame<'_>, place: u64) -> Result<Option<U256>, Stop> {
        let last = self.len(frame)?.saturating_sub(1);
        let index = place.saturating_sub(1);
        let moved = self.get(frame, last)?;
        if index != last {
            self.set(frame, index, moved)?;
        }
        self.set(frame, last, U256::ZERO)?;
        frame.store(self.0, U256::from(last))?;
        Ok(Some(moved).filter(|_| index != last))
    }

    /// Makes these the elements; what was behind them is cleared.
    pub fn replace(&self, frame: &mut Frame<'_>, elements: &[B256]) -> Result<(), Stop> {
        let (before, start) = (self.len(frame)?, frame.elements(self.0)?);
        let after = u64::try_from(elements.len()).unwrap_or(u64::MAX);
        for (index, element) in (0..).zip(elements) {
            frame.store(behind(start, index), (*element).into())?;
        }
        for index in after..before {
            frame.store(behind(start, index), U256::ZERO)?;
        }
        if before == after { Ok(()) } else { frame.store(self.0, U256::from(after)) }
    }

    /// At most `count` elements from `from` on.
    pub fn page(&self, frame: &mut Frame<'_>, from: U256, count: U256) -> Result<Vec<U256>, Stop> {
        let (len, start) = (self.len(frame)?, frame.elements(self.0)?);
        let from = from.saturating_to::<u64>();
        let to = from.saturating_add(count.saturating_to()).min(len);
        // Every element pays for its load before it is kept, so gas bounds the page.
        (from..to).map(|index| frame.load(behind(start, index))).collect()
    }
}

/// A text, as Solidity keeps `string`.
pub(super) struct Text(pub U256);

impl Text {
    pub fn set(&self, frame: &mut Frame<'_>, text: &str) -> Result<(), Stop> {
        let len = U256::from(text.len());
        let before = words(frame.load(self.0)?);
        let chunks = if text.len() < 32 { [].chunks(32) } else { text.as_bytes().chunks(32) };
        let after = u64::try_from(chunks.len()).unwrap_or(u64::MAX);
        if after == 0 {
            frame.store(self.0, padded(text.as_bytes()) | len.wrapping_shl(1))?;
        } else {
            frame.store(self.0, len.wrapping_shl(1) | U256::ONE)?;
        }
        if after.max(before) == 0 {
            return Ok(());
        }
        let start = frame.elements(self.0)?;
        for (index, chunk) in (0..).zip(chunks) {
            frame.store(behind(start, index), padded(chunk))?;
        }
        (after..before).try_for_each(|index| frame.store(behind(start, index), U256::ZERO))
    }

    pub fn get(&self, frame: &mut Frame<'_>) -> Result<String, Stop> {
        let word = frame.load(self.0)?;
        let mut bytes = Vec::new();
        let len = if word.bit(0) {
            let len: u64 = word.wrapping_shr(1).saturating_to();
            let start = frame.elements(self.0)?;
            for index in 0..len.div_ceil(32) {
                bytes.extend_from_slice(&frame.load(behind(start, index))?.to_be_bytes::<32>());
            }
            len
        } else {
            bytes.extend_from_slice(&word.to_be_bytes::<32>());
            (word & U256::from(0xff)).wrapping_shr(1).saturating_to()
        };
        bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// How many words a text has beside its own; none where it fits into that.
fn words(word: U256) -> u64 {
    if word.bit(0) { word.wrapping_shr(1).saturating_to::<u64>().div_ceil(32) } else { 0 }
}

/// At most 32 bytes at the high end of a word.
fn padded(bytes: &[u8]) -> U256 {
    let mut word = [0; 32];
    for (place, byte) in word.iter_mut().zip(bytes) {
        *place = *byte;
    }
    U256::from_be_bytes(word)
}

/// A value and its past: an array of `(uint48 clock, uint208 value)`, one element a second at most.
pub(super) struct History(pub U256);

impl History {
    pub fn latest(&self, frame: &mut Frame<'_>) -> Result<U256, Stop> {
        let len = List(self.0).len(frame)?;
        let Some(last) = len.checked_sub(1) else { return Ok(U256::ZERO) };
        Ok(split(List(self.0).get(frame, last)?).1)
    }

    /// Sets the value as of now.
    pub fn set(&self, frame: &mut Frame<'_>, value: U256) -> Result<(), Stop> {
        let (list, now) = (List(self.0), frame.now());
        let element = Writer::default().u48(now).u208(value).word();
        if let Some(last) = list.len(frame)?.checked_sub(1)
            && split(list.get(frame, last)?).0 == now
        {
            return list.set(frame, last, element);
        }
        list.push(frame, element)?;
        Ok(())
    }

    /// The value at the end of a second that is over.
    pub fn at(&self, frame: &mut Frame<'_>, clock: u64) -> Result<U256, Stop> {
        let len = List(self.0).len(frame)?;
        let start = frame.elements(self.0)?;
        let (mut value, mut low, mut high) = (U256::ZERO, 0_u64, len);
        // Most questions are about the newest value.
        if let Some(last) = len.checked_sub(1) {
            let (since, newest) = split(frame.load(behind(start, last))?);
            if since <= clock {
                return Ok(newest);
            }
            high = last;
        }
        while low < high {
            let middle = low.midpoint(high);
            let (since, found) = split(frame.load(behind(start, middle))?);
            if since <= clock {
                value = found;
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(value)
    }

    /// Since when the newest value holds; zero without one.
    pub fn since(&self, frame: &mut Frame<'_>) -> Result<u64, Stop> {
        let len = List(self.0).len(frame)?;
        let Some(last) = len.checked_sub(1) else { return Ok(0) };
        Ok(split(List(self.0).get(frame, last)?).0)
    }
}

/// Where Solidity keeps `mapping[key]` of the mapping at `slot`.
pub(super) fn place_in(slot: U256, key: B256) -> U256 {
    U256::from_be_bytes(keccak256([key.0, slot.to_be_bytes::<32>()].concat()).0)
}

/// The history at a slot of a module, read without a frame.
pub(super) struct Past {
    pub address: Address,
    pub slot: U256,
}

impl Past {
    pub fn latest(&self, state: &dyn StateRead) -> Result<U256, StateError> {
        let len: u64 = state.slot(&self.address, &self.slot)?.saturating_to();
        let Some(last) = len.checked_sub(1) else { return Ok(U256::ZERO) };
        let start = U256::from_be_bytes(keccak256(self.slot.to_be_bytes::<32>()).0);
        Ok(split(state.slot(&self.address, &behind(start, last))?).1)
    }
}

/// Clock and value of an element.
pub(super) fn split(element: U256) -> (u64, U256) {
    let mut reader = Reader(element);
    (reader.u48(), reader.u208())
}

/// `amount × part ÷ whole`, rounded down; nothing of nothing.
pub(super) fn proportion(amount: u128, part: u128, whole: u128) -> u128 {
    let product = U256::from(amount).saturating_mul(U256::from(part));
    product.checked_div(U256::from(whole)).unwrap_or_default().saturating_to()
}

/// The same, rounded up.
pub(super) fn proportion_up(amount: u128, part: u128, whole: u128) -> u128 {
    let product = U256::from(amount).saturating_mul(U256::from(part));
    let rounding = U256::from(whole).saturating_sub(U256::ONE);
    product.saturating_add(rounding).checked_div(U256::from(whole)).unwrap_or_default().saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_their_order() {
        let word = Writer::default().address(Address::repeat_byte(7)).u8(3).flag(true).u32(9).u48(1 << 40).word();
        let mut reader = Reader(word);
        assert_eq!((reader.address(), reader.u8(), reader.flag()), (Address::repeat_byte(7), 3, true));
        assert_eq!((reader.u32(), reader.u48()), (9, 1 << 40));
        let word = Writer::default().u48(1).u104(AMOUNT_MAX).u104(5).word();
        let mut reader = Reader(word);
        assert_eq!((reader.u48(), reader.u104(), reader.u104()), (1, AMOUNT_MAX, 5));
    }

    #[test]
    fn too_wide_a_value_spoils_no_other_field() {
        let mut reader = Reader(Writer::default().u48(u64::MAX).u32(0).word());
        assert_eq!((reader.u48(), reader.u32()), ((1 << 48) - 1, 0));
    }

    #[test]
    fn a_proportion_rounds_to_the_side_that_it_says() {
        assert_eq!((proportion(7, 1, 2), proportion_up(7, 1, 2)), (3, 4));
        assert_eq!((proportion(8, 1, 2), proportion_up(8, 1, 2)), (4, 4));
        assert_eq!((proportion(8, 1, 0), proportion_up(8, 1, 0)), (0, 0));
        assert_eq!(proportion(AMOUNT_MAX, AMOUNT_MAX, AMOUNT_MAX), AMOUNT_MAX);
    }
}
