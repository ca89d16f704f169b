//! `quorate dev` and `quorate serve` as processes: they come up, say what they are, and end when told to.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// The promise is 5 s; a loaded machine gets as much again.
const END: Duration = Duration::from_secs(10);

/// A process with its directory.
struct Running {
    child: Child,
    dir: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("quorate-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn quorate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS").env_remove("RUST_LOG");
    command
}

fn word(port: u16, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

impl Running {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
    fn ends_with(&mut self, code: i32) {
        let begun = Instant::now();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code));
        assert!(begun.elapsed() < END, "{:?}", begun.elapsed());
    }
}

/// Ports that were free a moment ago, one after the other; each test has a region of its own.
fn free_ports(region: u16, count: u16) -> u16 {
    (0..200)
        .map(|i| region + (std::process::id() as u16 % 500) * 8 + i * 16)
        .find(|first| (0..count).all(|i| TcpListener::bind((Ipv4Addr::LOCALHOST, first + i)).is_ok()))
        .unwrap()
}

#[test]
fn an_ensemble_in_one_command() {
    let dir = scratch("dev-process");
    let first = free_ports(12_000, 3);
    let child = quorate()
        .args(["dev", "--dir", dir.to_str().unwrap(), "--client-port", &first.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut running = Running { child, dir };
    let mut greeting = BufReader::new(running.child.stdout.take().unwrap()).lines();
    let connect = format!("127.0.0.1:{first},127.0.0.1:{},127.0.0.1:{}", first + 1, first + 2);
    assert!(greeting.any(|line| line.unwrap().trim() == connect));
    // The greeting comes when there is a leader; the last follower may need a moment more.
    let until = Instant::now() + PATIENCE;
    let mut modes = Vec::new();
    while Instant::now() < until && modes.len() < 3 {
        modes = (0..3)
            .filter_map(|i| word(first + i, "srvr"))
            .filter_map(|text| Some(text.lines().find_map(|l| l.strip_prefix("Mode: "))?.to_owned()))
            .collect();
    }
    modes.sort();
    assert_eq!(modes, ["follower", "follower", "leader"]);
    running.signal("INT");
    running.ends_with(0);
}

#[test]
fn a_server_serves_until_it_is_told_to_stop() {
    let dir = scratch("serve-process");
    let port = free_ports(20_000, 1);
    let config = dir.join("zoo.cfg");
    fs::write(&config, format!("dataDir={}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n", dir.display()))
        .unwrap();
    let child = quorate().args(["serve", config.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    let mut running = Running { child, dir };
    let until = Instant::now() + PATIENCE;
    while !word(port, "srvr").is_some_and(|text| text.contains("Mode: standalone")) {
        assert!(Instant::now() < until);
    }
    let same_directory = quorate().args(["serve", config.to_str().unwrap()]).output().unwrap();
    assert_eq!(same_directory.status.code(), Some(3));
    let other = running.dir.join("other.cfg");
    fs::write(
        &other,
        format!("dataDir={}/other\nclientPort={port}\nclientPortAddress=127.0.0.1\n", running.dir.display()),
    )
    .unwrap();
    let second = quorate().args(["serve", other.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stdout).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(
        said.contains(&format!("cannot open the client port 127.0.0.1:{port}")) && said.contains("change clientPort")
    );
    // Written beside serving, when the disk has time.
    while !running.dir.join("data/version-2/snapshot.0").is_file() {
        assert!(Instant::now() < until);
    }
    running.signal("TERM");
    running.ends_with(0);
}
