//! One table of everything that was measured.

use std::fmt;

use serde_json::{Value, json};

/// What a measured value should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {}", number(*most)),
            Self::AtLeast(least) => write!(f, "≥ {}", number(*least)),
        }
    }
}

/// Something measured, what the machine allows, and what it should be.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    limit: Option<(String, f64, &'static str)>,
    goal: Option<Goal>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, limit: None, goal: None }
    }

    /// What the machine takes for the part of it that cannot be saved.
    pub(crate) fn limit(mut self, what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        self.limit = Some((what.into(), value, unit));
        self
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    fn cells(&self) -> [String; 4] {
        let limit = self.limit.as_ref();
        let verdict = |goal: Goal| if goal.is_met(self.value) { "met" } else { "MISSED" };
        [
            self.what.clone(),
            format!("{} {}", number(self.value), self.unit),
            limit.map(|(what, value, unit)| format!("{} {unit}: {what}", number(*value))).unwrap_or_default(),
            self.goal.map(|goal| format!("{goal} {}: {}", self.unit, verdict(goal))).unwrap_or_default(),
        ]
    }

    fn json(&self) -> Value {
        let limit = self.limit.as_ref();
        let goal = self.goal.map(|goal| match goal {
            Goal::AtMost(most) => json!({"at_most": most, "met": goal.is_met(self.value)}),
            Goal::AtLeast(least) => json!({"at_least": least, "met": goal.is_met(self.value)}),
        });
        json!({
            "name": self.what,
            "value": self.value,
            "unit": self.unit,
            "limit": limit.map(|(what, value, unit)| json!({"name": what, "value": value, "unit": unit})),
            "goal": goal,
        })
    }
}

/// As many digits as are worth reading.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// All rows, in Markdown.
pub(crate) struct Table(Vec<Row>);

impl FromIterator<Row> for Table {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Table {
    pub(crate) fn json(&self) -> Value {
        self.0.iter().map(Row::json).collect()
    }
}

const HEADINGS: [&str; 4] = ["measured", "value", "the machine's own", "goal"];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 4]> =
            std::iter::once(HEADINGS.map(str::to_owned)).chain(self.0.iter().map(Row::cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 4] = std::array::from_fn(width);
        for (index, row) in rows.iter().enumerate() {
            let cell = |column: usize| format!(" {:1$} |", row[column], widths[column]);
            writeln!(f, "|{}", (0..4).map(cell).collect::<String>())?;
            if index == 0 {
                writeln!(f, "|{}", widths.map(|width| format!("{}|", "-".repeat(width + 2))).concat())?;
            }
        }
        Ok(())
    }
}
