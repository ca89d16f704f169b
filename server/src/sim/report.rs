//! What runs say: a line of JSON each, or words.

use std::fmt::Write as _;
use std::path::Path;

use quorate_sim::reach::Reached;
use quorate_sim::scenario::Scenario;
use serde::Serialize;

use super::one::Ran;

/// The JSON object of one seed.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    seed: u64,
    verdict: &'a str,
    /// Equal for equal seeds, on every machine and build.
    digest: Option<String>,
    commits: u64,
    leader_changes: u64,
    faults_effective: u64,
    messages: u64,
    client_messages: u64,
    replies: u64,
    end_ms: i64,
    /// What was owed was late and forgiven before.
    widened: bool,
    /// Different tuples that were reached, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Replays: what is not as the file expects.
    #[serde(skip_serializing_if = "Option::is_none")]
    differences: Option<Vec<String>>,
    /// Replays: what else there is to know of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What a replay says beside its run.
#[derive(Debug, Default)]
pub struct Replayed {
    /// What is not as the file expects.
    pub differences: Vec<String>,
    /// What else there is to know of the file.
    pub note: Option<String>,
}

/// One line of JSON, newline included.
#[must_use]
pub fn json(ran: &Ran, mutant: Option<&str>, file: Option<&Path>, replayed: Option<Replayed>) -> String {
    let (differences, note) = replayed.map_or((None, None), |r| (Some(r.differences), r.note));
    let (o, v) = (ran.outcome.as_ref(), ran.violation.as_ref());
    let line = Line {
        seed: ran.seed,
        verdict: ran.verdict,
        digest: o.map(|o| format!("{:#018x}", o.digest)),
        commits: o.map_or(0, |o| o.commits),
        leader_changes: o.map_or(0, |o| o.leader_changes),
        faults_effective: o.map_or(0, |o| o.faults_effective),
        messages: o.map_or(0, |o| o.messages),
        client_messages: o.map_or(0, |o| o.client_messages),
        replies: o.map_or(0, |o| o.replies),
        end_ms: o.map_or(0, |o| o.end_ms),
        widened: o.is_some_and(|o| o.widened),
        tuples: o.and_then(|o| o.reached.as_ref()).map(Reached::count),
        invariant: v.map(|v| v.invariant),
        at_ms: v.map(|v| v.at_ms),
        server: v.and_then(|v| v.node).map(|n| n + 1),
        text: v.map(|v| v.text.as_str()),
        mutant,
        file: file.map(|f| f.display().to_string()),
        differences,
        note,
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    text
}

/// The same in words, for people.
#[must_use]
pub fn words(ran: &Ran, file: Option<&Path>) -> String {
    let mut out = format!("seed {}: {}", ran.seed, ran.verdict);
    if let Some(o) = &ran.outcome {
        let _ = write!(
            out,
            ", digest {:#018x}, {} commits, {} leader changes, {} faults, {} messages in {} virtual ms ({} ms real)",
            o.digest,
            o.commits,
            o.leader_changes,
            o.faults_effective,
            o.messages,
            o.end_ms,
            ran.took.as_millis()
        );
        if let Some(reached) = &o.reached {
            let _ = write!(out, ", {} tuples reached", reached.count());
        }
    }
    out.push('\n');
    if let Some(v) = &ran.violation {
        let _ = write!(out, "  {} at {} ms", v.invariant, v.at_ms);
        if let Some(node) = v.node {
            let _ = write!(out, ", server {}", node + 1);
        }
        let _ = writeln!(out, ": {}", v.text);
    }
    if let Some(file) = file {
        let _ = writeln!(out, "  again: quorate sim replay {}", file.display());
    }
    out
}

/// Writes a scenario file; says so on standard error when it cannot.
pub fn save(scenario: &Scenario, file: &Path) -> bool {
    save_text(&scenario.to_json(), file)
}

/// Writes a file; says so on standard error when it cannot.
pub fn save_text(text: &str, file: &Path) -> bool {
    let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| std::fs::write(file, text)) {
        Ok(()) => true,
        Err(e) => {
            eprintln!("{}: {e}", file.display());
            false
        }
    }
}
