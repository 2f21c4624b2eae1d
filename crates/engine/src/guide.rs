//! Which tokens may come next, so that an answer has the form that was asked for.
//!
//! A token may come exactly if its bytes, after those of the answer so far, begin some text of the grammar; a stop
//! token, exactly if the answer is such a text. That is a function of grammar and answer: the auditor finds the same.

mod depth;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use llguidance::{
    Matcher, ParserFactory,
    api::{ParserLimits, StopReason, TopLevelGrammar},
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};
use protocol::Constraint;
use serde_json::{Value, json};

/// Whitespace between the parts of JSON: an answer that is nothing but space would never end.
const SPACE: &str = r"[ \n\r\t]{0,8}";
/// What one grammar may cost; part of the meaning, since a grammar that costs more has no answer.
const LIMITS: ParserLimits = ParserLimits {
    max_items_in_row: 2_000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    step_max_items: 50_000,
    max_lexer_states: 50_000,
    max_grammar_size: 100_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

/// What all masks of an answer may take together, part of the meaning as well: so much for any answer, and so much more for each token that it may
/// have. The parse's items count 1 each, and the lexer's fuel `LEXER_UNITS`: so a unit leaves `UNIT_BYTES` behind at most.
const UNITS_FIRST: u64 = 1 << 22;
const UNITS_TOKEN: u64 = 1 << 10;
const LEXER_UNITS: u64 = 4;
const UNIT_BYTES: u64 = 16;
/// What the lexer's states are taken for, 50,000 of 1 to 2 kB each.
const STATES_BYTES: u64 = 1 << 26;

/// Stack for compiling a grammar: groups in groups in rules that refer to rules each take some. Only what is used of it
/// takes memory.
const STACK_BYTES: usize = 1 << 26;

/// What in a grammar builds an expression of all parts of a text. It is built in an order of chance, which decides what it costs, and so
/// whether it is within `LIMITS`: another machine might refuse it. Nobody else writes this word; whoever means its letters can.
const SUBSTRING: &str = "%regex";
const NO_SUBSTRING: &str = "it holds %regex, whose cost is not the same on every machine (substring_words, substring_chars, substring_chunks); \
     hint: write the alternatives, or the letters themselves as \"%\" \"regex\"";

/// What is said where an answer is not whole and no token goes on.
const NOTHING_FITS: &str = "no token of the vocabulary fits";
/// The same before the first token.
const NO_TEXT: &str =
    "no token of the vocabulary begins a text that fits it; a rule or schema that refers to itself needs a way to end";

/// Why a constraint cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    #[error("the {kind} is refused: {cause}")]
    Refused { kind: &'static str, cause: String },
    /// This machine's trouble, and no word about the constraint.
    #[error("the {kind} could not be compiled here: {cause}")]
    OwnTrouble { kind: &'static str, cause: String },
    #[error("the constraint cannot be followed any further: {cause}")]
    Stuck { cause: String },
}

/// A vocabulary made ready for grammars.
pub struct Grammars {
    factory: ParserFactory,
    stop_tokens: Vec<u32>,
}

impl Grammars {
    /// For the bytes of each token; stop tokens stand for none.
    pub fn new(pieces: &[Option<Vec<u8>>], stop_tokens: &[u32]) -> Result<Self, ConstraintError> {
        let in_vocabulary = |token: &&u32| (**token as usize) < pieces.len();
        let stop_tokens: Vec<u32> = stop_tokens.iter().filter(in_vocabulary).copied().collect();
        let info = TokRxInfo::new(pieces.len() as u32, stop_tokens.first().copied().unwrap_or(INVALID_TOKEN));
        let word = |(token, piece): (usize, &Option<Vec<u8>>)| match piece {
            Some(bytes) if !stop_tokens.contains(&(token as u32)) => bytes.clone(),
            _ => Vec::new(),
        };
        let words: Vec<Vec<u8>> = pieces.iter().enumerate().map(word).collect();
        let mut trie = TokTrie::from(&info, &words);
        if !stop_tokens.is_empty() {
            trie = trie.with_eos_tokens(&stop_tokens);
        }
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|cause| ConstraintError::Refused { kind: "vocabulary", cause: said(&cause) })?;
        factory.quiet();
        *factory.limits_mut() = LIMITS;
        Ok(Self { factory, stop_tokens })
    }

    /// Follows a constraint from the beginning of an answer.
    pub fn guide(&self, constraint: &Constraint) -> Result<Guide, ConstraintError> {
        let (kind, grammar) = grammar(constraint)?;
        let trouble = |cause: String| ConstraintError::OwnTrouble { kind, cause };
        let refused = |cause: String| ConstraintError::Refused { kind, cause };
        let compile = || Matcher::new(self.factory.create_parser(grammar));
        let matcher = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, compile);
            let thread = thread.map_err(|cause| trouble(cause.to_string()))?;
            thread.join().map_err(|_| trouble("it failed inside".to_owned()))
        })?;
        if let Some(cause) = matcher.get_error() {
            return Err(refused(said(&cause)));
        }
        let stop_tokens = self.stop_tokens.clone();
        let (units, units_max) = (0, UNITS_FIRST);
        let mut guide = Guide { matcher, stop_tokens, ahead: None, units, units_max, cost: Duration::ZERO };
        let began_at = Instant::now();
        // What allows nothing at all is refused before anything runs.
        let first = guide.allowed().map_err(|error| match error {
            ConstraintError::Stuck { cause } if cause == NOTHING_FITS => refused(NO_TEXT.to_owned()),
            ConstraintError::Stuck { cause } | ConstraintError::Refused { cause, .. } => refused(cause),
            own @ ConstraintError::OwnTrouble { .. } => own,
        })?;
        guide.ahead = Some(Ok(first));
        guide.spent(began_at.elapsed());
        Ok(guide)
    }
}

