//! What is wrong with a text, and where.

use std::fmt;

use serde_json::Value;

use crate::json_position::{field_at, locate, position};

/// Why a text is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// Which field, as `faults.explicit[2].at`; empty at the top.
    pub field: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl Problem {
    /// Something about a field of a valid JSON text; about the innermost value there is, where it is absent.
    #[must_use]
    pub fn at(file: &str, text: &str, field: impl Into<String>, what: impl Into<String>) -> Self {
        let field = field.into();
        let place = locate(text, &field);
        Self { file: file.into(), line: place.line, column: place.column, field, what: what.into() }
    }

    /// Something about the byte at this place.
    #[must_use]
    pub(super) fn byte(file: &str, text: &str, byte: usize, field: String, what: String) -> Self {
        let place = position(text, byte);
        Self { file: file.into(), line: place.line, column: place.column, field, what }
    }

    /// What the JSON reader says of a text.
    #[must_use]
    pub fn unreadable(file: &str, text: &str, e: &serde_json::Error) -> Self {
        let message = e.to_string();
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_string();
        let (line, column) = (e.line().max(1), e.column().max(1));
        let field = field_at(text, line, column);
        let missing = what.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
        if let Some(missing) = missing.filter(|_| serde_json::from_str::<Value>(text).is_ok()) {
            let object = holder(&field, missing);
            let field = if object.is_empty() { missing.to_owned() } else { format!("{object}.{missing}") };
            return Self::at(file, text, field, "is missing");
        }
        Self { file: file.into(), line, column, field, what }
    }
}

/// The object that lacks a key. That is noticed at its end, behind the last key that it has; a distribution is read as a whole before,
/// so that its end is behind its own key.
fn holder<'a>(last: &'a str, missing: &str) -> &'a str {
    let of_dist = ["us", "min_us", "max_us", "mean_us"].contains(&missing);
    match last.rsplit_once('.') {
        _ if of_dist && !last.ends_with("_us") && !last.ends_with(".dist") => last,
        Some((_, key)) if key.ends_with(']') => last,
        Some((object, _)) => object,
        None if last.ends_with(']') => last,
        None => "",
    }
}

/// The text of a file.
///
/// # Errors
/// Where it is none.
pub fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map_err(|e| {
        let valid = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let before = std::str::from_utf8(valid).unwrap_or_default();
        let byte = bytes.get(before.len()).copied().unwrap_or_default();
        Problem::byte(file, before, before.len(), String::new(), format!("the byte {byte:#04x} here is no UTF-8"))
    })
}
