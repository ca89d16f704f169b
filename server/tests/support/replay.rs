//! Speaks a recorded conversation to a server and compares what comes back.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use regex::bytes::Regex;

use super::compare::Known;
use super::script::{Frame, Kind, Mask, Position, Script, Step};
use super::server::PATIENCE;

/// Findings after which a script is given up: what follows is of little worth.
const FINDINGS_MAX: usize = 8;

/// No answer of these scripts is longer.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Runs a script; what it returns is what was wrong, to be read by a person.
pub(crate) fn replay(script: &Script, server: SocketAddr) -> Vec<String> {
    let mut replay = Replay { server, known: Known::default(), connections: BTreeMap::new(), findings: Vec::new() };
    for (number, step) in script.steps.iter().enumerate() {
        let before = replay.findings.len();
        let outcome = replay.run(step);
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

struct Replay {
    server: SocketAddr,
    known: Known,
    connections: BTreeMap<String, TcpStream>,
    findings: Vec<String>,
}

impl Replay {
    /// An error means that the conversation cannot go on; a finding is a difference after which it can.
    fn run(&mut self, step: &Step) -> Result<(), String> {
        match step.kind {
            Kind::Connect | Kind::FourLetter => {
                let stream = TcpStream::connect(self.server).map_err(|e| format!("cannot connect: {e}"))?;
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                self.connections.insert(step.conn.clone(), stream);
            }
            Kind::Sleep => std::thread::sleep(Duration::from_secs_f64(step.seconds)),
            Kind::Hangup => {
                let stream = self.connections.remove(&step.conn).expect("it was opened");
                stream.shutdown(Shutdown::Both).map_err(|e| format!("already gone: {e}"))?;
            }
            Kind::Request | Kind::Batch | Kind::ObserveClose => {}
        }
        if !step.request.is_empty() {
            let bytes = self.known.substitute(&step.request, &step.subst);
            self.connection(step)?.write_all(&bytes).map_err(|e| format!("cannot send: {e}"))?;
        }
        match step.kind {
            Kind::FourLetter => self.expect_text(step)?,
            _ => self.expect_frames(step)?,
        }
        if step.closed {
            let mut stream = self.connections.remove(&step.conn).expect("it was opened");
            let rest = read_to_close(&mut stream)?;
            if !rest.is_empty() {
                return Err(format!("bytes before the close that nobody expected: {rest:02x?}"));
            }
        }
        Ok(())
    }

    fn connection(&mut self, step: &Step) -> Result<&mut TcpStream, String> {
        self.connections.get_mut(&step.conn).ok_or_else(|| format!("no connection {}", step.conn))
    }

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
        Ok(())
    }

    fn expect_frame(&mut self, conn: &str, expected: &Frame) -> Result<(), String> {
        let stream = self.connections.get_mut(conn).ok_or_else(|| format!("no connection {conn}"))?;
        let got = read_frame(stream).map_err(|e| format!("on {conn} {e}, expected {:02x?}", expected.bytes))?;
        if let Err(difference) = self.known.check(expected, &got) {
            self.findings.push(format!("on {conn}: {difference}"));
        }
        Ok(())
    }

    fn expect_text(&mut self, step: &Step) -> Result<(), String> {
        let got = read_to_close(self.connection(step)?)?;
        if step.shape.is_empty() && !step.response.is_empty() {
            let expected = Frame { bytes: step.response.clone(), mask: Vec::new() };
            self.findings.extend(self.known.check(&expected, &got).err());
        }
        for shape in &step.shape {
            // As bytes and without Unicode classes: the answer is ASCII.
            let pattern = Regex::new(&format!("(?m-u){shape}")).unwrap();
            if !pattern.is_match(&got) {
                self.findings.push(format!("nothing matches {shape} in:\n{}", String::from_utf8_lossy(&got)));
            }
        }
        Ok(())
    }

    /// A ping on every open connection: its answer must be the next frame, or something came that nobody expected.
    fn nothing_left(&mut self) {
        const PING: [u8; 12] = [0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11];
        let pong = Frame {
            bytes: [&[0, 0, 0, 16, 0xff, 0xff, 0xff, 0xfe][..], &[0; 12]].concat(),
            // Any zxid, but all that follows it must be there.
            mask: vec![Mask(8, 8, "any".to_owned())],
        };
        for (conn, mut stream) in std::mem::take(&mut self.connections) {
            let got = stream.write_all(&PING).map_err(|e| e.to_string()).and_then(|()| read_frame(&mut stream));
            let verdict = got.and_then(|got| self.known.check(&pong, &got));
            self.findings
                .extend(verdict.err().map(|e| format!("on {conn} after the last step, where a ping is asked: {e}")));
        }
    }
}

/// One frame with its length prefix.
fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).map_err(|e| format!("no frame came: {e}"))?;
    let length = u32::from_be_bytes(frame[..].try_into().unwrap()) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(format!("a frame of {length} bytes came"));
    }
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..]).map_err(|e| format!("{length} bytes announced: {e}"))?;
    Ok(frame)
}

/// Everything until the server closes; a reset is a close too (of a server that left bytes unread).
fn read_to_close(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(bytes),
        Err(e) => Err(format!("the server does not close the connection ({e}); it sent {bytes:02x?}")),
    }
}
