//! What the types let through or word badly: keys that stand twice, the version, instants of no known shape, instants that wait
//! for each other.

use serde_json::{Map, Value};

use super::{SCHEMA, Scenario};
use crate::spec::At;

/// Field and what is wrong with it.
type Wrong = (String, String);

/// Shapes of an instant: keys that must be there, keys that may be.
const SHAPES: &[(&[&str], &[&str])] =
    &[(&["tick"], &[]), (&["us"], &[]), (&["node", "effect", "n"], &["when"]), (&["after", "ticks"], &[])];

/// The shapes in words.
const INSTANTS: &str = r#"{"tick": N}, {"us": N}, {"node": "s1", "effect": "fsync", "n": N, "when": "before" or "after"}, {"after": ID, "ticks": N}"#;

fn wrong<T>(field: impl Into<String>, what: impl Into<String>) -> Result<T, Wrong> {
    Err((field.into(), what.into()))
}

/// The version comes first: the rest of a file of another one means nothing here.
pub(super) fn version(value: &Value) -> Result<(), Wrong> {
    let Value::Object(file) = value else { return wrong("", "a scenario is a JSON object") };
    match file.get("schema") {
        None => wrong("schema", format!("is missing; this build reads {SCHEMA:?}")),
        Some(Value::String(s)) if s == SCHEMA => Ok(()),
        Some(Value::String(s)) if s.starts_with("quorate-scenario/") => {
            wrong("schema", format!("{s:?} is of another version; this build reads {SCHEMA:?}"))
        }
        Some(other) => wrong("schema", format!("{other} is not {SCHEMA:?}")),
    }
}

/// Instants, whose type takes any of four shapes and cannot say what is wrong with a fifth.
pub(super) fn instants(value: &Value) -> Result<(), Wrong> {
    for (section, effects) in [("faults", true), ("workload", false)] {
        let list = value.get(section).and_then(|s| s.get("explicit")).and_then(Value::as_array);
        for (i, item) in list.into_iter().flatten().enumerate() {
            if let Some(at) = item.get("at") {
                instant(at, effects, &format!("{section}.explicit[{i}].at"))?;
            }
        }
    }
    Ok(())
}

fn instant(at: &Value, effects: bool, field: &str) -> Result<(), Wrong> {
    let shapes = if effects { SHAPES } else { &[SHAPES[0], SHAPES[1], SHAPES[3]] };
    let Value::Object(keys) = at else { return wrong(field, format!("{at} is no instant; there are {INSTANTS}")) };
    let known = |key: &str| shapes.iter().any(|(must, may)| must.contains(&key) || may.contains(&key));
    if let Some(key) = keys.keys().find(|key| !known(key)) {
        let what = if effects { INSTANTS } else { r#"{"tick": N}, {"us": N}, {"after": ID, "ticks": N}"# };
        return wrong(format!("{field}.{key}"), format!("no instant has this key here; there are {what}"));
    }
    let Some((must, may)) = shapes.iter().find(|(must, _)| keys.contains_key(must[0])) else {
        return wrong(field, format!("it says no instant; there are {INSTANTS}"));
    };
    if let Some(missing) = must.iter().find(|key| !keys.contains_key(**key)) {
        return wrong(field, format!("{:?} without {missing:?}", must[0]));
    }
    if let Some(key) = keys.keys().find(|key| !must.contains(&key.as_str()) && !may.contains(&key.as_str())) {
        return wrong(format!("{field}.{key}"), format!("an instant by {:?} has no {key:?}", must[0]));
    }
    types(keys, field)
}

fn types(keys: &Map<String, Value>, field: &str) -> Result<(), Wrong> {
    for (key, value) in keys {
        let (fine, allowed) = match key.as_str() {
            "node" | "effect" => (value.is_string(), "a text"),
            "when" => (matches!(value.as_str(), Some("before" | "after")), r#""before" or "after""#),
            "tick" | "ticks" => (value.is_i64(), "a whole number"),
            "after" => (value.as_u64().is_some_and(|n| u32::try_from(n).is_ok()), "the id of a fault"),
            _ => (value.is_u64(), "a whole number from 0"),
        };
        if !fine {
            let past = if value.as_i64().is_some_and(|n| n < 0) { " (that is in the past)" } else { "" };
            return wrong(format!("{field}.{key}"), format!("{value} is not {allowed}{past}"));
        }
    }
    Ok(())
}

/// Faults that wait for each other never come.
pub(super) fn circles(scenario: &Scenario) -> Result<(), Wrong> {
    let faults = &scenario.spec.faults.explicit;
    let before = |id: u32| {
        faults
            .iter()
            .find(|f| f.id == id)
            .and_then(|f| if let At::After { after, .. } = f.at { Some(after) } else { None })
    };
    for (i, fault) in faults.iter().enumerate() {
        let (mut at, mut way) = (fault.id, vec![fault.id.to_string()]);
        while let Some(next) = before(at).filter(|_| way.len() <= faults.len()) {
            way.push(next.to_string());
            if next == fault.id {
                let what = format!("faults that wait for each other never come: {}", way.join(" after "));
                return wrong(format!("faults.explicit[{i}].at"), what);
            }
            at = next;
        }
    }
    Ok(())
}

/// The first key that stands twice in one object, as the path of the second. `text` is valid JSON.
pub(super) fn twice(text: &str) -> Option<(usize, String)> {
    let mut scan = Keys { text, at: 0 };
    scan.value("").err()
}

/// Walks a valid text. `Err` ends it with what was found.
struct Keys<'a> {
    text: &'a str,
    at: usize,
}

impl Keys<'_> {
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or(b'}')
    }

    /// The raw text of a string, escapes and all.
    fn string(&mut self) -> &str {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        while bytes.get(end).is_some_and(|b| *b != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        self.at = end + 1;
        self.text.get(start..end).unwrap_or("")
    }

    fn value(&mut self, path: &str) -> Result<(), (usize, String)> {
        match self.peek() {
            b'{' => {
                let mut seen = std::collections::BTreeSet::new();
                self.at += 1;
                while self.peek() != b'}' {
                    let begins = self.at;
                    let key = self.string().to_owned();
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    if !seen.insert(key) {
                        return Err((begins, path));
                    }
                    self.peek();
                    self.at += 1;
                    self.value(&path)?;
                    if self.peek() == b',' {
                        self.at += 1;
                        self.peek();
                    }
                }
                self.at += 1;
            }
            b'[' => {
                self.at += 1;
                let mut i = 0;
                while self.peek() != b']' {
                    self.value(&format!("{path}[{i}]"))?;
                    if self.peek() == b',' {
                        self.at += 1;
                    }
                    i += 1;
                }
                self.at += 1;
            }
            b'"' => drop(self.string().len()),
            _ => {
                let rest = &self.text[self.at..];
                self.at += rest.find([',', '}', ']']).unwrap_or(rest.len()).max(1);
            }
        }
        Ok(())
    }
}
