//! How vocabularies cut a text into words before they merge letters: a row for each way that files name.
//!
//! Every pattern runs in linear time. Where the models' own patterns end in `\s+(?!\S)|\s+` (blanks, but the last one goes
//! to the word behind them), the row ends in `\s+` and the last blank is given back here.

use regex::Regex;

/// One cut: what matches is a word of its own, and so is what lies between two matches.
#[derive(Clone, Copy)]
enum Cut {
    Pattern(&'static str),
    /// The pattern ends in `\s+`: of blanks before a letter the last one is given back.
    Blanks(&'static str),
    /// As `Blanks`, but what ends a line was matched as such and is kept.
    Lines(&'static str),
    /// Runs of digits, in threes from their right end.
    Thousands,
}

/// A way of cutting, and what goes with it.
pub(super) struct Way {
    names: &'static [&'static str],
    cuts: &'static [Cut],
    /// Letters stand for themselves and blanks for U+2581; else every byte has a letter.
    pub raw: bool,
    /// A word that is a token is not merged.
    pub whole: bool,
    /// A text begins with the first token, where the file does not say.
    pub opening: bool,
}

const fn way(names: &'static [&'static str], cuts: &'static [Cut]) -> Way {
    Way { names, cuts, raw: false, whole: false, opening: false }
}

const GPT2: Cut = Cut::Blanks(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+");
const DIGIT: Cut = Cut::Pattern(r"\p{N}");
const LLAMA3: Cut = Cut::Lines(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
);
const QWEN2: Cut =
    Cut::Lines(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+");
const O200K: Cut = Cut::Lines(concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+",
));
const MARKS: Cut = Cut::Lines(concat!(
    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"##,
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+",
));
const THREES: Cut = Cut::Pattern(r"\p{N}{1,3}");
const KANA: Cut = Cut::Pattern("[一-龥\u{3040}-ゟ゠-ヿ]+");
const LINES: Cut = Cut::Pattern(r"[^\n]+|\n+");
const LATIN: &str = concat!(
    "\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}",
    "\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}",
    "\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}",
    "\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}",
    "\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}",
    "\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}",
    "\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}",
    "\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}",
    "\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}",
    "\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}",
    "\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}",
    "\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}",
    "\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+",
);

static WAYS: &[Way] = &[
    way(
        &["default"],
        &[Cut::Pattern(r"[\p{P}\$\+<=>\^~\|]+"), GPT2, Cut::Pattern(r"\p{N}+"), Cut::Pattern("[0-9][0-9][0-9]")],
    ),
    way(
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
        ],
        &[GPT2],
    ),
    way(
        &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
        &[DIGIT, GPT2],
    ),
    way(&["falcon"], &[Cut::Pattern(r"[\p{P}\$\+<=>\^~\|`]+"), GPT2, Cut::Pattern("[0-9][0-9][0-9]")]),
    Way {
        whole: true,
        opening: true,
        ..way(
            &["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
            &[LLAMA3],
        )
    },
    Way { whole: true, ..way(&["glm4", "glm5"], &[LLAMA3]) },
    way(&["dbrx", "smaug-bpe", "chatglm-bpe"], &[LLAMA3]),
    Way { whole: true, ..way(&["minicpm5"], &[THREES, QWEN2]) },
    way(
        &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"],
        &[QWEN2],
    ),
    way(&["laguna"], &[LINES, QWEN2]),
    way(
        &["qwen35"],
        &[Cut::Lines(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|",
            r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
        ))],
    ),
    way(&["ufakzeka"], &[Cut::Lines(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+")]),
    way(
        &["deepseek-llm"],
        &[
            Cut::Pattern(r"[\r\n]"),
            Cut::Pattern(LATIN),
            Cut::Pattern(r"\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+"),
            Cut::Pattern(r"\s+$"),
            Cut::Pattern("[一-龥ࠀ-一가-\u{d7ff}]+"),
            Cut::Pattern(r"\p{N}+"),
        ],
    ),
    way(
        &["deepseek-coder"],
        &[
            Cut::Pattern(r"[\r\n]"),
            Cut::Pattern(r"\s?\p{L}+"),
            Cut::Pattern(r"\s?\p{P}+"),
            Cut::Pattern("[一-龥ࠀ-一가-\u{d7ff}]+"),
            DIGIT,
        ],
    ),
    way(&["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], &[THREES, KANA, MARKS]),
    way(
        &["tekken"],
        &[Cut::Lines(concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+",
        ))],
    ),
    way(&["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], &[O200K]),
    Way { whole: true, ..way(&["granite-embed-multi-97m"], &[O200K]) },
    way(&["tiny_aya", "cohere2moe"], &[Cut::Thousands, O200K]),
    way(
        &["kimi-k2"],
        &[Cut::Lines(concat!(
            r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
            r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
            r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+",
        ))],
    ),
    way(
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        &[Cut::Lines(r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+")],
    ),
    way(
        &["seed-coder"],
        &[Cut::Lines(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+",
        )],
    ),
    way(
        &["exaone-moe"],
        &[Cut::Lines(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|",
            r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+",
        ))],
    ),
    way(&["afmoe"], &[Cut::Thousands, Cut::Pattern(ASIAN), MARKS]),
    way(&["poro-chat", "bloom", "gpt3-finnish"], &[Cut::Pattern(r" ?[^(\s|.,!?…。，、।۔،)]+")]),
    way(&["viking"], &[Cut::Pattern(r" ?[^(\s|.,!?…。，、।۔،)]+"), DIGIT]),
    Way { raw: true, ..way(&["gemma4", "granite-embed-multi-311m", "sarvam-moe"], &[LINES]) },
];

const ASIAN: &str = concat!(
    "[一-\u{9fff}㐀-䶿豈-\u{faff}\u{3040}-ゟ゠-ヿ･-ﾟ⼀-\u{2fdf}เ-\u{0e7f}\u{0e80}-\u{0eff}ក-\u{17ff}က-႟ꩠ-ꩿꧠ-\u{a9ff}",
    "가-\u{d7af}ᄀ-ᇿ]+",
);

impl Way {
    /// The way of that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        WAYS.iter().find(|way| way.names.contains(&name))
    }

    pub fn cutter(&self) -> Result<Cutter, regex::Error> {
        let steps = self.cuts.iter().map(|cut| {
            Ok(match cut {
                Cut::Pattern(pattern) => Step { pattern: Some(Regex::new(pattern)?), gives_back: false, lines: false },
                Cut::Blanks(pattern) => Step { pattern: Some(Regex::new(pattern)?), gives_back: true, lines: false },
                Cut::Lines(pattern) => Step { pattern: Some(Regex::new(pattern)?), gives_back: true, lines: true },
                Cut::Thousands => Step { pattern: None, gives_back: false, lines: false },
            })
        });
        Ok(Cutter(steps.collect::<Result<_, regex::Error>>()?))
    }
}

struct Step {
    /// None for runs of digits in threes.
    pattern: Option<Regex>,
    gives_back: bool,
    lines: bool,
}

/// A way of cutting, ready to be used.
pub(super) struct Cutter(Vec<Step>);

impl Cutter {
    /// The words of a text; joined, they are the text.
    pub fn words<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut words = vec![text];
        for step in &self.0 {
            let mut finer = Vec::with_capacity(words.len());
            for word in words {
                step.cut(word, &mut finer);
            }
            words = finer;
        }
        words.retain(|word| !word.is_empty());
        words
    }
}

impl Step {
    fn cut<'a>(&self, text: &'a str, words: &mut Vec<&'a str>) {
        let Some(pattern) = &self.pattern else { return thousands(text, words) };
        let mut at = 0;
        let mut from = 0;
        while let Some(found) = pattern.find_at(text, from) {
            let end = self.end(text, found.range());
            words.extend([&text[at..found.start()], &text[found.start()..end]]);
            // No pattern matches nothing; were it otherwise, the walk would still end.
            (at, from) = (end, end.max(found.start() + 1));
            if from > text.len() || !text.is_char_boundary(from) {
                break;
            }
        }
        words.push(&text[at..]);
    }

    /// Where a match ends: blanks before something else leave it their last one.
    fn end(&self, text: &str, found: std::ops::Range<usize>) -> usize {
        let matched = &text[found.clone()];
        let blank = |letter: char| letter.is_whitespace();
        let Some((last, letter)) = matched.char_indices().next_back().filter(|(last, _)| *last > 0) else {
            return found.end;
        };
        let kept = !self.gives_back || found.end == text.len() || (self.lines && matches!(letter, '\r' | '\n'));
        if kept || !matched.chars().all(blank) { found.end } else { found.start + last }
    }
}

/// Cuts runs of digits in threes from their right end.
fn thousands<'a>(text: &'a str, words: &mut Vec<&'a str>) {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let plain = rest.find(char::is_numeric).unwrap_or(rest.len());
        words.push(&rest[..plain]);
        let digits = &rest[plain..];
        let digits = &digits[..digits.find(|letter: char| !letter.is_numeric()).unwrap_or(digits.len())];
        let places: Vec<usize> = digits.char_indices().map(|(place, _)| place).chain([digits.len()]).collect();
        let count = places.len() - 1;
        let ends = (1..=count).filter(|end| (count - end).is_multiple_of(3));
        let mut start = 0;
        for end in ends.map(|end| places[end]) {
            words.push(&digits[start..end]);
            start = end;
        }
        at += plain + digits.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(name: &str, text: &'a str) -> Vec<&'a str> {
        Way::find(name).unwrap().cutter().unwrap().words(text)
    }

    #[test]
    fn every_way_has_names_of_its_own_and_patterns_that_parse() {
        let mut names: Vec<&str> = WAYS.iter().flat_map(|way| way.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        let text = "A text,  with 1234567 things:\n\n\t'tis 日本語 and Übermut…\r\n   end ";
        for name in names {
            assert_eq!(words(name, text).concat(), text, "{name}");
        }
    }

    #[test]
    fn the_last_of_several_blanks_goes_to_the_word_behind_them() {
        assert_eq!(words("gpt-2", "a   b\n\nc  "), ["a", "  ", " b", "\n", "\n", "c", "  "]);
        assert_eq!(words("llama-bpe", "a   b\n\nc \n d"), ["a", "  ", " b", "\n\n", "c", " \n", " d"]);
    }

    #[test]
    fn digits_are_cut_from_the_left_the_right_or_one_by_one() {
        assert_eq!(words("llama-bpe", "1234567"), ["123", "456", "7"]);
        assert_eq!(words("tiny_aya", "a1234567b12"), ["a", "1", "234", "567", "b", "12"]);
        assert_eq!(words("qwen2", "123"), ["1", "2", "3"]);
        assert_eq!(words("falcon", "12345"), ["123", "45"]);
    }
}
