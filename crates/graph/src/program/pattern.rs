//! Regular expressions in RE2's syntax, matched against whole texts by walking all ways at once: no pattern takes longer than its size times
//! the text's.
//!
//! Known: literals, `.` (not a newline), classes (also `[:alpha:]` and so on, and `\d \w \s` of ASCII), groups, `|`, repetition (a lazy or
//! greedy one matches the same whole texts), `^ $ \A \z \b \B`. Everything else is refused.

use super::problem::Problem;

/// Most steps of a compiled pattern.
const STEPS_MAX: usize = 1 << 14;
/// Most repetitions that braces may ask for, as RE2 allows.
const REPEATS_MAX: usize = 1000;
const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug)]
enum Step {
    /// One character within the ranges, or with `true` outside of them.
    One(bool, Vec<(char, char)>),
    /// On to both.
    Fork(usize, usize),
    Start,
    End,
    /// Between a word's character and another, or with `false` not there.
    Edge(bool),
    Match,
}

#[derive(Clone, Debug)]
enum Tree {
    Empty,
    One(bool, Vec<(char, char)>),
    Start,
    End,
    Edge(bool),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    Repeat(Box<Tree>, usize, Option<usize>),
}

/// A compiled pattern.
pub struct Pattern(Vec<Step>);

impl Pattern {
    pub fn new(pattern: &str) -> Result<Self, Problem> {
        let refused = || Problem::Attribute {
            name: "pattern",
            expected: "a regular expression of the syntax that is known here",
        };
        let mut reader = Reader { rest: pattern.chars().collect(), at: 0, depth: 0 };
        let tree = reader.either().filter(|_| reader.at == reader.rest.len()).ok_or_else(refused)?;
        let mut steps = Vec::new();
        compile(&tree, &mut steps).ok_or_else(refused)?;
        steps.push(Step::Match);
        Ok(Self(steps))
    }

    /// How many steps a match takes for each character, at most.
    pub fn size(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut ways = vec![false; self.0.len()];
        self.reach(0, &text, 0, &mut ways);
        for (at, &character) in text.iter().enumerate() {
            let mut next = vec![false; self.0.len()];
            for (step, _) in ways.iter().enumerate().filter(|(_, reached)| **reached) {
                if let Step::One(negated, ranges) = &self.0[step]
                    && within(ranges, character) != *negated
                {
                    self.reach(step + 1, &text, at + 1, &mut next);
                }
            }
            ways = next;
        }
        ways.last() == Some(&true)
    }

    /// All steps that are reached from one without reading a character.
    fn reach(&self, from: usize, text: &[char], at: usize, ways: &mut [bool]) {
        let word = |at: Option<usize>| {
            at.and_then(|at| text.get(at)).is_some_and(|&it| it == '_' || it.is_ascii_alphanumeric())
        };
        let mut open = vec![from];
        while let Some(step) = open.pop() {
            if std::mem::replace(&mut ways[step], true) {
                continue;
            }
            match &self.0[step] {
                Step::Fork(one, other) => open.extend([*one, *other]),
                Step::Start if at == 0 => open.push(step + 1),
                Step::End if at == text.len() => open.push(step + 1),
                Step::Edge(wanted) if (word(at.checked_sub(1)) != word(Some(at))) == *wanted => open.push(step + 1),
                Step::Start | Step::End | Step::Edge(_) | Step::One(..) | Step::Match => {}
            }
        }
    }
}

fn within(ranges: &[(char, char)], character: char) -> bool {
    ranges.iter().any(|&(low, high)| low <= character && character <= high)
}