fn grammar(constraint: &Constraint) -> Result<(&'static str, TopLevelGrammar), ConstraintError> {
    match constraint {
        Constraint::JsonSchema(schema) => {
            let kind = "JSON schema";
            let schema: Value = serde_json::from_str(schema)
                .map_err(|cause| ConstraintError::Refused { kind, cause: cause.to_string() })?;
            Ok((kind, TopLevelGrammar::from_json_schema(with_space(schema))))
        }
        Constraint::Regex(pattern) => Ok(("regular expression", TopLevelGrammar::from_regex(pattern))),
        Constraint::Grammar(grammar) => {
            let (kind, depth) = ("grammar", depth::depth(grammar));
            if grammar.contains(SUBSTRING) {
                return Err(ConstraintError::Refused { kind, cause: NO_SUBSTRING.to_owned() });
            }
            if depth > depth::DEPTH_MAX {
                let cause = format!("its rules refer to rules {depth} deep, at most {} expected", depth::DEPTH_MAX);
                return Err(ConstraintError::Refused { kind, cause });
            }
            Ok((kind, TopLevelGrammar::from_lark(grammar.to_string())))
        }
    }
}

/// The schema with our bound on whitespace; nothing that the caller says changes how it is read.
fn with_space(schema: Value) -> Value {
    match schema {
        Value::Object(mut schema) => {
            schema.insert("x-guidance".to_owned(), json!({"whitespace_pattern": SPACE}));
            Value::Object(schema)
        }
        // `true` allows everything, and says so in an object as well.
        Value::Bool(true) => with_space(json!({})),
        other => other,
    }
}

/// What may follow an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A bit for each token, the lowest in the lowest bit of the first word.
    Tokens(Vec<u32>),
    /// Nothing: the answer is whole.
    End,
}

/// A constraint that is being followed.
pub struct Guide {
    matcher: Matcher,
    stop_tokens: Vec<u32>,
    /// What may come next where it was found already, until it is asked for.
    ahead: Option<Result<Allowed, ConstraintError>>,
    /// What its masks took, and what they may.
    units: u64,
    units_max: u64,
    /// How long it lately took to go on: a guess at how long it will take next, which decides nothing but whose turn it is.
    cost: Duration,
}

impl Guide {
    /// For an answer of so many tokens at most.
    #[must_use]
    pub fn for_tokens(self, tokens: usize) -> Self {
        Self { units_max: units_max(tokens), ..self }
    }

    /// Memory, in bytes, that it may come to take: an estimate from what bounds it.
    pub fn bytes(&self) -> usize {
        bytes(self.units_max)
    }

