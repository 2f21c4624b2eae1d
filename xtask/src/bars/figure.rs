//! Goals, figures and verdicts, and how they look in columns.

use serde::{Deserialize, Serialize};
use serde_json::json;

/// What is promised.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
    /// Promised to be published, whatever it is.
    Told(&'static str),
    /// At least the one where the CPU has VNNI, at least the other where it has only AVX2; without another it is told there.
    ByCpu {
        vnni: f64,
        avx2: Option<f64>,
        unit: &'static str,
    },
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// None if it could not be measured.
    pub figure: Option<f64>,
    /// How it was measured, or what was missing.
    pub note: String,
}

/// Whether the goal is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Held,
    Told,
    Short,
}

impl Outcome {
    pub fn of(figure: f64, note: impl Into<String>) -> Self {
        Self { figure: Some(figure), note: note.into() }
    }

    pub fn missing(what: impl Into<String>) -> Self {
        Self { figure: None, note: what.into() }
    }
}

impl Goal {
    /// What is promised on the CPU at hand.
    pub fn here(self) -> Self {
        self.on(has_vnni())
    }

    fn on(self, has_vnni: bool) -> Self {
        match self {
            Self::ByCpu { vnni, unit, .. } if has_vnni => Self::AtLeast(vnni, unit),
            Self::ByCpu { avx2: Some(least), unit, .. } => Self::AtLeast(least, unit),
            Self::ByCpu { avx2: None, unit, .. } => Self::Told(unit),
            other => other,
        }
    }

    /// What could not be measured falls short.
    pub fn verdict(self, outcome: &Outcome) -> Verdict {
        match (self, outcome.figure) {
            (Self::AtMost(limit, _), Some(figure)) if figure <= limit => Verdict::Held,
            (Self::AtLeast(limit, _), Some(figure)) if figure >= limit => Verdict::Held,
            (Self::Told(_), Some(figure)) if figure.is_finite() => Verdict::Told,
            _ => Verdict::Short,
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::AtMost(_, unit) | Self::AtLeast(_, unit) | Self::Told(unit) | Self::ByCpu { unit, .. } => unit,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(limit, unit) => format!("≤ {limit} {unit}"),
            Self::AtLeast(limit, unit) => format!("≥ {limit} {unit}"),
            Self::Told(unit) => format!("told, {unit}"),
            Self::ByCpu { unit, .. } => format!("by CPU, {unit}"),
        }
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Told => "told",
            Self::Short => "SHORT",
        }
    }
}

/// One line of the table.
pub struct Row<'a> {
    pub bar: &'a str,
    pub goal: Goal,
    pub outcome: &'a Outcome,
    pub verdict: Verdict,
}

/// Dot products of bytes in one instruction; every Arm and other CPU is taken to have something like it.
fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    true
}

/// The line above the rows, and before it the machine where that matters.
pub fn heading(area: &str, about: &str) -> String {
    let columns = columns(area, "goal", "figure", "verdict", "how, or why not");
    if about.is_empty() { columns } else { format!("{area} on {about}\n{columns}") }
}

impl Row<'_> {
    pub fn columns(&self) -> String {
        let figure = self.outcome.figure.map_or("–".to_owned(), |figure| format!("{figure:.3} {}", self.goal.unit()));
        columns(self.bar, &self.goal.words(), &figure, self.verdict.word(), &self.outcome.note)
    }

    pub fn json(&self, area: &str, about: &str) -> String {
        json!({
            "area": area,
            "on": about,
            "bar": self.bar,
            "goal": self.goal.words(),
            "figure": self.outcome.figure,
            "unit": self.goal.unit(),
            "verdict": self.verdict.word().to_lowercase(),
            "note": self.outcome.note,
        })
        .to_string()
    }
}

fn columns(bar: &str, goal: &str, figure: &str, verdict: &str, note: &str) -> String {
    format!("{bar:<44} {goal:<14} {figure:>18}  {verdict:<7}  {note}").trim_end().to_owned()
}

/// The middle of some figures; None if there are none.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_at_its_limit_holds() {
        assert_eq!(Goal::AtMost(10.0, "s").verdict(&Outcome::of(10.0, "")), Verdict::Held);
        assert_eq!(Goal::AtLeast(90.0, "%").verdict(&Outcome::of(90.0, "")), Verdict::Held);
    }

    #[test]
    fn a_bar_beyond_its_limit_falls_short() {
        assert_eq!(Goal::AtMost(10.0, "s").verdict(&Outcome::of(10.1, "")), Verdict::Short);
        assert_eq!(Goal::AtLeast(90.0, "%").verdict(&Outcome::of(89.9, "")), Verdict::Short);
    }

    #[test]
    fn what_was_not_measured_falls_short() {
        for goal in [Goal::AtMost(1.0, "s"), Goal::AtLeast(1.0, "s"), Goal::Told("s")] {
            assert_eq!(goal.verdict(&Outcome::missing("no verb")), Verdict::Short);
            assert_eq!(goal.verdict(&Outcome::of(f64::NAN, "")), Verdict::Short);
        }
    }

    #[test]
    fn a_goal_is_that_of_the_cpu() {
        let goal = Goal::ByCpu { vnni: 2.0, avx2: Some(1.5), unit: "×" };
        assert_eq!(goal.on(true).verdict(&Outcome::of(1.7, "")), Verdict::Short);
        assert_eq!(goal.on(false).verdict(&Outcome::of(1.7, "")), Verdict::Held);
        let goal = Goal::ByCpu { vnni: 2.0, avx2: None, unit: "×" };
        assert_eq!(goal.on(false).verdict(&Outcome::of(0.1, "")), Verdict::Told);
    }

    #[test]
    fn columns_line_up() {
        let outcome = Outcome::of(3.5, "once");
        let row = Row { bar: "ready", goal: Goal::AtMost(10.0, "s"), outcome: &outcome, verdict: Verdict::Held };
        let place = |line: &str| line.chars().position(|character| character == 'h' || character == 'v');
        assert_eq!(row.columns().find("held").map(|at| row.columns()[..at].chars().count()), place(&heading("x", "")));
    }

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
    }
}
