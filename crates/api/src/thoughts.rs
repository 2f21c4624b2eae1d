//! Thoughts: what some models write before they answer, between marks that their templates name. They are told apart from the answer.
//!
//! Thoughts stand at an answer's start, or the prompt has begun them; what looks like them further on is text. Reading is the same however
//! the text is cut, and what was said is all there but for the marks and white space around them.

use crate::begun::begun;

/// How a model marks its thoughts.
#[derive(Debug, PartialEq, Eq)]
pub struct Thinking {
    open: &'static str,
    close: &'static str,
}

static WAYS: &[Thinking] =
    &[Thinking { open: "<think>", close: "</think>" }, Thinking { open: "[THINK]", close: "[/THINK]" }];

impl Thinking {
    /// How the models of a chat template think, if they do: one that knows thoughts takes them out of earlier turns, or writes them.
    pub fn of(template: &str) -> Option<&'static Self> {
        WAYS.iter().find(|way| template.contains(way.close))
    }

    /// What stands around thoughts, be it text or a token without any.
    pub const fn marks(&self) -> [&'static str; 2] {
        [self.open, self.close]
    }

    /// Whether a prompt ends inside of thoughts, so that the answer begins there.
    pub fn is_begun_by(&self, prompt: &str) -> bool {
        prompt.trim_end().ends_with(self.open)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but white space has come.
    Start,
    /// Inside of thoughts, of which nothing but white space has come; the mark may be said again where the prompt had it.
    Begun {
        may_open: bool,
    },
    Thought,
    /// Behind thoughts: white space before what is said is nobody's.
    Behind,
    Text,
}

/// Takes thoughts out of a text that comes in pieces, with marks between them where these are tokens without text.
#[derive(Clone)]
pub struct ThoughtReader {
    way: &'static Thinking,
    place: Place,
    held: String,
    /// How much of it is white space.
    searched: usize,
}

impl ThoughtReader {
    /// `is_begun` where the answer begins inside of thoughts.
    pub const fn new(way: &'static Thinking, is_begun: bool) -> Self {
        let place = if is_begun { Place::Begun { may_open: true } } else { Place::Start };
        Self { way, place, held: String::new(), searched: 0 }
    }

    /// Whether what comes next is thought.
    pub const fn is_inside(&self) -> bool {
        matches!(self.place, Place::Begun { .. } | Place::Thought)
    }

    /// Adds what of it is thought and what is said after `piece` has come.
    pub fn push(&mut self, piece: &str, thought: &mut String, said: &mut String) {
        self.held.push_str(piece);
        while self.step(thought, said) {}
    }

    /// The same after a token that is a mark and has no text. True where it may mark up what is said.
    pub fn mark(&mut self, mark: &str, thought: &mut String, said: &mut String) -> bool {
        let is_own = self.way.marks().contains(&mark);
        match self.place {
            Place::Start if mark == self.way.open && self.held.trim_start().is_empty() => {
                self.go(Place::Begun { may_open: false }, self.held.len());
            }
            Place::Begun { .. } | Place::Thought if mark == self.way.close => {
                thought.push_str(self.held.trim_start());
                self.go(Place::Behind, self.held.len());
            }
            Place::Begun { .. } | Place::Thought => {}
            Place::Start | Place::Behind | Place::Text if !is_own => {
                said.push_str(&self.held);
                self.go(Place::Text, self.held.len());
                return true;
            }
            Place::Start | Place::Behind | Place::Text => {}
        }
        false
    }

    /// Adds what was held back, when no more comes.
    pub fn finish(&mut self, thought: &mut String, said: &mut String) {
        let rest = std::mem::take(&mut self.held);
        match self.place {
            Place::Begun { .. } => thought.push_str(rest.trim_start()),
            Place::Thought => thought.push_str(&rest),
            Place::Start | Place::Behind | Place::Text => said.push_str(&rest),
        }
    }

