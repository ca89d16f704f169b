//! Speaks a recorded conversation to servers and compares what comes back.

use std::collections::BTreeSet;

use regex::bytes::Regex;

use crate::compare::{Known, Zxids};
use crate::otherwise::{self, How, Otherwise};
use crate::script::{Frame, Kind, Mask, Position, Script, Step};

/// Findings after which a script is given up: what follows is of little worth.
const FINDINGS_MAX: usize = 8;

/// Servers and the connections to them: real ones, or simulated ones.
pub(crate) trait Servers {
    /// Opens a connection under this label; `server` is the recording's word for whereto.
    fn connect(&mut self, conn: &str, server: &str) -> Result<(), String>;
    fn send(&mut self, conn: &str, bytes: &[u8]) -> Result<(), String>;
    /// The next frame, with its length prefix.
    fn frame(&mut self, conn: &str) -> Result<Vec<u8>, String>;
    /// Everything until the server closes. The connection is gone then.
    fn rest(&mut self, conn: &str) -> Result<Vec<u8>, String>;
    fn hang_up(&mut self, conn: &str) -> Result<(), String>;
    /// Lets time pass. `awaited`: there are events that show that enough of it has.
    fn sleep(&mut self, seconds: f64, awaited: bool);
    /// Waits until every server has applied what one has.
    fn settle(&mut self) -> Result<(), String>;
}

/// Runs a script, with these steps going otherwise. What it returns is what was wrong, to be read by a person.
pub(crate) fn replay(script: &Script, servers: &mut dyn Servers, zxids: Zxids, otherwise: &[Otherwise]) -> Vec<String> {
    let known = Known::new(zxids);
    let mut replay = Replay { servers, known, connections: BTreeSet::new(), findings: Vec::new() };
    for (number, step) in script.steps.iter().enumerate() {
        let before = replay.findings.len();
        let outcome = match otherwise::find(otherwise, script, step) {
            None => replay.run(step, step.request.clone()),
            Some(Otherwise { how: How::Asks(at, zxid), .. }) => {
                let mut request = step.request.clone();
                request[*at..at + 8].copy_from_slice(&zxid.to_be_bytes());
                replay.run(step, request)
            }
            Some(Otherwise { how: How::Answers(answer), why, .. }) => {
                replay.run_otherwise(step, answer).map_err(|e| format!("{e}\nlisted as going otherwise: {why}"))
            }
        };
        let broken = outcome.is_err();
        replay.findings.extend(outcome.err());
        let heading = format!("{} step {number} ({}): {}\n{}", script.name, step.conn, step.name, step.note);
        for finding in &mut replay.findings[before..] {
            *finding = format!("{}\n{finding}", heading.trim_end());
        }
        if broken || replay.findings.len() >= FINDINGS_MAX {
            return replay.findings;
        }
    }
    replay.nothing_left();
    replay.findings
}

struct Replay<'a> {
    servers: &'a mut dyn Servers,
    known: Known,
    /// That are open.
    connections: BTreeSet<String>,
    findings: Vec<String>,
}

