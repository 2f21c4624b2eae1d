//! Stop texts end an answer and are no part of it: what could still become one is held back until it is none.

use crate::begun::begun;

/// Cuts an answer, as it comes in pieces, where the first stop text begins.
#[derive(Clone, Debug)]
pub struct StopText {
    stops: Vec<String>,
    /// The end of what came, as far as it begins a stop text.
    held: String,
    /// The stop text that ended the answer.
    found: Option<String>,
}

impl StopText {
    pub fn new<'a>(stops: impl IntoIterator<Item = &'a str>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).map(str::to_owned).collect();
        Self { stops, held: String::new(), found: None }
    }

    /// What can be shown after `piece` has come.
    pub fn push(&mut self, piece: &str) -> String {
        if self.found.is_some() {
            return String::new();
        }
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|stop| Some((self.held.find(stop.as_str())?, stop)));
        if let Some((begin, stop)) = found.min_by_key(|(begin, _)| *begin) {
            self.found = Some(stop.clone());
            self.held.truncate(begin);
            return std::mem::take(&mut self.held);
        }
        let kept = self.held.split_off(begun(&self.held, &self.stops));
        std::mem::replace(&mut self.held, kept)
    }

    /// What was held back, when no more comes.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The stop text that ended the answer, if one did.
    pub fn into_found(self) -> Option<String> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(stops: &[&str], pieces: &[&str]) -> Vec<String> {
        let mut text = StopText::new(stops.iter().copied());
        let mut shown: Vec<String> = pieces.iter().map(|piece| text.push(piece)).collect();
        shown.push(text.finish());
        shown
    }

    #[test]
    fn without_stop_texts_every_piece_is_shown_at_once() {
        assert_eq!(shown(&[], &["a", "b"]), ["a", "b", ""]);
        assert_eq!(shown(&[""], &["a"]), ["a", ""]);
    }

    #[test]
    fn a_stop_text_and_what_follows_is_not_shown() {
        assert_eq!(shown(&["END"], &["one EN", "D two", "three"]), ["one ", "", "", ""]);
        assert_eq!(shown(&["b", "ab"], &["xab"]), ["x", ""]);
    }

    #[test]
    fn what_only_looked_like_a_stop_text_is_shown_after_all() {
        assert_eq!(shown(&["END"], &["E", "N", "x", "E"]), ["", "", "ENx", "", "E"]);
        assert_eq!(shown(&["éé"], &["é", "a"]), ["", "éa", ""]);
    }

    proptest! {
        #[test]
        fn pieces_show_what_the_whole_would(
            text in "[abc]{0,30}", stops in proptest::collection::vec("[abc]{1,3}", 0..3), cut in 0..30_usize,
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let begin = stops.iter().filter_map(|stop| text.find(stop)).min().unwrap_or(text.len());
            let cut = cut.min(text.len());
            // Two pieces end at the first stop that is whole, which may begin later than one that overlaps it.
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            prop_assert!(text.starts_with(&shown(&stops, &letters).concat()));
            prop_assert!(text.starts_with(&shown(&stops, &[&text[..cut], &text[cut..]]).concat()));
            prop_assert_eq!(shown(&stops, &[&text]).concat(), &text[..begin]);
        }
    }
}