/// Appends the steps of a tree; `None` where there would be too many.
fn compile(tree: &Tree, steps: &mut Vec<Step>) -> Option<()> {
    if steps.len() >= STEPS_MAX {
        return None;
    }
    match tree {
        Tree::Empty => {}
        Tree::One(negated, ranges) => steps.push(Step::One(*negated, ranges.clone())),
        Tree::Start => steps.push(Step::Start),
        Tree::End => steps.push(Step::End),
        Tree::Edge(wanted) => steps.push(Step::Edge(*wanted)),
        Tree::Both(one, other) => {
            compile(one, steps)?;
            compile(other, steps)?;
        }
        Tree::Either(one, other) => {
            let fork = steps.len();
            steps.push(Step::Match);
            compile(one, steps)?;
            let jump = steps.len();
            steps.push(Step::Match);
            compile(other, steps)?;
            steps[fork] = Step::Fork(fork + 1, jump + 1);
            steps[jump] = Step::Fork(steps.len(), steps.len());
        }
        Tree::Repeat(inner, least, most) => {
            for _ in 0..*least {
                compile(inner, steps)?;
            }
            let Some(most) = most else {
                let fork = steps.len();
                steps.push(Step::Match);
                compile(inner, steps)?;
                steps.push(Step::Fork(fork, fork));
                steps[fork] = Step::Fork(fork + 1, steps.len());
                return Some(());
            };
            let mut forks = Vec::new();
            for _ in *least..*most {
                forks.push(steps.len());
                steps.push(Step::Match);
                compile(inner, steps)?;
            }
            let end = steps.len();
            forks.into_iter().for_each(|fork| steps[fork] = Step::Fork(fork + 1, end));
        }
    }
    Some(())
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        self.at += 1;
        self.rest.get(self.at - 1).copied()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = word.chars().enumerate().all(|(place, it)| self.rest.get(self.at + place) == Some(&it));
        self.at += if found { word.chars().count() } else { 0 };
        found
    }

    fn either(&mut self) -> Option<Tree> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut tree = self.sequence()?;
        while self.take("|") {
            tree = Tree::Either(Box::new(tree), Box::new(self.sequence()?));
        }
        self.depth -= 1;
        Some(tree)
    }

    fn sequence(&mut self) -> Option<Tree> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some('|' | ')')) {
            let one = self.one()?;
            parts.push(self.repeated(one)?);
        }
        // A long text nests to the right of its middle, so that trees stay shallow.
        Some(joined(&mut parts))
    }

    fn repeated(&mut self, one: Tree) -> Option<Tree> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.braces(one),
            _ => return Some(one),
        };
        self.at += 1;
        self.lazy(one, least, most)
    }

    fn braces(&mut self, one: Tree) -> Option<Tree> {
        self.at += 1;
        let least = self.number()?;
        let most = match self.next()? {
            '}' => Some(least),
            ',' if self.take("}") => None,
            ',' => Some(self.number()?).filter(|_| self.take("}")).map(Some)?,
            _ => return None,
        };
        let fits = least <= REPEATS_MAX && most.is_none_or(|most| most <= REPEATS_MAX && least <= most);
        if fits { self.lazy(one, least, most) } else { None }
    }

    /// A question mark behind a repetition changes nothing here; a second repetition is refused.
    fn lazy(&mut self, one: Tree, least: usize, most: Option<usize>) -> Option<Tree> {
        self.take("?");
        let again = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
        if again { None } else { Some(Tree::Repeat(Box::new(one), least, most)) }
    }

    fn number(&mut self) -> Option<usize> {
        let mut value: Option<usize> = None;
        while let Some(digit) = self.peek().and_then(|it| it.to_digit(10)) {
            value = Some(value.unwrap_or(0).checked_mul(10)?.checked_add(digit as usize)?);
            self.at += 1;
        }
        value
    }

    fn one(&mut self) -> Option<Tree> {
        match self.next()? {
            '(' => {
                if self.take("?P<") || self.take("?<") {
                    while self.next()? != '>' {}
                } else if self.peek() == Some('?') && !self.take("?:") {
                    return None;
                }
                let tree = self.either()?;
                self.take(")").then_some(tree)
            }
            '[' => self.class(),
            '.' => Some(Tree::One(true, vec![('\n', '\n')])),
            '^' => Some(Tree::Start),
            '$' => Some(Tree::End),
            '\\' => match self.peek()? {
                'A' => self.known(Tree::Start),
                'z' => self.known(Tree::End),
                'b' => self.known(Tree::Edge(true)),
                'B' => self.known(Tree::Edge(false)),
                _ => self.escape().map(|(negated, ranges)| Tree::One(negated, ranges)),
            },
            '*' | '+' | '?' | '{' => None,
            literal => Some(Tree::One(false, vec![(literal, literal)])),
        }
    }

    fn known(&mut self, tree: Tree) -> Option<Tree> {
        self.at += 1;
        Some(tree)
    }

    /// What stands behind a backslash, as ranges.
    fn escape(&mut self) -> Option<(bool, Vec<(char, char)>)> {
        let letter = self.next()?;
        let one = |it| Some((false, vec![(it, it)]));
        match letter {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                Some((letter.is_ascii_uppercase(), named(&letter.to_ascii_lowercase().to_string())?))
            }
            't' => one('\t'),
            'n' => one('\n'),
            'r' => one('\r'),
            'f' => one('\u{c}'),
            'v' => one('\u{b}'),
            'a' => one('\u{7}'),
            'x' => {
                let digits: String = match self.take("{") {
                    true => std::iter::from_fn(|| self.next().filter(|&it| it != '}')).take(8).collect(),
                    false => [self.next()?, self.next()?].into_iter().collect(),
                };
                one(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?)
            }
            it if it.is_ascii_punctuation() => one(it),
            _ => None,
        }
    }

    fn class(&mut self) -> Option<Tree> {
        let negated = self.take("^");
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let low = match self.next()? {
                ']' if !first => return Some(Tree::One(negated, ranges)),
                '[' if self.take(":") => {
                    let word: String = std::iter::from_fn(|| self.next().filter(|&it| it != ':')).take(16).collect();
                    ranges.extend(named(&word)?);
                    if !self.take("]") {
                        return None;
                    }
                    first = false;
                    continue;
                }
                '\\' => match self.escape()? {
                    (false, one) if one.len() == 1 && one[0].0 == one[0].1 => one[0].0,
                    (false, all) => {
                        ranges.extend(all);
                        first = false;
                        continue;
                    }
                    (true, all) => {
                        ranges.extend(outside(&all));
                        first = false;
                        continue;
                    }
                },
                it => it,
            };
            first = false;
            let ranged = self.peek() == Some('-') && !matches!(self.rest.get(self.at + 1), None | Some(']'));
            let high = match ranged {
                false => low,
                true => {
                    self.at += 1;
                    match self.next()? {
                        '\\' => self.escape().filter(|(negated, one)| !negated && one.len() == 1)?.1[0].0,
                        it => it,
                    }
                }
            };
            if high < low {
                return None;
            }
            ranges.push((low, high));
        }
    }
}

