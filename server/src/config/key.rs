//! What one row of the table of keys holds, and how its value is read.

use super::ServerConfig;
use super::settings::Settings;

/// Which Java system property sets the same thing. Every key is accepted in the file under its own name, as
/// `zookeeper.<name>` and as this property, and as `-D` under the latter two (Java: not all of these everywhere).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Property {
    /// In Java the file only.
    File,
    /// `zookeeper.<name>`.
    Zookeeper,
    /// This one.
    Named(&'static str),
}

/// What a switch expects.
pub const TRUE_OR_FALSE: &str = "true or false";

/// How a value is read and what it does.
#[derive(Clone, Copy)]
pub enum Rule {
    /// A whole number in a range.
    Int {
        /// Lowest.
        min: i64,
        /// Highest.
        max: i64,
        /// Takes it.
        set: fn(&mut Settings, i64),
    },
    /// `true` or `false`, in any case.
    Flag(fn(&mut Settings, bool)),
    /// `yes` or `no`.
    YesNo(fn(&mut Settings, bool)),
    /// Anything else; the error says what was expected.
    Text(fn(&mut Settings, &str) -> Result<(), String>),
    /// Accepted; warned about unless the value is what this server does anyway.
    NoEffect {
        /// Values that need no warning.
        same: &'static [&'static str],
        /// Why there is no effect.
        why: &'static str,
    },
    /// Some values work, some are accepted and warned about, every other is refused.
    Choice {
        /// What this server does.
        works: &'static [&'static str],
        /// Accepted, no effect.
        no_effect: &'static [&'static str],
        /// Why these have no effect.
        why: &'static str,
        /// What was expected, for the refusal.
        expected: &'static str,
    },
    /// Any other value than these is refused, because ignoring it would be unsafe.
    Only {
        /// What this server does.
        values: &'static [&'static str],
        /// Why the others are refused.
        why: &'static str,
    },
}

/// One key of the configuration.
#[derive(Clone, Copy)]
pub struct Key {
    /// As in the file; a `*` at the end stands for anything.
    pub name: &'static str,
    /// Java's property.
    pub property: Property,
    /// Unit of the value, `""` where there is none.
    pub unit: &'static str,
    /// What holds without it, as text.
    pub default: &'static str,
    /// How it is read.
    pub rule: Rule,
    /// What it does.
    pub effect: &'static str,
    /// How that differs from Java, `""` where it does not.
    pub java: &'static str,
    /// Whether its value must not be printed.
    pub secret: bool,
    /// Its value in force, as the four-letter word `conf` prints it.
    pub show: Option<fn(&ServerConfig) -> String>,
}

impl Key {
    /// A row.
    pub const fn new(
        name: &'static str,
        property: Property,
        unit: &'static str,
        default: &'static str,
        rule: Rule,
        effect: &'static str,
    ) -> Self {
        Self { name, property, unit, default, rule, effect, java: "", secret: false, show: None }
    }
    /// The same, with a difference to Java.
    pub const fn java(mut self, difference: &'static str) -> Self {
        self.java = difference;
        self
    }
    /// The same, never printed.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
    /// The same, shown by `conf`.
    pub const fn show(mut self, show: fn(&ServerConfig) -> String) -> Self {
        self.show = Some(show);
        self
    }
    /// Whether `name` (without the prefix `zookeeper.`) is this key.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name,
        }
    }
    /// What values are accepted, for the reference and for errors.
    #[must_use]
    pub fn accepts(&self) -> String {
        match self.rule {
            Rule::Int { min, max: i64::MAX, .. } => format!("whole number, at least {min}"),
            Rule::Int { min, max, .. } => format!("whole number from {min} to {max}"),
            Rule::Flag(_) => TRUE_OR_FALSE.to_owned(),
            Rule::YesNo(_) => "yes or no".to_owned(),
            Rule::Text(_) => "text".to_owned(),
            Rule::NoEffect { .. } => "anything".to_owned(),
            Rule::Choice { expected, .. } => expected.to_owned(),
            Rule::Only { values: [], .. } => "nothing".to_owned(),
            Rule::Only { values, .. } => values.join(" or "),
        }
    }
    /// One word for the reference.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.rule {
            Rule::Int { .. } | Rule::Flag(_) | Rule::YesNo(_) | Rule::Text(_) => "works",
            Rule::NoEffect { .. } => "no effect, warns",
            Rule::Choice { .. } => "partly, warns",
            Rule::Only { .. } => "other values refused",
        }
    }
    /// Reads a value into the settings. `Ok(Some(..))`: accepted, with this to warn about.
    pub fn apply(&self, name: &str, value: &str, settings: &mut Settings) -> Result<Option<String>, String> {
        let shown = if self.secret { "the value" } else { &format!("\"{value}\"") };
        match self.rule {
            Rule::Int { min, max, set } => match whole_number(value).filter(|n| (min..=max).contains(n)) {
                Some(n) => set(settings, n),
                None => return Err(format!("{shown} is not valid: expected a {}", self.accepts())),
            },
            Rule::Flag(set) => match value.to_ascii_lowercase().as_str() {
                "true" => set(settings, true),
                "false" => set(settings, false),
                _ => return Err(format!("Invalid option {value} for {name}. Choose 'true' or 'false.'")),
            },
            Rule::YesNo(set) => match value {
                "yes" => set(settings, true),
                "no" => set(settings, false),
                _ => return Err(format!("{shown} is not valid: expected yes or no")),
            },
            Rule::Text(set) => set(settings, value).map_err(|expected| format!("{shown} is not valid: {expected}"))?,
            Rule::NoEffect { same, why } => {
                if !same.iter().any(|s| s.eq_ignore_ascii_case(value)) {
                    return Ok(Some(format!("accepted, no effect: {why}")));
                }
            }
            Rule::Choice { works, no_effect, why, expected } => {
                let among = |list: &[&str]| list.iter().any(|v| v.eq_ignore_ascii_case(value));
                if among(no_effect) {
                    return Ok(Some(format!("accepted, no effect: {why}")));
                }
                if !among(works) {
                    return Err(if expected == TRUE_OR_FALSE {
                        format!("Invalid option {value} for {name}. Choose 'true' or 'false.'")
                    } else {
                        format!("{shown} is not valid: expected {expected}")
                    });
                }
            }
            Rule::Only { values, why } => {
                if !values.iter().any(|v| v.eq_ignore_ascii_case(value)) {
                    return Err(format!("{shown} is refused: {why}"));
                }
            }
        }
        Ok(None)
    }
}

/// Decimal, or hexadecimal after `0x`, as Java's property readers take it.
fn whole_number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i64>().ok()?,
        _ => return None,
    };
    Some(sign * magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        for (text, want) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("0x10", Some(16)),
            ("-0x10", Some(-16)),
            ("", None),
            ("-", None),
            ("0x", None),
            ("--1", None),
            ("+1", None),
            ("1 ", None),
            ("1.5", None),
            ("0x-1", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(whole_number(text), want, "{text:?}");
        }
    }
}
