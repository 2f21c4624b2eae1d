//! Messages to a prompt: the model's chat template, then tokens, with only the template's own special tokens as such.
//!
//! The content of a message can never open or close a turn, whatever it says: inside of it a special token is text.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context, syntax::SyntaxConfig};
use protocol::Message;

use crate::tokenizer::{Tokenizer, TokenizerError};

/// A noncharacter that no text interchange uses: it breaks special tokens inside of contents while the template runs.
const MARK: char = '\u{10ffff}';
/// Steps that a template may take; a real one takes a few per message.
const FUEL: u64 = 2_000_000;
/// A longer rendering is refused before it is tokenised.
const RENDERED_BYTES_MAX: usize = 1 << 22;

/// Why messages have no prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    #[error("there are no messages")]
    Empty,
    #[error("message {message} holds the noncharacter U+10FFFF")]
    Mark { message: usize },
    #[error("the chat template refuses these messages: {cause}")]
    Template { cause: String },
    #[error("the rendered prompt has {found} bytes, at most {limit} are allowed")]
    Rendered { found: usize, limit: usize },
    #[error("the prompt has {found} tokens, the model's context leaves room for {limit}")]
    TooLong { found: usize, limit: usize },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

pub struct Template(Environment<'static>);

impl Template {
    /// Parses a template; says what is wrong with it.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As the reference implementation of chat templates sets them.
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|cause| cause.to_string())?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.add_function("raise_exception", |text: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_template_owned("chat", source.to_owned()).map_err(|cause| cause.to_string())?;
        Ok(Self(environment))
    }

    /// The tokens of a conversation that the assistant is to continue, at a time that the template may show.
    pub fn prompt(&self, tokenizer: &Tokenizer, messages: &[Message], time_ms: u64) -> Result<Vec<u32>, PromptError> {
        let rendered = self.render(tokenizer, messages, true, time_ms)?;
        tokens(tokenizer, &rendered)
    }

    /// The tokens of a whole conversation, nothing to follow.
    pub fn whole(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Result<Vec<u32>, PromptError> {
        tokens(tokenizer, &self.render(tokenizer, messages, false, 0)?)
    }

    fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        to_continue: bool,
        time_ms: u64,
    ) -> Result<String, PromptError> {
        if messages.is_empty() {
            return Err(PromptError::Empty);
        }
        let mut turns = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            if message.content.contains(MARK) {
                return Err(PromptError::Mark { message: index });
            }
            let content = marked(tokenizer, &message.content);
            turns.push(context! { role => message.speaker.word(), content => content });
        }
        let refuse = |cause: Error| PromptError::Template { cause: cause.to_string() };
        let template = self.0.get_template("chat").map_err(refuse)?;
        let show_time = move |format: String| strftime(&format, time_ms);
        let rendered = template
            .render(context! {
                messages => turns,
                add_generation_prompt => to_continue,
                strftime_now => minijinja::Value::from_function(show_time),
            })
            .map_err(refuse)?;
        let (found, limit) = (rendered.len(), RENDERED_BYTES_MAX);
        if found > limit { Err(PromptError::Rendered { found, limit }) } else { Ok(rendered) }
    }
}

/// Puts a mark behind everything in `content` that could begin a special token, and before a beginning that could
/// complete one which the template's text before it began.
fn marked(tokenizer: &Tokenizer, content: &str) -> String {
    let specials = tokenizer.specials();
    let mut marked = String::new();
    let completes = |special: &str| {
        special.char_indices().skip(1).any(|(at, _)| special.get(at..).is_some_and(|rest| content.starts_with(rest)))
    };
    if specials.iter().any(|special| completes(&special.content)) {
        marked.push(MARK);
    }
    for letter in content.chars() {
        marked.push(letter);
        if specials.iter().any(|special| special.content.starts_with(letter)) {
            marked.push(MARK);
        }
    }
    marked
}

/// Cuts a rendering at its special tokens and tokenises what lies between.
fn tokens(tokenizer: &Tokenizer, rendered: &str) -> Result<Vec<u32>, PromptError> {
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut rest = rendered;
    while let Some(letter) = rest.chars().next() {
        if let Some(special) = tokenizer.specials().iter().find(|special| rest.starts_with(&special.content)) {
            tokens.extend(tokenizer.encode(&std::mem::take(&mut plain))?);
            tokens.push(special.id);
            rest = rest.get(special.content.len()..).unwrap_or_default();
            if special.strips_after {
                rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == MARK);
            }
            continue;
        }
        if letter != MARK {
            plain.push(letter);
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    tokens.extend(tokenizer.encode(&plain)?);
    Ok(tokens)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The few conversions that chat templates use, in UTC; others stand as they are.
fn strftime(format: &str, time_ms: u64) -> String {
    let (days, seconds) = (time_ms / 86_400_000, time_ms / 1000 % 86_400);
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], index: u64| names.get(index as usize).copied().unwrap_or_default();
    let (month_name, day_name) = (name(&MONTHS, month - 1), name(&DAYS, days % 7));
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('Y') => text.push_str(&year.to_string()),
            Some('m') => text.push_str(&format!("{month:02}")),
            Some('d') => text.push_str(&format!("{day:02}")),
            Some('H') => text.push_str(&format!("{:02}", seconds / 3600)),
            Some('M') => text.push_str(&format!("{:02}", seconds / 60 % 60)),
            Some('S') => text.push_str(&format!("{:02}", seconds % 60)),
            Some('B') => text.push_str(month_name),
            Some('b') => text.push_str(month_name.get(..3).unwrap_or_default()),
            Some('A') => text.push_str(day_name),
            Some('a') => text.push_str(day_name.get(..3).unwrap_or_default()),
            Some('%') | None => text.push('%'),
            Some(other) => text.extend(['%', other]),
        }
    }
    text
}

/// Year, month and day of a number of days since 1970-01-01 (the proleptic Gregorian calendar, in eras of 400 years).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_show_as_a_calendar_does() {
        let cases = [
            (0, "1970-01-01 Thu"),
            (951_782_400_000, "2000-02-29 Tue"),
            (1_732_147_200_000, "2024-11-21 Thu"),
            (4_102_444_799_000, "2099-12-31 Thu"),
        ];
        for (time_ms, expected) in cases {
            assert_eq!(strftime("%Y-%m-%d %a", time_ms), expected);
        }
        assert_eq!(strftime("%d %B, %H:%M:%S 100%% %q", 86_399_000), "01 January, 23:59:59 100% %q");
    }

    #[test]
    fn a_template_that_does_not_parse_is_refused() {
        assert!(Template::parse("{% if %}").is_err());
        assert!(Template::parse("{{ messages[0].content }}").is_ok());
    }
}