    /// One step; false where more text is needed.
    fn step(&mut self, thought: &mut String, said: &mut String) -> bool {
        match self.place {
            Place::Start => self.begin(true, Place::Text),
            Place::Begun { may_open } => self.begin(may_open, Place::Thought),
            Place::Thought => self.think(thought),
            Place::Behind => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.place = Place::Text;
                true
            }
            Place::Text => {
                said.push_str(&std::mem::take(&mut self.held));
                false
            }
        }
    }

    /// Looks for the opening mark where there may be one; what is none is of the kind of `otherwise`.
    fn begin(&mut self, may_open: bool, otherwise: Place) -> bool {
        let come = self.held.get(self.searched..).unwrap_or_default().trim_start();
        let (begin, open) = (self.held.len().saturating_sub(come.len()), self.way.open);
        if may_open && come.starts_with(open) {
            self.go(Place::Begun { may_open: false }, begin.saturating_add(open.len()));
        } else if come.is_empty() || may_open && open.starts_with(come) {
            self.searched = begin;
            return false;
        } else {
            // White space before thoughts is nobody's.
            self.go(otherwise, if otherwise == Place::Thought { begin } else { 0 });
        }
        true
    }

    fn think(&mut self, thought: &mut String) -> bool {
        let close = self.way.close;
        if let Some(at) = self.held.find(close) {
            thought.push_str(self.held.get(..at).unwrap_or_default());
            self.go(Place::Behind, at.saturating_add(close.len()));
            return true;
        }
        let kept = self.held.split_off(begun(&self.held, &[close]));
        thought.push_str(&std::mem::replace(&mut self.held, kept));
        false
    }

    /// Goes on at `place` with what is held from `begin` on.
    fn go(&mut self, place: Place, begin: usize) {
        self.held = self.held.get(begin..).unwrap_or_default().to_owned();
        (self.place, self.searched) = (place, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Case {
        /// Whether the prompt began thoughts.
        is_begun: bool,
        text: &'static str,
        thought: &'static str,
        said: &'static str,
    }

    const fn case(is_begun: bool, text: &'static str, thought: &'static str, said: &'static str) -> Case {
        Case { is_begun, text, thought, said }
    }

    const CASES: &[Case] = &[
        case(false, "<think>\nOne and one.\n</think>\n\nTwo.", "One and one.\n", "Two."),
        case(false, "\n<think>\n\n</think>\n\nTwo.", "", "Two."),
        case(false, "Two.", "", "Two."),
        case(false, " Two <think>x</think>", "", " Two <think>x</think>"),
        case(false, "<thin air", "", "<thin air"),
        case(false, "<think>a < b </thin </think>x </think> y", "a < b </thin ", "x </think> y"),
        case(false, "<think>cut sho</thi", "cut sho</thi", ""),
        case(false, " \n", "", " \n"),
        case(true, "One and one.</think>Two.", "One and one.", "Two."),
        case(true, "\n<think>\nOne.</think>Two.", "One.", "Two."),
        case(true, "<thin air</think>", "<thin air", ""),
        case(true, "cut", "cut", ""),
        case(true, "</think>\n\nTwo.", "", "Two."),
    ];

    fn read(is_begun: bool, pieces: &[&str]) -> (String, String) {
        let mut reader = ThoughtReader::new(&WAYS[0], is_begun);
        let (mut thought, mut said) = (String::new(), String::new());
        pieces.iter().for_each(|piece| reader.push(piece, &mut thought, &mut said));
        reader.finish(&mut thought, &mut said);
        (thought, said)
    }

    #[test]
    fn thoughts_are_told_apart_from_what_is_said() {
        for Case { is_begun, text, thought, said } in CASES {
            assert_eq!(read(*is_begun, &[*text]), ((*thought).to_owned(), (*said).to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_template_that_names_the_mark_that_ends_thoughts_is_one_of_a_model_that_thinks() {
        for (template, way) in [
            ("{{ content.split('</think>')[-1] }}<think>\n", Some(&WAYS[0])),
            ("[THINK]{{ thought }}[/THINK]", Some(&WAYS[1])),
            ("{{ content.replace('<think>', '') }}", None),
            ("{{ messages }}", None),
        ] {
            assert_eq!(Thinking::of(template), way, "{template}");
        }
        assert!(WAYS[0].is_begun_by("assistant\n<think>\n") && WAYS[1].is_begun_by("[THINK]"));
        assert!(!WAYS[0].is_begun_by("<think>\n\n</think>\n\n") && !WAYS[0].is_begun_by("assistant\n"));
    }

    #[test]
    fn marks_may_be_tokens_without_text_and_within_thoughts_nothing_is_a_call() {
        let mut reader = ThoughtReader::new(&WAYS[1], false);
        let (mut thought, mut said) = (String::new(), String::new());
        assert!(!reader.mark("[THINK]", &mut thought, &mut said) && reader.is_inside());
        reader.push("\nhm", &mut thought, &mut said);
        assert!(!reader.mark("[TOOL_CALLS]", &mut thought, &mut said));
        assert!(!reader.mark("[/THINK]", &mut thought, &mut said) && !reader.is_inside());
        assert!(reader.mark("[TOOL_CALLS]", &mut thought, &mut said));
        reader.push("now", &mut thought, &mut said);
        assert!(!reader.mark("[THINK]", &mut thought, &mut said) && !reader.is_inside());
        reader.finish(&mut thought, &mut said);
        assert_eq!((thought.as_str(), said.as_str()), ("hm", "now"));
        let mut reader = ThoughtReader::new(&WAYS[1], false);
        reader.push("[TH", &mut thought, &mut said);
        assert!(reader.mark("[TOOL_CALLS]", &mut thought, &mut said) && !reader.is_inside());
        assert_eq!(said, "now[TH");
    }

    proptest! {
        #[test]
        fn thoughts_are_read_the_same_however_the_text_is_cut(
            case in 0..CASES.len(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let Case { is_begun, text, .. } = &CASES[case];
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(read(*is_begun, &pieces), read(*is_begun, &[*text]));
        }
    }
}