impl Replay<'_> {
    /// An error means that the conversation cannot go on; a finding is a difference after which it can.
    fn run(&mut self, step: &Step, request: Vec<u8>) -> Result<(), String> {
        self.act(step, request)?;
        match step.kind {
            Kind::FourLetter => self.expect_text(step),
            _ => self.expect_frames(step),
        }
    }

    /// The answer must not be the recorded one, but match this.
    fn run_otherwise(&mut self, step: &Step, answer: &str) -> Result<(), String> {
        self.act(step, step.request.clone())?;
        let before = self.findings.len();
        let (got, pattern) = if step.kind == Kind::FourLetter {
            let got = self.servers.rest(&step.conn)?;
            self.connections.remove(&step.conn);
            self.check_text(step, &got);
            (got, format!("(?-u){answer}"))
        } else {
            let got = self.servers.frame(&step.conn)?;
            let recorded = Frame { bytes: step.response.clone(), mask: step.mask.clone() };
            self.findings.extend(self.known.clone().check(&recorded, &got).err());
            (got, format!("(?s-u){answer}"))
        };
        if self.findings.len() == before {
            return Err("it went as recorded".to_owned());
        }
        self.findings.truncate(before);
        let pattern = Regex::new(&pattern).unwrap();
        if pattern.is_match(&got) {
            Ok(())
        } else {
            Err(format!("nothing matches {pattern} in {}", got.escape_ascii()))
        }
    }

    fn act(&mut self, step: &Step, request: Vec<u8>) -> Result<(), String> {
        self.servers.settle()?;
        match step.kind {
            Kind::Connect | Kind::FourLetter => {
                self.servers.connect(&step.conn, &step.server)?;
                self.connections.insert(step.conn.clone());
            }
            Kind::Sleep => self.servers.sleep(step.seconds, !step.events.is_empty()),
            Kind::Hangup => {
                self.connections.remove(&step.conn);
                self.servers.hang_up(&step.conn)?;
            }
            Kind::Request | Kind::Batch | Kind::ObserveClose => {}
        }
        if request.is_empty() {
            return Ok(());
        }
        let bytes = self.known.substitute(&request, &step.subst);
        self.servers.send(&step.conn, &bytes)
    }

    /// What must come, connection by connection: events, replies, and the end where there is one.
    fn expect_frames(&mut self, step: &Step) -> Result<(), String> {
        for event in step.events.iter().filter(|e| e.pos == Position::Before) {
            self.expect_frame(&event.conn, &event.frame)?;
        }
        if !step.response.is_empty() {
            let reply = Frame { bytes: step.response.clone(), mask: step.mask.clone() };
            self.expect_frame(&step.conn, &reply)?;
        }
        for reply in &step.replies {
            self.expect_frame(&step.conn, reply)?;
        }
        for event in step.events.iter().filter(|e| e.pos == Position::After) {
            self.expect_frame(&event.conn, &event.frame)?;
        }
        if step.closed || step.kind == Kind::ObserveClose {
            self.connections.remove(&step.conn);
            let rest = self.servers.rest(&step.conn)?;
            if !rest.is_empty() {
                return Err(format!("bytes before the close that nobody expected: {rest:02x?}"));
            }
        }
        Ok(())
    }

    fn expect_frame(&mut self, conn: &str, expected: &Frame) -> Result<(), String> {
        let got = self.servers.frame(conn).map_err(|e| format!("on {conn} {e}, expected {:02x?}", expected.bytes))?;
        if let Err(difference) = self.known.check(expected, &got) {
            self.findings.push(format!("on {conn}: {difference}"));
        }
        Ok(())
    }

    fn expect_text(&mut self, step: &Step) -> Result<(), String> {
        self.connections.remove(&step.conn);
        let got = self.servers.rest(&step.conn)?;
        self.check_text(step, &got);
        Ok(())
    }

    fn check_text(&mut self, step: &Step, got: &[u8]) {
        if step.shape.is_empty() && !step.response.is_empty() {
            let expected = Frame { bytes: step.response.clone(), mask: Vec::new() };
            self.findings.extend(self.known.check(&expected, got).err());
        }
        for shape in &step.shape {
            // As bytes and without Unicode classes: the answer is ASCII.
            let pattern = Regex::new(&format!("(?m-u){shape}")).unwrap();
            if !pattern.is_match(got) {
                self.findings.push(format!("nothing matches {shape} in:\n{}", String::from_utf8_lossy(got)));
            }
        }
    }

    /// A ping on every open connection: its answer must be the next frame, or something came that nobody expected.
    fn nothing_left(&mut self) {
        const PING: [u8; 12] = [0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11];
        let pong = Frame {
            bytes: [&[0, 0, 0, 16, 0xff, 0xff, 0xff, 0xfe][..], &[0; 12]].concat(),
            // Any zxid, but all that follows it must be there.
            mask: vec![Mask(8, 8, "any".to_owned())],
        };
        for conn in std::mem::take(&mut self.connections) {
            let got = self.servers.send(&conn, &PING).and_then(|()| self.servers.frame(&conn));
            let verdict = got.and_then(|got| self.known.check(&pong, &got));
            self.findings
                .extend(verdict.err().map(|e| format!("on {conn} after the last step, where a ping is asked: {e}")));
        }
    }
}