/// Parts one after the other.
fn joined(parts: &mut Vec<Tree>) -> Tree {
    match parts.len() {
        0 => Tree::Empty,
        1 => parts.pop().unwrap_or(Tree::Empty),
        count => {
            let mut right = parts.split_off(count / 2);
            Tree::Both(Box::new(joined(parts)), Box::new(joined(&mut right)))
        }
    }
}

/// The ranges of a class by its name.
fn named(word: &str) -> Option<Vec<(char, char)>> {
    Some(match word {
        "d" | "digit" => vec![('0', '9')],
        "w" | "word" => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "s" => vec![('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')],
        "space" => vec![('\t', '\r'), (' ', ' ')],
        "alpha" => vec![('A', 'Z'), ('a', 'z')],
        "alnum" => vec![('0', '9'), ('A', 'Z'), ('a', 'z')],
        "upper" => vec![('A', 'Z')],
        "lower" => vec![('a', 'z')],
        "punct" => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "xdigit" => vec![('0', '9'), ('A', 'F'), ('a', 'f')],
        "blank" => vec![('\t', '\t'), (' ', ' ')],
        _ => return None,
    })
}

/// All characters that are in none of these ranges, which rise.
fn outside(ranges: &[(char, char)]) -> Vec<(char, char)> {
    let mut gaps = Vec::new();
    let mut low = 0_u32;
    for &(from, to) in ranges {
        gaps.push((low, (from as u32).saturating_sub(1)));
        low = to as u32 + 1;
    }
    gaps.push((low, char::MAX as u32));
    gaps.into_iter()
        .filter(|(low, high)| low <= high)
        .filter_map(|(low, high)| Some((char::from_u32(low)?, char::from_u32(high)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_match_and_parts_do_not() {
        let table = [
            (r"www\.[\w.-]+\.\bcom\b", "www.google.com", true),
            (r"www\.[\w.-]+\.\bcom\b", "www.facebook.net", false),
            (r"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)", "account@gmail.com", true),
            (r"(\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$)", "account@hotmail.com", false),
            ("", "", true),
            ("", "a", false),
            ("(a|ab)(c|bcd)", "abcd", true),
            ("(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("a{2,3}?", "aaa", true),
            ("a{2,3}", "aaaa", false),
            ("[^a-c]+", "xyz", true),
            (r"[\D]", "7", false),
            ("[[:alpha:]]+", "Wort", true),
            ("[]a]+", "a]", true),
            (r"\x41\x{1F600}", "A\u{1f600}", true),
            (".", "\n", false),
            (r"\bx\B", "x", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_that_are_not_known_or_too_large_are_refused() {
        let bomb = "(".repeat(70) + &")".repeat(70);
        for pattern in [
            "(",
            ")",
            "a**",
            "(?i)a",
            r"\pL",
            "[b-a]",
            "a{1001}",
            "((a{1000}){1000})",
            r"\1",
            "[",
            "x{2,1}",
            &bomb,
            "*",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
