//! A scenario's text for people: what has its default is left out, and faults and operations have a line each.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Lists whose entries have lines of their own.
const LINES: &[&str] = &["explicit", "generate", "links"];

/// Keys that are read before others of the same object.
const FIRST: &[&str] = &[
    "schema",
    "name",
    "note",
    "seed",
    "build",
    "topology",
    "timing",
    "network",
    "disk",
    "limits",
    "faults",
    "workload",
    "checks",
    "expect",
    "voters",
    "observers",
    "swarm",
    "id",
    "client",
    "at",
    "node",
    "effect",
    "n",
    "when",
    "after",
    "do",
    "op",
    "path",
    "from",
    "to",
    "verdict",
    "dist",
    "generate",
    "explicit",
];

/// What of `value` is not as in `default`; objects are looked into.
fn differing(value: &Value, default: &Value) -> Option<Value> {
    match (value, default) {
        (value, default) if value == default => None,
        // What kind of distribution it is decides which other keys there are.
        (Value::Object(value), Value::Object(default)) if !value.contains_key("dist") => {
            let part = |(key, value): (&String, &Value)| {
                let default = default.get(key).unwrap_or(&Value::Null);
                Some((key.clone(), differing(value, default)?))
            };
            Some(Value::Object(value.iter().filter_map(part).collect::<Map<_, _>>()))
        }
        (Value::Array(list), _) => {
            // An entry of a list: a fault or an operation.
            let silent = json!({"path": "", "data": "", "flags": "", "version": -1, "at": {"when": "after"}});
            let entry = |value: &Value| differing(value, &silent).unwrap_or_default();
            Some(list.iter().map(|v| if v.is_object() { entry(v) } else { v.clone() }).collect())
        }
        (value, _) => Some(value.clone()),
    }
}

/// The text of a file; `default` is a file that says nothing.
pub(super) fn text(file: &Value, default: &Value) -> String {
    let mut out = String::from("{");
    let mut first = true;
    for (key, own) in ordered(file) {
        let kept = ["schema", "name", "expect"].contains(&key);
        let Some(value) = differing(own, &default[key]).or_else(|| kept.then(|| own.clone())) else { continue };
        let _ = write!(out, "{}\n  \"{key}\": ", if first { "" } else { "," });
        first = false;
        write(&mut out, &value, key);
    }
    out.push_str("\n}\n");
    out
}

fn ordered(object: &Value) -> Vec<(&str, &Value)> {
    let mut list: Vec<(&str, &Value)> =
        object.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect();
    list.sort_by_key(|(key, _)| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    list
}

fn write(out: &mut String, value: &Value, key: &str) {
    match value {
        Value::Object(_) => {
            out.push('{');
            for (i, (key, value)) in ordered(value).into_iter().enumerate() {
                let _ = write!(out, "{}\"{key}\": ", if i == 0 { "" } else { ", " });
                write(out, value, key);
            }
            out.push('}');
        }
        Value::Array(list) => {
            let lines = LINES.contains(&key) && !list.is_empty();
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                out.push_str(match (lines, i) {
                    (true, 0) => "\n    ",
                    (true, _) => ",\n    ",
                    (false, 0) => "",
                    (false, _) => ", ",
                });
                write(out, value, "");
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
