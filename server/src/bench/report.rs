//! Rows, ratios and floors, as a table or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::Setting;

/// What a row of ours must keep.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Floor {
    /// Nothing: told for its own sake.
    None,
    /// At most so many times the other side's.
    OfOther(f64),
    /// At most this, whoever else is there.
    AtMost(f64),
}

/// One measured quantity of all sides.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    name: String,
    unit: &'static str,
    /// Every round of every side, in the order of `Setting::sides`.
    samples: Vec<Vec<f64>>,
    floor: Floor,
    /// Who was measured in place of the sides.
    by: Option<&'static str>,
}

impl Row {
    /// A row; a side's result is the median of its samples.
    #[must_use]
    pub fn new(name: String, unit: &'static str, samples: Vec<Vec<f64>>, floor: Floor) -> Self {
        Self { name, unit, samples, floor, by: None }
    }

    /// A row of neither side, to compare with.
    #[must_use]
    pub fn beside(by: &'static str, name: String, unit: &'static str, samples: Vec<f64>) -> Self {
        Self { name: format!("{by}, {name}"), unit, samples: vec![samples], floor: Floor::None, by: Some(by) }
    }
}

/// All of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    sides: Vec<String>,
    rounds: usize,
    seconds: u64,
    /// In the order in which they are printed.
    pub rows: Vec<Row>,
}

#[derive(Serialize)]
struct JsonReport<'a> {
    processors: usize,
    rounds: usize,
    seconds: u64,
    value_bytes: usize,
    rows: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    name: &'a str,
    unit: &'a str,
    results: Vec<JsonResult<'a>>,
    /// The first side's result divided by the second's.
    ratio: Option<f64>,
    floor: Option<String>,
    held: Option<bool>,
}

#[derive(Serialize)]
struct JsonResult<'a> {
    side: &'a str,
    median: f64,
    rounds: &'a [f64],
}

impl Report {
    /// An empty one.
    #[must_use]
    pub fn new(setting: &Setting) -> Self {
        let sides = setting.sides.iter().map(ToString::to_string).collect();
        Self { sides, rounds: setting.rounds, seconds: setting.round.as_secs(), rows: Vec::new() }
    }

    fn ratio(&self, row: &Row) -> Option<f64> {
        match &row.samples[..] {
            [ours, other] => Some(median(ours) / median(other)),
            _ => None,
        }
    }

    /// `None` where there is no floor, or nothing to hold against it.
    fn held(&self, row: &Row) -> Option<bool> {
        if self.sides.first().is_none_or(|s| s != "quorate") {
            return None;
        }
        match row.floor {
            Floor::None => None,
            Floor::OfOther(limit) => self.ratio(row).map(|r| r <= limit),
            Floor::AtMost(limit) => row.samples.first().map(|s| median(s) <= limit),
        }
    }

    /// Whether no floor is broken.
    #[must_use]
    pub fn floors_hold(&self) -> bool {
        self.rows.iter().all(|r| self.held(r) != Some(false))
    }

    /// For a person.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|r| r.name.chars().count()).max().unwrap_or(0);
        let mut out = format!("{:width$}  unit ", "");
        for side in &self.sides {
            let _ = write!(out, "  {side:>10}");
        }
        let _ = writeln!(out, "  {:>7}  floor", "ratio");
        for row in &self.rows {
            let _ = write!(out, "{:width$}  {:5}", row.name, row.unit);
            for at in 0..self.sides.len() {
                let result = row.samples.get(at).map_or_else(|| "-".to_owned(), |s| number(median(s)));
                let _ = write!(out, "  {result:>10}");
            }
            let ratio = self.ratio(row).map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"));
            let verdict = match self.held(row) {
                Some(true) => "  holds",
                Some(false) => "  BROKEN",
                None => "",
            };
            let line = format!("  {ratio:>7}  {}{verdict}", floor(row).unwrap_or_default());
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let _ = writeln!(
            out,
            "\nMedians of {} rounds of {} s on {} processors; values of {} bytes, fsync on, loopback.",
            self.rounds,
            self.seconds,
            processors(),
            super::VALUE.len()
        );
        out
    }

    /// For a program.
    #[must_use]
    pub fn json(&self) -> String {
        let rows = self.rows.iter().map(|row| JsonRow {
            name: &row.name,
            unit: row.unit,
            results: self
                .sides
                .iter()
                .zip(&row.samples)
                .map(|(side, rounds)| JsonResult { side: row.by.unwrap_or(side), median: median(rounds), rounds })
                .collect(),
            ratio: self.ratio(row),
            floor: floor(row),
            held: self.held(row),
        });
        let report = JsonReport {
            processors: processors(),
            rounds: self.rounds,
            seconds: self.seconds,
            value_bytes: super::VALUE.len(),
            rows: rows.collect(),
        };
        serde_json::to_string_pretty(&report).map_or_else(|e| e.to_string(), |text| text + "\n")
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn floor(row: &Row) -> Option<String> {
    match row.floor {
        Floor::None => None,
        // A sixth is no decimal.
        Floor::OfOther(limit) => Some(format!("at most {} of the other", (limit * 1000.0).round() / 1000.0)),
        Floor::AtMost(limit) => Some(format!("at most {limit} {}", row.unit)),
    }
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Three digits that matter, no more.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(ours: f64, other: f64, floor: Floor) -> Report {
        let samples = vec![vec![ours, 9999.0, 0.0], vec![other]];
        let rows = vec![Row::new("get".into(), "µs/op", samples, floor)];
        Report { sides: vec!["quorate".into(), "java".into()], rounds: 3, seconds: 1, rows }
    }

    #[test]
    fn floors() {
        assert!(report(2.0, 10.0, Floor::OfOther(0.2)).floors_hold());
        assert!(!report(2.1, 10.0, Floor::OfOther(0.2)).floors_hold());
        assert!(report(20.0, 1.0, Floor::AtMost(20.0)).floors_hold());
        assert!(!report(20.1, 1.0, Floor::AtMost(20.0)).floors_hold());
        assert!(report(2000.0, 1.0, Floor::None).floors_hold());
    }

    #[test]
    fn both_forms_name_the_verdict() {
        let broken = report(3.0, 10.0, Floor::OfOther(0.2));
        assert!(broken.table().contains("0.300  at most 0.2 of the other  BROKEN"), "{}", broken.table());
        let json: serde_json::Value = serde_json::from_str(&broken.json()).unwrap();
        assert_eq!(json["rows"][0]["held"], false);
        assert_eq!(json["rows"][0]["results"][1]["median"], 10.0);
    }

    #[test]
    fn a_row_of_neither_side_has_no_ratio() {
        let mut report = report(3.0, 10.0, Floor::None);
        report.rows.push(Row::beside("a bare loop", "sends".into(), "µs/op", vec![4.5]));
        assert!(
            report.table().contains("a bare loop, sends  µs/op        4.50           -        -\n"),
            "{}",
            report.table()
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(
            (&json["rows"][1]["results"][0]["side"], &json["rows"][1]["ratio"]),
            (&"a bare loop".into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
