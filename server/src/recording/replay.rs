//! Stepping a fresh Peer through a recording, or only reading it.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use quorate_core::config::PeerConfig;
use quorate_core::event::{Action, Input, LinkEvent, Outbox};
use quorate_core::ids::Now;
use quorate_core::peer::Peer;
use quorate_sim::report::Picture;
use serde::Serialize;

use super::digest::Digest;
use super::format::{Begins, Call};
use super::lane::Lane;
use super::read::{Recording, Step};
use crate::version;

/// What is shown of an action, in letters.
const SHOWN: usize = 160;

/// What came out of a replay; `quorate sim replay --json` prints it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replayed {
    /// Always `replay`.
    pub kind: &'static str,
    /// `same`, `diverged`, `panic`, or `read` where it could only be read.
    pub verdict: &'static str,
    /// Version that recorded.
    pub version: String,
    /// Whether this very binary recorded it.
    pub same_build: bool,
    /// The server.
    pub sid: i64,
    /// Steps that were compared or read.
    pub steps: u64,
    /// From the first to the last step, ms of the server's clock.
    pub took_ms: i64,
    /// Digest of all actions.
    pub digest: String,
    /// The step that diverged or panicked, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_step: Option<u64>,
    /// Wall clock of that step, ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_wall_ms: Option<i64>,
    /// What happened there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why the recording is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaw: Option<String>,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// Whether this file is a recording.
#[must_use]
pub fn is_recording(bytes: &[u8]) -> bool {
    // A file that is cut within its first bytes is one, too.
    bytes.starts_with(b"QUORATE-RECORD")
}

/// Replays the bytes of a recording; `trace` gets a line for each step and each action, `picture` the facts of the server's one
/// lane. `Err`: it cannot be read at all.
pub fn replay(
    bytes: &[u8],
    build: u64,
    mut trace: Option<&mut dyn FnMut(&str)>,
    picture: Option<&mut Picture>,
) -> Result<Replayed, String> {
    let mut recording = Recording::open(bytes)?;
    let header = &recording.header;
    let mut out = Replayed {
        kind: "replay",
        verdict: "same",
        version: header.version.clone(),
        same_build: header.build == build && build != 0,
        sid: header.config.sid.0,
        steps: 0,
        took_ms: 0,
        digest: String::new(),
        at_step: None,
        at_wall_ms: None,
        text: None,
        flaw: None,
        notes: Vec::new(),
    };
    if header.version != version::QUORATE {
        out.notes.push(format!(
            "recorded by version {}, this is {}: where they differ, so may the actions",
            header.version,
            version::QUORATE
        ));
    } else if !out.same_build {
        out.notes.push("recorded by another build of this version: where they differ, so may the actions".into());
    }
    let stepped = header.begins == Begins::Start;
    if !stepped {
        out.verdict = "read";
        out.notes.push(format!(
            "this part begins {} steps after the start of its server: it can be read (--trace), not stepped",
            header.steps_before
        ));
    }
    let began = header.now;
    // Servers report single transactions only where somebody looks: a second one, told the same, does.
    let shown = PeerConfig { trace: true, ..header.config.clone() };
    let mut second = (stepped && picture.is_some()).then(|| Peer::new(shown, header.now));
    let mut lane = Lane::new(picture);
    let mut told = Outbox::new();
    let mut peer = stepped.then(|| Peer::new(header.config.clone(), header.now));
    let (mut outbox, mut digest) = (Outbox::new(), Digest::new());
    let mut line = |text: &str| {
        if let Some(trace) = &mut trace {
            trace(text);
        }
    };
    while let Some(step) = recording.next_step() {
        out.steps += 1;
        out.took_ms = step.now.mono_ms - began.mono_ms;
        line(&format!("{:>8} ms  {}", out.took_ms, call_text(&step.call)));
        lane.call(out.took_ms, &step.call);
        let Some(peer) = &mut peer else { continue };
        let (now, expected) = (step.now, step.answer);
        let text = call_text(&step.call);
        if let Some(second) = &mut second {
            let again = Step { now, call: step.call.clone(), answer: None };
            // Where it panics, so does the one that is compared.
            let _ = perform(second, again, &mut told);
            told.actions().iter().for_each(|action| lane.action(action, &told));
            told.clear();
        }
        if let Err(why) = perform(peer, step, &mut outbox) {
            (out.verdict, out.at_step, out.at_wall_ms) = ("panic", Some(out.steps), Some(now.wall_ms));
            let known =
                if expected.is_none() { "as the recorded server did" } else { "which the recorded server did not" };
            out.text = Some(format!("the server panics at: {text}, {known}: {why}"));
            break;
        }
        for action in outbox.actions() {
            line(&format!("             {}", action_text(action, &outbox)));
        }
        let answer = (!outbox.actions().is_empty()).then(|| {
            digest.actions(&outbox);
            digest.short()
        });
        outbox.clear();
        if expected.is_some_and(|e| e != answer) {
            (out.verdict, out.at_step, out.at_wall_ms) = ("diverged", Some(out.steps), Some(now.wall_ms));
            out.text = Some(format!("other actions than recorded follow on: {text}"));
            break;
        }
    }
    out.digest = format!("{:#018x}", digest.value());
    out.flaw = recording.flaw.as_ref().map(ToString::to_string);
    Ok(out)
}

fn perform(peer: &mut Peer, step: Step<'_>, out: &mut Outbox) -> Result<(), String> {
    let Step { now, call, .. } = step;
    catch_unwind(AssertUnwindSafe(|| super::perform(peer, now, call, out))).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}

