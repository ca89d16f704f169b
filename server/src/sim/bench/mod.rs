//! `quorate sim bench`: how fast the simulator is, and how far it scales.
//!
//! All runs are checked, on one thread; times are CPU times of that thread. A measurement is one function that returns rows, listed
//! in [`MEASUREMENTS`].

mod history;
mod measure;

use std::fmt::Write as _;

use serde::Serialize;

use super::SimExit;
use super::args::SimBench;
use crate::serve::print;

type Measurement = fn(&SimBench) -> Result<Vec<Row>, String>;

/// By name. Memory is measured first, while the process is small.
const MEASUREMENTS: &[(&str, Measurement)] = &[
    ("servers", measure::servers),
    ("start", measure::start),
    ("ratio", measure::ratio),
    ("idle", measure::idle),
    ("rate", measure::rate),
    ("observers", measure::observers),
    ("history", measure::history),
    ("scale", measure::scale),
];

/// What a row must keep.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Floor {
    AtLeast(f64),
    AtMost(f64),
}

/// One measured quantity.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
}

impl Row {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, floor: None, held: None }
    }
    fn floor(mut self, floor: Floor) -> Self {
        self.floor = Some(floor);
        self.held = Some(match floor {
            Floor::AtLeast(least) => self.value >= least,
            Floor::AtMost(most) => self.value <= most,
        });
        self
    }
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let _ = write!(out, "{:width$}  {:>12}  {:9}", row.name, number(row.value), row.unit);
        let floor = match row.floor {
            Some(Floor::AtLeast(n)) => format!("  at least {}", number(n)),
            Some(Floor::AtMost(n)) => format!("  at most {}", number(n)),
            None => String::new(),
        };
        let verdict = match row.held {
            Some(true) => "  holds",
            Some(false) => "  BROKEN",
            None => "",
        };
        out.truncate(out.trim_end().len());
        let _ = writeln!(out, "{floor}{verdict}");
    }
    out
}

fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// `quorate sim bench`.
#[must_use]
pub fn bench(options: &SimBench) -> SimExit {
    let known = |name: &String| MEASUREMENTS.iter().any(|(known, _)| known == name);
    if let Some(name) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = MEASUREMENTS.iter().map(|(name, _)| *name).collect();
        eprintln!("error: there is no measurement {name:?}; there are {}", names.join(" "));
        return SimExit::Usage;
    }
    let mut rows = Vec::new();
    for (name, measure) in MEASUREMENTS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        match measure(options) {
            Ok(more) => rows.extend(more),
            Err(why) => {
                eprintln!("error: {why}");
                return SimExit::Violation;
            }
        }
    }
    if options.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows }));
        print(&text.map_or_else(|e| e.to_string(), |text| text + "\n"));
    } else {
        print(&table(&rows));
    }
    let broken = rows.iter().any(|row| row.held == Some(false));
    if options.check && broken { SimExit::Violation } else { SimExit::Clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors() {
        let row = |value, floor| Row::new("x", value, "s").floor(floor);
        assert_eq!(row(2.0, Floor::AtLeast(2.0)).held, Some(true));
        assert_eq!(row(1.9, Floor::AtLeast(2.0)).held, Some(false));
        assert_eq!(row(2.1, Floor::AtMost(2.0)).held, Some(false));
        let text = table(&[row(181.0, Floor::AtMost(180.0)), Row::new("longer", 0.5, "s")]);
        assert_eq!(text, "x                181  s  at most 180  BROKEN\nlonger          0.50  s\n");
    }

    #[test]
    fn a_small_ensemble_is_measured() {
        let many = measure::servers(&SimBench {
            only: Vec::new(),
            voters: 3,
            servers: 300,
            json: false,
            typed: false,
            check: false,
        });
        assert!(many.unwrap()[0].name.starts_with("300 servers"), "server ids beyond a byte");
        // Enough for a configuration whose text is shared by all notifications.
        let options = SimBench { only: Vec::new(), voters: 31, servers: 50, json: false, typed: false, check: false };
        let rows = measure::scale(&options).unwrap();
        assert!(rows[0].name.starts_with("31 voters"), "{rows:?}");
        assert!(rows.iter().all(|r| r.value > 0.0 && r.held != Some(false)), "{rows:?}");
    }
}