    /// The same of any guide for an answer of so many tokens at most.
    pub fn bytes_for(tokens: usize) -> usize {
        bytes(units_max(tokens))
    }

    pub fn allowed(&mut self) -> Result<Allowed, ConstraintError> {
        if let Some(found) = self.ahead.take() {
            return found;
        }
        if self.matcher.is_stopped() {
            return self.ended();
        }
        let is_whole = self.matcher.is_accepting().map_err(|cause| stuck(&cause))?;
        let mut mask = self.matcher.compute_mask().map_err(|cause| stuck(&cause))?;
        self.count()?;
        for &token in &self.stop_tokens {
            mask.set(token as usize, is_whole);
        }
        match (mask.is_zero(), is_whole) {
            (false, _) => Ok(Allowed::Tokens(mask.as_slice().to_vec())),
            (true, true) => Ok(Allowed::End),
            (true, false) => Err(ConstraintError::Stuck { cause: NOTHING_FITS.to_owned() }),
        }
    }

    /// Counts what the last mask took, and what was taken since the one before it.
    fn count(&mut self) -> Result<(), ConstraintError> {
        let stats = self.matcher.last_step_stats().map_err(|cause| stuck(&cause))?;
        let taken = stats.lexer_cost.saturating_mul(LEXER_UNITS).saturating_add(stats.all_items as u64);
        self.units = self.units.saturating_add(taken);
        if self.units <= self.units_max {
            return Ok(());
        }
        let cause = format!(
            "its masks took {} units, an answer of so many tokens has {}; hint: ask for a simpler form",
            self.units, self.units_max
        );
        Err(ConstraintError::Stuck { cause })
    }

    /// Finds what may come next before it is asked for.
    pub fn look_ahead(&mut self) {
        self.ahead = Some(self.allowed());
    }

    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// Notes how long it took to go on. What was costly is taken for it some turns longer.
    pub fn spent(&mut self, took: Duration) {
        self.cost = took.max(self.cost / 2);
    }

    /// Goes on with a token of the answer.
    pub fn take(&mut self, token: u32) -> Result<(), ConstraintError> {
        self.ahead = None;
        self.matcher.consume_token(token).map_err(|cause| stuck(&cause))
    }

    fn ended(&self) -> Result<Allowed, ConstraintError> {
        let reason = self.matcher.stop_reason();
        if matches!(reason, StopReason::NoExtension | StopReason::EndOfSentence) {
            return Ok(Allowed::End);
        }
        Err(stuck(&self.matcher.get_error().unwrap_or_else(|| reason.to_string())))
    }
}

fn units_max(tokens: usize) -> u64 {
    UNITS_FIRST.saturating_add(UNITS_TOKEN.saturating_mul(tokens as u64))
}

fn bytes(units_max: u64) -> usize {
    usize::try_from(STATES_BYTES.saturating_add(UNIT_BYTES.saturating_mul(units_max))).unwrap_or(usize::MAX)
}

fn stuck(cause: &impl std::fmt::Display) -> ConstraintError {
    ConstraintError::Stuck { cause: said(cause) }
}