fn call_text(call: &Call<'_>) -> String {
    match call {
        Call::Start => "start".into(),
        Call::Flush => "flush".into(),
        Call::Input(Input::Tick) => "tick".into(),
        Call::Input(Input::Link { link, event }) => match event {
            LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } => {
                format!("link {:#x}: {} bytes arrive", link.0, bytes.len())
            }
            LinkEvent::Drained(n) => format!("link {:#x}: {n} bytes have left", link.0),
            LinkEvent::Closed => format!("link {:#x}: closed", link.0),
            LinkEvent::Opened { port, remote } => format!("link {:#x}: opened, {port:?} port, {remote}", link.0),
        },
        Call::Input(Input::Disk { ticket, result }) => format!("disk {}: {}", ticket.0, short(&format!("{result:?}"))),
        Call::Input(Input::Admin(command)) => format!("admin: {command:?}"),
    }
}

fn action_text(action: &Action, out: &Outbox) -> String {
    match action {
        Action::Send { link, payload } => format!("send {} bytes on link {:#x}", out.bytes_of(payload).len(), link.0),
        Action::Event(event) => format!("event {}", short(&format!("{event:?}"))),
        other => short(&format!("{other:?}")),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

impl Replayed {
    /// In words, for people.
    #[must_use]
    pub fn words(&self, file: &Path) -> String {
        let mut out = format!("{}: server {}, ", file.display(), self.sid);
        let _ = match self.verdict {
            "same" => write!(out, "the same actions in {} steps, {} ms of its life", self.steps, self.took_ms),
            "read" => write!(out, "{} steps read, {} ms of its life", self.steps, self.took_ms),
            verdict => write!(out, "{verdict} at step {}", self.at_step.unwrap_or_default()),
        };
        let _ = writeln!(out, ", digest {}", self.digest);
        if let Some(text) = &self.text {
            let _ = writeln!(out, "  {text}");
            let at = Now { mono_ms: self.took_ms, wall_ms: self.at_wall_ms.unwrap_or_default() };
            let _ = writeln!(out, "  {} ms after its start; wall clock {} ms since 1970", at.mono_ms, at.wall_ms);
        }
        if let Some(flaw) = &self.flaw {
            let _ = writeln!(out, "  not whole: {flaw}");
        }
        for note in &self.notes {
            let _ = writeln!(out, "  note: {note}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use quorate_core::config::{Configuration, Ensemble, Member, MemberKind};
    use quorate_core::ids::Sid;
    use quorate_net::Machine as _;

    use super::super::format::Header;
    use super::super::{DEFAULT_MIB, RecordTo, Recorded, build};
    use super::*;

    /// A recording of the first steps of a server: header and the bytes behind it.
    fn recorded(name: &str) -> (Header, Vec<u8>) {
        let dir = std::env::temp_dir().join(format!("quorate-replay-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let to = RecordTo { file: dir.join("r"), size: DEFAULT_MIB.unsigned_abs() << 20 };
        let now = Now { mono_ms: 1000, wall_ms: 1_795_585_419_908 };
        let mut server =
            Recorded::new(PeerConfig { sid: Sid(1), seed: 7, ..PeerConfig::default() }, now, Some(&to)).unwrap();
        let mut out = Outbox::new();
        server.start(now, &mut out);
        out.clear();
        server.batch_end(now, &mut out);
        drop(server);
        let bytes = std::fs::read(&to.file).unwrap();
        std::fs::remove_dir_all(dir).unwrap();
        let header = Recording::open(&bytes).unwrap().header;
        let behind = bytes[header.encode().len()..].to_vec();
        (header, behind)
    }

    fn with(header: &Header, behind: &[u8]) -> Replayed {
        replay(&[&header.encode()[..], behind].concat(), build(), None, None).unwrap()
    }

    #[test]
    fn another_build_or_version_is_said_and_stepped() {
        let (header, behind) = recorded("builds");
        let same = with(&header, &behind);
        assert_eq!((same.verdict, same.same_build, same.steps), ("same", true, 2));
        assert!(same.notes.is_empty());
        let build = with(&Header { build: header.build ^ 1, ..header.clone() }, &behind);
        assert_eq!((build.verdict, build.same_build), ("same", false));
        assert!(build.notes[0].contains("another build"), "{:?}", build.notes);
        let version = with(&Header { version: "9.9.9".into(), ..header }, &behind);
        assert!(version.notes[0].contains("version 9.9.9"), "{:?}", version.notes);
    }

    #[test]
    fn other_actions_are_named() {
        let (mut header, behind) = recorded("other");
        let member = Member {
            sid: Sid(1),
            quorum: "a:1".into(),
            election: "a:2".into(),
            client: None,
            kind: MemberKind::Participant,
            weight: 1,
            group: None,
        };
        header.config.ensemble = Some(Configuration::new(Ensemble { members: vec![member], version: 0 }));
        let other = with(&header, &behind);
        assert_eq!((other.verdict, other.at_step), ("diverged", Some(1)));
        assert!(other.text.unwrap().ends_with("start"));
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let (header, _) = recorded("refused");
        let bytes = header.encode();
        for bad in [&bytes[..10], &bytes[..20], &bytes[..bytes.len() - 1]] {
            assert!(replay(bad, 0, None, None).is_err());
        }
        let mut other_format = bytes;
        other_format[15] = 2;
        assert!(is_recording(&other_format));
        assert!(replay(&other_format, 0, None, None).unwrap_err().contains("format"));
    }
}
