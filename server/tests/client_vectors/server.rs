//! Server processes of a test's own: temporary directories, free ports, ended by their own ids.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::script::Profile;

/// The longest that anything awaited may take: a bound against hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something awaited.
const PAUSE: Duration = Duration::from_millis(5);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One server process.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a fresh, empty server that listens for clients at `address`, and knows these members of its ensemble, if it has one.
    ///
    /// The environment variable `QUORATE_TEST_SERVER=java` takes Debian's ZooKeeper 3.8 instead of ours: it shows what is
    /// wrong with the checker, and what 3.9 changed.
    fn spawn(name: &str, profile: &Profile, address: SocketAddr, id: usize, members: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quorate-vectors-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("data")).unwrap();
        let config = profile.configuration(&dir.join("data"), address, id, members);
        fs::write(dir.join("zoo.cfg"), config).unwrap();
        let log = File::create(dir.join("log")).unwrap();
        let child = command(profile)
            .arg(dir.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, dir, address }
    }

    /// Waits until it serves; `false` if it ended instead.
    fn answers(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                eprintln!("the server ended with {status}:\n{}", self.log_end());
                return false;
            }
            if self.mode().is_some() {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        eprintln!("the server does not answer:\n{}", self.log_end());
        false
    }

    /// What it says that it is, once it serves.
    fn mode(&self) -> Option<String> {
        field(&ask(self.address, "srvr")?, "Mode: ")
    }

    /// The last lines of what it logged.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A server alone that answers.
pub(crate) fn alone(name: &str, profile: &Profile) -> Server {
    // A free port may be taken between choosing and using it.
    for _ in 0..5 {
        let mut server = Server::spawn(name, profile, free_address(), 1, "");
        if server.answers() {
            return server;
        }
    }
    panic!("{name}: no server came up; the last one's log is above");
}

/// An ensemble that answers: the leader, then the followers by id, then the observers.
pub(crate) fn ensemble(name: &str, profile: &Profile, voters: usize, observers: usize) -> Vec<Server> {
    for _ in 0..5 {
        let members: String = (1..=voters + observers)
            .map(|id| {
                let kind = if id <= voters { "participant" } else { "observer" };
                let (quorum, election) = (free_address(), free_address().port());
                format!("server.{id}={quorum}:{election}:{kind}\n")
            })
            .collect();
        let start = |id| Server::spawn(name, profile, free_address(), id, &members);
        let mut servers: Vec<Server> = (1..=voters + observers).map(start).collect();
        if servers.iter_mut().all(Server::answers) {
            let rank = |server: &Server| match server.mode().as_deref() {
                Some("leader") => 0,
                Some("follower") => 1,
                _ => 2,
            };
            servers.sort_by_key(rank);
            return servers;
        }
    }
    panic!("{name}: no ensemble came up; the last ones' logs are above");
}

/// Asks with a four-letter word.
pub(crate) fn ask(address: SocketAddr, word: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(word.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// What stands behind this at the beginning of a line.
fn field(answer: &str, name: &str) -> Option<String> {
    answer.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}

/// Waits until these servers say that they have applied the same transactions.
pub(crate) fn level(servers: &[SocketAddr]) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let zxids: Vec<_> =
            servers.iter().map(|server| ask(*server, "srvr").and_then(|a| field(&a, "Zxid: "))).collect();
        if zxids.iter().all(|zxid| zxid.is_some() && *zxid == zxids[0]) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("servers do not come to the same zxid: {zxids:?}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// From below the range where the kernel takes the ports of outgoing connections, so that no client connects to itself.
fn free_address() -> SocketAddr {
    let start = std::process::id() % 10_000;
    let mut candidates = std::iter::repeat_with(|| {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        SocketAddr::from((Ipv4Addr::LOCALHOST, 21_000 + u16::try_from((start + number * 7) % 10_000).unwrap()))
    });
    candidates.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

fn command(profile: &Profile) -> Command {
    if std::env::var("QUORATE_TEST_SERVER").is_ok_and(|kind| kind == "java") {
        let mut command = Command::new("java");
        command
            .args(profile.flags().split_whitespace())
            .args(["-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"]);
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        return command;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_remove("JVMFLAGS").env_remove("RUST_LOG");
    command.env("SERVER_JVMFLAGS", profile.flags());
    command.arg("serve");
    command
}
