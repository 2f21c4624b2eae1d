//! What is held back of a text that comes in pieces: an end that more of it could complete to a word that means something.

/// Where the longest end of `text` begins that one of `words` begins with; its length where there is none.
pub(crate) fn begun(text: &str, words: &[impl AsRef<str>]) -> usize {
    let longest = words.iter().map(|word| word.as_ref().len()).max().unwrap_or(0);
    let begins =
        |at: &usize| text.get(*at..).is_some_and(|end| words.iter().any(|word| word.as_ref().starts_with(end)));
    (text.len().saturating_sub(longest)..text.len()).find(begins).unwrap_or(text.len())
}
