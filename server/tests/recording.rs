//! What a real server has recorded is replayed exactly. A build that can plant bugs refuses to serve.
#![cfg(not(feature = "mutants"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A bound against hanging.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(dir: &Path, extra: &[&str]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = fs::File::create(dir.join("log")).unwrap();
        let data = dir.join("data");
        let child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["serve", &port.to_string(), &data.display().to_string()])
            .args(extra)
            .env_remove("SERVER_JVMFLAGS")
            .env_remove("JVMFLAGS")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, port };
        let began = Instant::now();
        while server.ask(b"srvr").is_none_or(|answer| !answer.contains("Mode: ")) {
            assert!(server.child.try_wait().unwrap().is_none(), "{}", fs::read_to_string(dir.join("log")).unwrap());
            assert!(began.elapsed() < PATIENCE, "no answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    fn ask(&self, word: &[u8; 4]) -> Option<String> {
        let mut stream = self.connect().ok()?;
        stream.write_all(word).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A session that creates and reads `count` znodes of `size` bytes, and closes.
    fn traffic(&self, name: &str, count: i32, size: usize) {
        let mut stream = self.connect().unwrap();
        let mut exchange = |body: &[u8]| {
            stream.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(body).unwrap();
            let mut head = [0; 4];
            stream.read_exact(&mut head).unwrap();
            let mut reply = vec![0; u32::from_be_bytes(head) as usize];
            stream.read_exact(&mut reply).unwrap();
            reply
        };
        let text = |t: &str| [&u32::try_from(t.len()).unwrap().to_be_bytes(), t.as_bytes()].concat();
        exchange(&[&[0; 12][..], &10_000_i32.to_be_bytes(), &[0; 8], &16_i32.to_be_bytes(), &[0; 16]].concat());
        let acl = [&1_i32.to_be_bytes()[..], &31_i32.to_be_bytes(), &text("world"), &text("anyone")].concat();
        for n in 1..=count {
            let path = text(&format!("/{name}-{n}"));
            let data = [&u32::try_from(size).unwrap().to_be_bytes()[..], &vec![7; size]].concat();
            let create = [&n.to_be_bytes()[..], &1_i32.to_be_bytes(), &path, &data, &acl, &[0; 4]].concat();
            let reply = exchange(&create);
            assert_eq!(reply[12..16], [0; 4], "no error");
            let read = exchange(&[&n.to_be_bytes()[..], &4_i32.to_be_bytes(), &path, &[0]].concat());
            assert_eq!(read[20..20 + size], vec![7; size]);
        }
        exchange(&[&(count + 1).to_be_bytes()[..], &(-11_i32).to_be_bytes()].concat());
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quorate-recording-{}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("data")).unwrap();
        Self(dir)
    }
    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn replay(file: &str, extra: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quorate")).args(["sim", "replay", file]).args(extra).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn a_recorded_server_does_the_same_again() {
    let scratch = Scratch::new("same");
    let file = scratch.file("recording");
    let server = Server::start(&scratch.0, &["--record", &file]);
    server.traffic("a", 50, 100);
    server.ask(b"crst");
    server.stop();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let out = replay(&file, &["--json"]);
    assert_eq!(out.status.code(), Some(0), "{out:?}");
    let whole = json(&out);
    assert_eq!((&whole["verdict"], &whole["flaw"]), (&"same".into(), &Value::Null), "{whole}");
    assert!(whole["same_build"] == true && whole["steps"].as_u64().unwrap() > 200, "{whole}");
    let trace = String::from_utf8(replay(&file, &["--trace"]).stdout).unwrap();
    assert!(trace.contains("admin: Shutdown") && trace.contains("Halt(Shutdown)"), "{trace}");

    let page = scratch.file("page.html");
    assert_eq!(json(&replay(&file, &["--json", "--html", &page]))["verdict"], "same");
    let page = fs::read_to_string(page).unwrap();
    for fact in ["#1 create /a-1", "applies 0.2, digest 0x", "has 0.2 durable", "ends by itself: Shutdown"] {
        assert!(page.contains(fact), "{fact}");
    }

    // A second process has something to recover, and sets the first one's recording aside.
    let first = fs::read(&file).unwrap();
    let server = Server::start(&scratch.0, &["--record", &file]);
    server.traffic("b", 5, 10);
    server.stop();
    assert_eq!(json(&replay(&file, &["--json"]))["verdict"], "same");
    assert_eq!(fs::read(scratch.file("recording.old")).unwrap(), first);

    // Cut anywhere behind its header: replayed up to there.
    let cut = scratch.file("cut");
    fs::write(&cut, &first[..first.len() - 3]).unwrap();
    let out = replay(&cut, &["--json"]);
    assert_eq!((out.status.code(), &json(&out)["verdict"]), (Some(0), &"same".into()));
    assert!(json(&out)["flaw"].as_str().unwrap().contains("ends within"), "{out:?}");
    fs::write(&cut, &first[..40]).unwrap();
    assert_eq!(replay(&cut, &[]).status.code(), Some(2));

    // Damaged: said, with the byte.
    let mut damaged = first.clone();
    let at = damaged.len() - 20;
    damaged[at] ^= 1;
    fs::write(&cut, &damaged).unwrap();
    let out = replay(&cut, &["--json"]);
    assert_eq!(out.status.code(), Some(2), "{out:?}");
    assert!(json(&out)["flaw"].as_str().unwrap().contains("damaged"), "{out:?}");
}

#[test]
fn beyond_its_bound_the_newest_is_kept_for_reading() {
    let scratch = Scratch::new("bound");
    let file = scratch.file("recording");
    let server = Server::start(&scratch.0, &["--record", &file, "--record-size", "8"]);
    server.traffic("a", 30, 400_000);
    server.stop();
    let sizes: Vec<u64> = ["", ".1", ".2"].iter().map(|s| fs::metadata(format!("{file}{s}")).unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() <= 8 << 20, "{sizes:?}");
    assert_eq!(json(&replay(&file, &["--json"]))["verdict"], "same");
    for part in [".1", ".2"] {
        let out = replay(&format!("{file}{part}"), &["--json"]);
        assert_eq!((out.status.code(), &json(&out)["verdict"]), (Some(0), &"read".into()));
        assert!(json(&out)["notes"].to_string().contains("can be read"), "{out:?}");
    }
}
