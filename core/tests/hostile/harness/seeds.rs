//! Programs out of the recorded conversations: what real clients sent, in the order in which they sent it.

use std::path::Path;

use serde_json::Value;

use super::program::{Op, Profile, Program, SLOTS};

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

/// The vectors of a directory and of `client-ensemble` beside it, by the names of their scripts.
pub fn vectors(dir: &Path) -> Vec<(String, Program)> {
    let dirs = [dir, &dir.with_file_name("client-ensemble")];
    let entries = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).expect("vectors"));
    let mut files: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let file = path.file_stem().expect("a name").to_string_lossy().to_string();
        let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a vector")).expect("JSON");
        for script in json["scripts"].as_array().expect("scripts") {
            let name = format!("{file}-{}", script["name"].as_str().expect("a name").replace([' ', '/'], "-"));
            all.push((name, program(script)));
        }
    }
    all
}

/// The messages of recorded servers.
pub fn messages(dir: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = std::fs::read_dir(dir).expect("vectors").map(|e| e.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    let mut all = Vec::new();
    for path in files {
        let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a vector")).expect("JSON");
        let messages = json["messages"].as_array().expect("messages");
        all.extend(messages.iter().filter_map(|m| m["hex"].as_str()).map(unhex));
    }
    all
}

/// Inputs of a fuzz target that are kept in a file: one a line, in hexadecimal.
pub fn packed(file: &Path) -> Vec<Vec<u8>> {
    std::fs::read_to_string(file).expect("a packed corpus").lines().map(unhex).collect()
}

/// A profile that is much like the recorded server's.
fn profile(script: &Value) -> Profile {
    Profile::new(match script["profile"].as_str().unwrap_or_default() {
        "default" => 0,
        "local" => 8,
        "enforce" => 9,
        _ => 1,
    })
}

fn program(script: &Value) -> Program {
    let mut ops = Vec::new();
    let mut labels: Vec<String> = Vec::new();
    for step in script["steps"].as_array().expect("steps") {
        let label = step["conn"].as_str().unwrap_or_default().to_string();
        let n = labels.iter().position(|l| *l == label).unwrap_or_else(|| {
            labels.push(label);
            labels.len() - 1
        });
        let slot = n % SLOTS;
        let bytes = unhex(step["request_hex"].as_str().unwrap_or_default());
        match step["kind"].as_str().unwrap_or_default() {
            "sleep" => ops.push(Op::Wait((step["seconds"].as_f64().unwrap_or(1.0) * 10.0).min(255.0) as u8)),
            "hangup" => ops.push(Op::HangUp { slot }),
            "observe_close" => {}
            "connect" => connect(slot, &labels, step, bytes, &mut ops),
            _ => sends(slot, bytes, &mut ops),
        }
    }
    Program { profile: profile(script), ops }
}

/// A handshake; one that resumes a session resumes that of our run.
fn connect(slot: usize, labels: &[String], step: &Value, bytes: Vec<u8>, ops: &mut Vec<Op>) {
    let session = step["subst"].as_array().and_then(|subst| {
        subst.iter().filter_map(|s| s[2].as_str()?.strip_prefix("session:").map(str::to_string)).next()
    });
    match session.and_then(|label| labels.iter().position(|l| *l == label)) {
        Some(of) => ops.push(Op::Resume { slot, of: of % SLOTS }),
        None => {
            ops.push(Op::HangUp { slot });
            ops.push(Op::Raw { slot, bytes });
        }
    }
}

/// Whole frames as requests, whose xids are ours; the rest as it is.
fn sends(slot: usize, bytes: Vec<u8>, ops: &mut Vec<Op>) {
    let mut rest = &bytes[..];
    while let Some((head, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        let Some(frame) = behind.get(..len) else { break };
        match frame {
            [0 | 0xff, _, _, _, a, b, c, d, body @ ..]
                if i8::try_from(i32::from_be_bytes([*a, *b, *c, *d])).is_ok() =>
            {
                let op = i32::from_be_bytes([*a, *b, *c, *d]);
                // Xids with a meaning stay.
                if frame[0] == 0 && frame[..4] != [0; 4] {
                    ops.push(Op::Request { slot, op, body: body.to_vec() });
                } else {
                    ops.push(Op::Frame { slot, bytes: frame.to_vec() });
                }
            }
            _ => ops.push(Op::Frame { slot, bytes: frame.to_vec() }),
        }
        rest = &behind[len..];
    }
    if !rest.is_empty() {
        ops.push(Op::Raw { slot, bytes: rest.to_vec() });
    }
}