/// A cause in words: without the marks that llguidance sets for its own logs, and short, because it may quote a whole grammar.
fn said(cause: &impl std::fmt::Display) -> String {
    let cause = cause.to_string();
    let words = cause.split("\n<").next().unwrap_or_default().trim();
    if words == StopReason::NoExtensionBias.to_string() || words.is_empty() {
        return NOTHING_FITS.to_owned();
    }
    words.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary of all bytes, a few longer tokens, and the stop token 0.
    fn grammars() -> Grammars {
        let bytes = (0..=255_u8).map(|byte| Some(vec![byte]));
        let longer = ["{\"", "true", "\": ", "ab"].map(|text| Some(text.as_bytes().to_vec()));
        let pieces: Vec<Option<Vec<u8>>> = [None].into_iter().chain(bytes).chain(longer).collect();
        Grammars::new(&pieces, &[0]).unwrap()
    }

    fn token(byte: u8) -> u32 {
        u32::from(byte) + 1
    }

    fn tokens(guide: &mut Guide) -> Vec<u32> {
        match guide.allowed().unwrap() {
            Allowed::Tokens(mask) => {
                (0..261).filter(|token| mask[*token as usize / 32] >> (token % 32) & 1 == 1).collect()
            }
            Allowed::End => Vec::new(),
        }
    }

    fn regex(pattern: &str) -> Constraint {
        Constraint::Regex(protocol::Text::new(pattern).unwrap())
    }

    fn schema(schema: &str) -> Constraint {
        Constraint::JsonSchema(protocol::Text::new(schema).unwrap())
    }

    #[test]
    fn what_may_follow_is_what_begins_a_text_of_the_grammar() {
        let grammars = grammars();
        let mut guide = grammars.guide(&regex("ab?c|x")).unwrap();
        assert_eq!(tokens(&mut guide), [token(b'a'), token(b'x'), 260]);
        guide.take(token(b'a')).unwrap();
        assert_eq!(tokens(&mut guide), [token(b'b'), token(b'c')]);
        guide.take(token(b'c')).unwrap();
        assert!(matches!(guide.allowed().unwrap(), Allowed::End) || tokens(&mut guide) == [0]);
    }

    #[test]
    fn an_answer_may_stop_only_where_it_is_whole() {
        let grammars = grammars();
        let mut guide = grammars.guide(&regex("a+")).unwrap();
        assert!(!tokens(&mut guide).contains(&0));
        guide.take(token(b'a')).unwrap();
        assert_eq!(tokens(&mut guide), [0, token(b'a')]);
        assert!(matches!(guide.take(token(b'b')), Err(ConstraintError::Stuck { .. })));
        assert!(guide.allowed().is_err());
    }

    #[test]
    fn schemas_are_followed_to_their_last_brace() {
        let grammars = grammars();
        let asked = r##"{"type": "object", "properties": {"z": {"$ref": "#/$defs/b"}, "a": {"enum": [1]}}, "required": ["z", "a"],
            "additionalProperties": false, "$defs": {"b": {"type": "boolean"}}}"##;
        let mut guide = grammars.guide(&schema(asked)).unwrap();
        for byte in br#"{"z": true, "a": 1}"# {
            assert!(tokens(&mut guide).contains(&token(*byte)), "{}", char::from(*byte));
            assert!(!tokens(&mut guide).contains(&0));
            guide.take(token(*byte)).unwrap();
        }
        assert!(matches!(guide.allowed().unwrap(), Allowed::End) || tokens(&mut guide) == [0]);
        let mut spaces = grammars.guide(&schema(r#"{"type": "object"}"#)).unwrap();
        spaces.take(token(b'{')).unwrap();
        let taken = (0..20).take_while(|_| {
            let may = tokens(&mut spaces).contains(&token(b' '));
            may && spaces.take(token(b' ')).is_ok()
        });
        assert_eq!(taken.count(), 8, "whitespace ends");
    }

    #[test]
    fn what_is_no_grammar_or_costs_too_much_is_refused_before_anything_runs() {
        let grammars = grammars();
        let grammar = |text: &str| Constraint::Grammar(protocol::Text::new(text).unwrap());
        let deep = format!("{}{}", "(".repeat(3_000), ")".repeat(3_000));
        for constraint in [
            regex("(unclosed"),
            regex(&deep),
            schema("{"),
            schema("[1]"),
            schema(r##"{"$ref": "#/nowhere"}"##),
            schema(r#"{"$ref": "https://example.org/schema"}"#),
            schema(r#"{"type": "strange"}"#),
            grammar("start: missing"),
            grammar(""),
        ] {
            let refused = grammars.guide(&constraint).err();
            assert!(matches!(refused, Some(ConstraintError::Refused { .. })), "{constraint:?}");
        }
    }

    #[test]
    fn what_is_built_in_an_order_of_chance_is_refused_by_name() {
        let grammars = grammars();
        let grammar = |text: &str| Constraint::Grammar(protocol::Text::new(text).unwrap());
        for field in
            ["substring_words\": \"a b a\"", "substring_chars\": \"aba\"", "substring_chunks\": [\"a\", \"b\"]"]
        {
            for space in ["", " ", "\n // a remark\n"] {
                let refused =
                    grammars.guide(&grammar(&format!("start: \"x\" PART\nPART: %regex{space}{{\"{field}}}\n")));
                let told = refused.err().unwrap().to_string();
                assert!(told.contains("%regex") && told.contains("hint:"), "{told}");
            }
        }
        let mut spelt = grammars.guide(&grammar("start: \"%\" \"regex\"")).unwrap();
        assert_eq!(tokens(&mut spelt), [token(b'%')]);
    }

    #[test]
    fn what_was_costly_is_taken_for_it_until_it_was_cheap_for_some_turns() {
        let mut guide = grammars().guide(&regex("a+")).unwrap();
        let turns = [800, 1, 1, 1, 30].map(|ms| {
            guide.spent(Duration::from_millis(ms));
            guide.cost().as_millis()
        });
        assert_eq!(turns, [800, 400, 200, 100, 50]);
    }

    /// What a text of JSON's masks took, found as they are asked for or ahead of that.
    fn taken(guide: &mut Guide, text: &[u8], ahead: bool) -> Result<Vec<u64>, ConstraintError> {
        let step = |byte: &u8| {
            guide.allowed()?;
            guide.take(token(*byte))?;
            if ahead {
                guide.look_ahead();
            }
            Ok::<u64, ConstraintError>(guide.units)
        };
        text.iter().map(step).collect()
    }

    #[test]
    fn what_an_answers_masks_take_together_is_bounded_by_its_length_and_counted_alike_by_whoever_follows_it() {
        let grammars = grammars();
        let object = || grammars.guide(&schema(r#"{"type": "object"}"#)).unwrap();
        let text = br#"{"a": [1, {"b": "c"}], "d": null}"#;
        let asked = taken(&mut object(), text, false).unwrap();
        assert!(asked.is_sorted() && asked[0] > 0 && asked[0] < asked[text.len() - 1], "{asked:?}");
        let last = asked[text.len() - 1];
        assert!(last < UNITS_FIRST / 4, "{last} units of a few tokens");
        let mut ahead = object();
        let found = taken(&mut ahead, text, true).unwrap();
        assert!(asked[1..].iter().zip(&found).all(|(asked, found)| asked == found), "{asked:?} {found:?}");
        // One unit less than that, and it is stuck where it would take it.
        for is_ahead in [false, true] {
            let mut short = Guide { units_max: last - 1, ..object() };
            let stuck = taken(&mut short, text, is_ahead).unwrap_err().to_string();
            assert!(
                stuck.contains("cannot be followed any further: its masks took") && stuck.contains("hint:"),
                "{stuck}"
            );
            let again = short.allowed().unwrap_err();
            assert!(matches!(again, ConstraintError::Stuck { .. }), "{again}");
        }
        let (none, many) = (object().for_tokens(0), object().for_tokens(1_000));
        assert_eq!((none.units_max, many.units_max), (1 << 22, (1 << 22) + 1_024_000));
        assert_eq!((none.bytes(), many.bytes()), (128 << 20, (128 << 20) + 16_384_000));
        assert_eq!(object().for_tokens(usize::MAX).bytes(), usize::MAX);
    }

    #[test]
    fn what_refers_to_itself_without_an_end_is_refused_in_words() {
        let grammars = grammars();
        let grammar = |text: &str| Constraint::Grammar(protocol::Text::new(text).unwrap());
        for constraint in [
            schema(r##"{"$ref": "#"}"##),
            schema(r##"{"allOf": [{"$ref": "#"}]}"##),
            schema(r##"{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}"##),
            grammar("start: start"),
            schema("false"),
            regex("[^\\x00-\u{10ffff}]"),
        ] {
            let refused = grammars.guide(&constraint).err();
            assert!(matches!(refused, Some(ConstraintError::Refused { .. })), "{constraint:?}");
            let told = refused.unwrap().to_string();
            assert!(!told.contains(['<', '\n']) && !told.contains("NoExtension"), "{told}");
        }
    }

    /// The deepest that is taken: a chain of rules, each in as many groups as the notation allows.
    #[test]
    fn deep_grammars_are_followed_up_to_a_depth_and_refused_beyond() {
        let grammars = grammars();
        let grammar = |text: String| Constraint::Grammar(protocol::Text::new(text).unwrap());
        let (open, close) = ("(\"-\"? ".repeat(27), ")".repeat(27));
        let chain = |length: usize, name: &str, open: &str, close: &str| {
            let rule = |rule: usize| format!("{name}{rule}: {open}{name}{} \"x\"{close}\n", rule + 1);
            let rules: String = (0..length).map(rule).collect();
            format!("start: {name}0\n{rules}{name}{length}: \"y\"\n")
        };
        for name in ["r", "R"] {
            let mut guide = grammars.guide(&grammar(chain(depth::DEPTH_MAX - 2, name, "", ""))).unwrap();
            for byte in [b'y', b'x', b'x'] {
                assert!(tokens(&mut guide).contains(&token(byte)), "{name}");
                guide.take(token(byte)).unwrap();
            }
            // Whether it costs too much or not, it ends.
            let nested = grammars.guide(&grammar(chain(20, name, &open, &close)));
            let first = nested.map(|mut guide| guide.allowed());
            assert!(first.is_ok() || matches!(first, Err(ConstraintError::Refused { .. })));
            for length in [depth::DEPTH_MAX, 3_000] {
                let refused = grammars.guide(&grammar(chain(length, name, "", ""))).err().unwrap();
                assert!(refused.to_string().contains("deep, at most 128"), "{refused}");
            }
        }
        let properties: String =
            (0..300).map(|at| format!(r##""d{at}": {{"$ref": "#/$defs/d{}"}},"##, at + 1)).collect();
        let references =
            format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{properties} "d300": {{"type": "boolean"}}}}}}"##);
        for constraint in [schema(&references), regex(&"a?".repeat(3_000)), regex(&"(a|b)?".repeat(1_000))] {
            let guide = grammars.guide(&constraint).map(|mut guide| {
                let allowed = guide.allowed();
                guide.take(token(b'a')).and(allowed)
            });
            assert!(matches!(guide, Ok(_) | Err(ConstraintError::Refused { .. })), "it ends");
        }
    }

    #[test]
    fn text_goes_on_beside_calls_until_a_call_is_opened() {
        let grammars = grammars();
        let call = r#"{"const":"go"}"#;
        let beside = format!(
            "start: (WORDS | MARK)* calls?\nWORDS: /[^<]+/\nMARK: /[<][^<]*/ & ~/<call>(?s:.*)/\n\
             calls: \"<call>\" call \"</call>\"\ncall: %json {call}\n"
        );
        let instead = format!(
            "start: calls | WORDS?\nWORDS: /(?s:.+)/ & ~/\\s*\\{{(?s:.*)/ & ~/(?s:.*)<call>(?s:.*)/\n\
             calls: \"{{\" call \"}}\"\ncall: %json {call}\n"
        );
        // What is said, and whether it may be said to its end and end there.
        for (grammar, said, is_whole) in [
            (&beside, "", true),
            (&beside, "a < b\n<call or <", true),
            (&beside, "so: <call>\"go\"</call>", true),
            (&beside, "so: <call>\"go\"", false),
            (&beside, "so: <call>\"no", false),
            (&beside, "<call> ", false),
            (&instead, "", true),
            (&instead, "words {", true),
            (&instead, "{\"go\"}", true),
            (&instead, "{\"no", false),
            (&instead, " {", false),
            (&instead, "a <call>", false),
        ] {
            let constraint = Constraint::Grammar(protocol::Text::new(grammar.clone()).unwrap());
            let mut guide = grammars.guide(&constraint).unwrap();
            let taken =
                said.bytes().all(|byte| tokens(&mut guide).contains(&token(byte)) && guide.take(token(byte)).is_ok());
            let ends = taken && (matches!(guide.allowed().unwrap(), Allowed::End) || tokens(&mut guide).contains(&0));
            assert_eq!(ends, is_whole, "{said}");
        }
    }

    #[test]
    fn a_vocabulary_without_a_stop_token_ends_where_nothing_can_follow() {
        let pieces: Vec<Option<Vec<u8>>> = (0..=255_u8).map(|byte| Some(vec![byte])).collect();
        let grammars = Grammars::new(&pieces, &[]).unwrap();
        let mut guide = grammars.guide(&regex("ab")).unwrap();
        guide.take(u32::from(b'a')).unwrap();
        guide.take(u32::from(b'b')).unwrap();
        assert_eq!(guide.allowed().unwrap(), Allowed::End);
    }
}
