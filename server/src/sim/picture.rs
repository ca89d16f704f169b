//! The space-time diagram of a run: one HTML file with everything in it.

use std::path::Path;

use quorate_sim::RunSpec;
use quorate_sim::freeze::freeze_faults;
use quorate_sim::report::Picture;
use serde::Serialize;
use serde_json::Value;

use super::one::Ran;
use crate::recording::lane::LANES;
use crate::recording::replay::Replayed;
use crate::version;

const PAGE: &str = include_str!("picture/page.html");
const STYLE: &str = include_str!("picture/style.css");
/// In the order in which they stand in the page: later ones use earlier ones.
const SCRIPTS: [&str; 6] = [
    include_str!("picture/model.js"),
    include_str!("picture/layout.js"),
    include_str!("picture/draw.js"),
    include_str!("picture/marks.js"),
    include_str!("picture/panel.js"),
    include_str!("picture/main.js"),
];

/// A lane for servers.
#[derive(Debug, Serialize)]
struct Lane {
    name: String,
    /// `voter`, `observer`, or `outside` for what stands behind a recorded server's ports.
    kind: &'static str,
}

/// What stands above the diagram, and what a reader needs to run it again.
#[derive(Debug, Serialize)]
pub struct About {
    title: String,
    version: &'static str,
    verdict: String,
    digest: String,
    summary: String,
    /// How to see the same again.
    command: String,
    servers: Vec<Lane>,
    clients: u32,
    tick_ms: i64,
    /// The run with all its faults as an explicit list: whoever leaves some out can run it again.
    scenario: Option<Value>,
}

impl About {
    /// Of a simulated run.
    #[must_use]
    pub fn of_run(name: &str, spec: &RunSpec, ran: &Ran) -> Self {
        let voters = (1..=spec.topology.voters).map(|n| Lane { name: format!("s{n}"), kind: "voter" });
        let last = spec.topology.voters;
        let observers =
            (1..=spec.topology.observers).map(|n| Lane { name: format!("s{}", last + n), kind: "observer" });
        let mutant = spec.mutant.as_ref().map(|id| format!(" --mutant {id}")).unwrap_or_default();
        let outcome = ran.outcome.as_ref();
        let summary = outcome.map(|o| {
            let ms = o.end_ms;
            let (commits, changes, faults) = (o.commits, o.leader_changes, o.faults_effective);
            format!("{commits} commits, {changes} leader changes, {faults} faults, {ms} virtual ms")
        });
        let mut seeded = RunSpec { mutant: spec.mutant.clone(), ..RunSpec::seeded(spec.seed) };
        seeded.network.typed = spec.network.typed;
        let connections = if spec.network.typed { " --connections typed" } else { "" };
        let command = match *spec == seeded {
            true => format!("quorate sim run --seed {}{mutant}{connections}", spec.seed),
            false => format!("quorate sim replay {name}.json"),
        };
        let scenario = outcome.map(|outcome| {
            let mut frozen = ran.scenario(name, spec);
            freeze_faults(&mut frozen.spec, outcome);
            frozen.expect.trace_hash = None;
            serde_json::from_str(&frozen.to_json()).unwrap_or(Value::Null)
        });
        Self {
            title: name.into(),
            version: version::QUORATE,
            verdict: ran.verdict.into(),
            digest: outcome.map(|o| format!("{:#018x}", o.digest)).unwrap_or_default(),
            summary: summary.unwrap_or_default(),
            command,
            servers: voters.chain(observers).collect(),
            clients: spec.topology.clients,
            tick_ms: spec.timing.tick_ms,
            scenario,
        }
    }

    /// Of a recording of `quorate serve`.
    #[must_use]
    pub fn of_recording(file: &Path, replayed: &Replayed) -> Self {
        let outside = LANES[1..].iter().map(|name| Lane { name: (*name).into(), kind: "outside" });
        let this = Lane { name: format!("s{}", replayed.sid), kind: "voter" };
        Self {
            title: format!("recording of server {}", replayed.sid),
            version: version::QUORATE,
            verdict: replayed.verdict.into(),
            digest: replayed.digest.clone(),
            summary: format!("{} steps, {} ms", replayed.steps, replayed.took_ms),
            command: format!("quorate sim replay {}", file.display()),
            servers: std::iter::once(this).chain(outside).collect(),
            clients: 0,
            tick_ms: 0,
            scenario: None,
        }
    }
}

/// The whole page.
#[must_use]
pub fn page(about: &About, facts: &mut Picture) -> String {
    // Whatever a text says, it must not end the element that it stands in.
    let safe = |json: String| json.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    let about_json = safe(serde_json::to_string(about).unwrap_or_default());
    let facts = safe(facts.json(about.servers.len()));
    let parts = [("STYLE", STYLE), ("ABOUT", &about_json), ("FACTS", &facts), ("SCRIPT", &SCRIPTS.concat())];
    let mut out = String::with_capacity(PAGE.len() + facts.len() + 100_000);
    let mut rest = PAGE;
    for (name, text) in parts {
        let mark = format!("{{{{{name}}}}}");
        let (before, after) = rest.split_once(&mark).unwrap_or((rest, ""));
        out.push_str(before);
        out.push_str(text);
        rest = after;
    }
    out + rest
}

/// Writes the page; says so on standard error when it cannot.
#[must_use]
pub fn write(file: &Path, about: &About, facts: &mut Picture) -> bool {
    let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| std::fs::write(file, page(about, facts))) {
        Ok(()) => true,
        Err(e) => {
            eprintln!("error: {}: {e}", file.display());
            false
        }
    }
}
