//! Keeps what callers write apart from what templates write, while both are one text.

use super::{MARK, source::TAG_LETTERS_MAX};
use crate::tokenizer::{Specials, Tokenizer, TokenizerError};

/// How texts of callers are marked for one tokenizer and one template.
pub(super) struct Marks<'a> {
    specials: &'a Specials,
    /// What the template looks for in contents, and no special token is in; rising.
    tags: Vec<&'a str>,
}

impl<'a> Marks<'a> {
    /// `tags` are as `source::tags` gives them.
    pub fn new(specials: &'a Specials, tags: &'a [String]) -> Result<Self, TokenizerError> {
        let mut own = Vec::new();
        for tag in tags {
            if specials.find(tag)?.is_none() {
                own.push(tag.as_str());
            }
        }
        Ok(Self { specials, tags: own })
    }

    /// Puts a mark behind everything in `text` that could begin a special token, and before a beginning that could
    /// complete one which the template's text before it began. A whole tag that the template itself looks for is left
    /// as it is, else its logic would not find it: what takes such a tag out takes all of it.
    pub fn marked(&self, text: &str) -> String {
        let mut marked = String::with_capacity(text.len() + 8);
        if self.specials.are_completed_by(text) {
            marked.push(MARK);
        }
        for (at, letter) in text.char_indices() {
            marked.push(letter);
            if self.specials.begin_with(letter) && !self.begins_with_tag(text.get(at..).unwrap_or_default()) {
                marked.push(MARK);
            }
        }
        marked
    }

    /// A tag ends with the first bracket that closes it, so that one at most begins anywhere.
    fn begins_with_tag(&self, text: &str) -> bool {
        let closing = match text.as_bytes().first() {
            Some(b'<') => '>',
            Some(b'[') => ']',
            _ => return false,
        };
        let end = text.char_indices().take(TAG_LETTERS_MAX).find(|(_, letter)| *letter == closing);
        let tag = end.and_then(|(end, _)| text.get(..=end));
        tag.is_some_and(|tag| self.tags.binary_search(&tag).is_ok())
    }
}

/// Cuts a rendering at its special tokens and tokenises what lies between.
pub(super) fn tokens(tokenizer: &Tokenizer, rendered: &str) -> Result<Vec<u32>, TokenizerError> {
    let (cuts, last) = cut(tokenizer.specials(), rendered)?;
    let mut tokens = Vec::new();
    for (plain, special) in cuts {
        tokens.extend(tokenizer.encode(&plain)?);
        tokens.push(special);
    }
    tokens.extend(tokenizer.encode(&last)?);
    Ok(tokens)
}

/// Special tokens, each with the plain text before it, and what is behind the last.
fn cut(specials: &Specials, rendered: &str) -> Result<(Vec<(String, u32)>, String), TokenizerError> {
    let plain = |text: Option<&str>| text.unwrap_or_default().replace(MARK, "");
    let (mut cuts, mut rest) = (Vec::new(), rendered);
    while let Some((start, special)) = specials.find(rest)? {
        cuts.push((plain(rest.get(..start)), special.id));
        rest = rest.get(start + special.content.len()..).unwrap_or_default();
        if special.strips_after {
            rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == MARK);
        }
    }
    Ok((cuts, plain(Some(rest))))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::{template::source, tokenizer::Special};

    fn specials(contents: &[String]) -> Specials {
        let special = |(id, content): (usize, &String)| Special {
            id: id as u32,
            content: content.clone(),
            strips_after: id.is_multiple_of(2),
        };
        Specials::new(contents.iter().enumerate().map(special).collect())
    }

    /// What `marked` gives, by trying all specials and tags at each letter.
    fn marked_slowly(specials: &Specials, tags: &[String], text: &str) -> String {
        let mut marked = String::new();
        let ends = |special: &Special| special.content.char_indices().skip(1).map(|(at, _)| at).collect::<Vec<_>>();
        if specials.iter().any(|special| ends(special).iter().any(|&at| text.starts_with(&special.content[at..]))) {
            marked.push(MARK);
        }
        let own = |tag: &&String| !specials.iter().any(|special| tag.contains(&special.content));
        for (at, letter) in text.char_indices() {
            marked.push(letter);
            let begins = specials.iter().any(|special| special.content.starts_with(letter));
            if begins && !tags.iter().filter(own).any(|tag| text[at..].starts_with(tag)) {
                marked.push(MARK);
            }
        }
        marked
    }

    /// What `cut` gives, in the same way.
    fn cut_slowly(specials: &Specials, rendered: &str) -> (Vec<(String, u32)>, String) {
        let (mut cuts, mut plain, mut rest) = (Vec::new(), String::new(), rendered);
        while let Some(letter) = rest.chars().next() {
            if let Some(special) = specials.iter().find(|special| rest.starts_with(&special.content)) {
                cuts.push((std::mem::take(&mut plain), special.id));
                rest = &rest[special.content.len()..];
                if special.strips_after {
                    rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == MARK);
                }
                continue;
            }
            if letter != MARK {
                plain.push(letter);
            }
            rest = &rest[letter.len_utf8()..];
        }
        (cuts, plain)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn one_pass_gives_what_trying_everything_everywhere_gives(
            contents in prop::collection::vec("[<>|aé\\[A]{1,6}", 0..6),
            template in "[<>/aé\\[\\]A{ ]{0,40}",
            text in "[<>|/aé\\[\\]A \u{10ffff}]{0,40}",
        ) {
            let (specials, tags) = (specials(&contents), source::tags(&template));
            let marks = Marks::new(&specials, &tags).unwrap();
            prop_assert_eq!(marks.marked(&text), marked_slowly(&specials, &tags, &text));
            prop_assert_eq!(cut(&specials, &text).unwrap(), cut_slowly(&specials, &text));
        }
    }

    #[test]
    fn thousands_of_special_tokens_cost_a_long_text_no_more_than_a_few() {
        let specials = specials(&(0..6_000).map(|index| format!("<unused{index}>")).collect::<Vec<_>>());
        let tags: Vec<String> = source::tags(&(0..6_000).map(|index| format!("<tag{index}>")).collect::<String>());
        let text = "<unuse".repeat(100_000);
        let began_at = Instant::now();
        let marked = Marks::new(&specials, &tags).unwrap().marked(&text);
        assert_eq!(cut(&specials, &marked).unwrap(), (Vec::new(), text));
        // Trying all of them at each letter takes minutes.
        assert!(began_at.elapsed() < Duration::from_secs(10), "{:?}", began_at.elapsed());
    }
}
