//! What was measured, beside what is to be reached: on the terminal and in Markdown.

use std::fmt::Write;

use crate::kit::Failure;

/// A kind of work, and what is to be reached there.
#[derive(Default)]
pub(crate) struct Goal {
    pub(crate) work: String,
    checks: Vec<Check>,
    notes: Vec<String>,
}

struct Check {
    what: String,
    unit: &'static str,
    limit: f64,
    at_most: bool,
    /// `None` where it could not be measured.
    value: Option<f64>,
}

/// A table with more than the goals.
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) goals: Vec<Goal>,
    pub(crate) tables: Vec<Table>,
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

// === impl Goal ===

impl Goal {
    pub(crate) fn of(work: &str) -> Goal {
        Goal {
            work: work.to_owned(),
            ..Goal::default()
        }
    }

    /// `what` is to be this much or less; its unit ends the figure.
    pub(crate) fn at_most(
        self,
        limit: f64,
        unit: &'static str,
        what: &str,
        value: Option<f64>,
    ) -> Goal {
        self.check(true, limit, unit, what, value)
    }

    pub(crate) fn at_least(
        self,
        limit: f64,
        unit: &'static str,
        what: &str,
        value: Option<f64>,
    ) -> Goal {
        self.check(false, limit, unit, what, value)
    }

    fn check(
        mut self,
        at_most: bool,
        limit: f64,
        unit: &'static str,
        what: &str,
        value: Option<f64>,
    ) -> Goal {
        self.checks.push(Check {
            what: what.to_owned(),
            unit,
            limit,
            at_most,
            value: value.filter(|value| value.is_finite()),
        });
        self
    }

    /// Something to know beside the figures.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Goal {
        self.notes.push(note.into());
        self.notes.retain(|note| !note.is_empty());
        self
    }

    fn cells(&self) -> Vec<String> {
        let goals = self.checks.iter().map(|check| {
            let sign = if check.at_most { "≤" } else { "≥" };
            format!("{sign} {}{} {}", check.limit, check.unit, check.what)
        });
        let measured = self.checks.iter().map(Check::measured);
        let measured = measured.chain(self.notes.iter().cloned());
        vec![
            self.work.clone(),
            goals.collect::<Vec<_>>().join("; "),
            measured.collect::<Vec<_>>().join("; "),
            self.verdict().to_owned(),
        ]
    }

    fn verdict(&self) -> &'static str {
        let all = || self.checks.iter().map(Check::is_reached);
        match () {
            () if all().any(|reached| reached == Some(false)) => "no",
            () if self.checks.is_empty() || all().any(|reached| reached.is_none()) => "not known",
            () => "yes",
        }
    }
}

impl Check {
    fn is_reached(&self) -> Option<bool> {
        let value = self.value?;
        Some(if self.at_most {
            value <= self.limit
        } else {
            value >= self.limit
        })
    }

    fn measured(&self) -> String {
        let Some(value) = self.value else {
            return "–".to_owned();
        };
        // No rounding makes a goal look reached that is not.
        let close = self.limit < 10.0 || (value - self.limit).abs() < 0.5;
        let digits = if close && value.fract() != 0.0 { 2 } else { 0 };
        format!("{value:.digits$}{}", self.unit)
    }
}

// === impl Table ===

impl Table {
    fn markdown(&self) -> String {
        let mut out = String::new();
        if !self.title.is_empty() {
            out += &format!("### {}\n\n", self.title);
        }
        if !self.note.is_empty() {
            out += &format!("{}\n\n", self.note);
        }
        out += &line(&self.head);
        out += &line(&vec!["---".to_owned(); self.head.len()]);
        self.rows.iter().for_each(|row| out += &line(row));
        out
    }

    /// In columns, for people.
    fn text(&self) -> String {
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column| {
            let cells = rows().filter_map(|row| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut out = format!("\n{}\n", self.title);
        for row in rows() {
            let cells = row.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
        }
        out
    }
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

// === impl Report ===

impl Report {
    /// A part that failed is told of; the others count.
    pub(crate) fn note_failure(&mut self, work: &str, done: Result<(), Failure>) {
        if let Err(error) = done {
            eprintln!("{work}: {error}");
            self.goals.push(Goal::of(work).note(error.to_string()));
        }
    }

    fn goals(&self) -> Table {
        Table {
            title: "What is to be reached".to_owned(),
            note: String::new(),
            head: ["work", "goal", "measured", "reached"]
                .map(str::to_owned)
                .into(),
            rows: self.goals.iter().map(Goal::cells).collect(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let tables: String = self.tables.iter().map(Table::text).collect();
        tables + &self.goals().text()
    }

    pub(crate) fn markdown(&self) -> String {
        let goals = std::iter::once(self.goals().markdown());
        let tables = self.tables.iter().map(Table::markdown);
        goals.chain(tables).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_goal_is_reached_when_all_of_it_is() {
        let goal = |most, least| {
            Goal::of("work")
                .at_most(1.1, " ×", "bare", most)
                .at_least(50.0, "%", "hits", least)
        };
        let cells = goal(Some(1.104), Some(70.0)).cells();
        assert_eq!(
            cells,
            ["work", "≤ 1.1 × bare; ≥ 50% hits", "1.10 ×; 70%", "no"]
        );
        assert_eq!(goal(Some(1.1), Some(50.0)).verdict(), "yes");
        assert_eq!(goal(Some(1.1), None).verdict(), "not known");
        assert_eq!(goal(Some(1.2), None).verdict(), "no");
        assert_eq!(Goal::of("what failed").verdict(), "not known");
    }

    #[test]
    fn a_table_in_both_forms() {
        let cells = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let table = Table {
            title: "T".to_owned(),
            note: String::new(),
            head: cells(["server", "µs"]),
            rows: vec![cells(["a", "10.5"])],
        };
        assert_eq!(
            table.markdown(),
            "### T\n\n| server | µs |\n| --- | --- |\n| a | 10.5 |\n"
        );
        assert_eq!(table.text(), "\nT\n  server  µs\n  a       10.5\n");
    }
}
