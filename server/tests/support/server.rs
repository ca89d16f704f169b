//! A server process of its own: temporary directory, free port, ended by its own id.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::script::Profile;

/// The longest that anything awaited may take: a bound against hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A standalone server that answers.
pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a fresh, empty server.
    ///
    /// The environment variable `QUORATE_TEST_SERVER=java` takes Debian's ZooKeeper 3.8 instead of ours: it shows what is
    /// wrong with the checker, and what 3.9 changed.
    pub(crate) fn start(name: &str, profile: &Profile) -> Self {
        // A free port may be taken between choosing and using it.
        for _ in 0..5 {
            if let Some(server) = Self::try_start(name, profile) {
                return server;
            }
        }
        panic!("{name}: no server came up; the last one's log is above");
    }

    fn try_start(name: &str, profile: &Profile) -> Option<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quorate-vectors-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(dir.join("data")).unwrap();
        let address = free_address();
        let config = dir.join("zoo.cfg");
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n{}",
            dir.join("data").display(),
            address.port(),
            profile.config_lines()
        );
        fs::write(&config, text).unwrap();
        let log = File::create(dir.join("log")).unwrap();
        let child = command(profile)
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, dir, address };
        server.answers().then_some(server)
    }

    /// Waits until it serves; `false` if it ended instead.
    fn answers(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                eprintln!("the server ended with {status}:\n{}", self.log_end());
                return false;
            }
            if self.ask("srvr").is_some_and(|answer| answer.contains("Mode: ")) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!("the server does not answer:\n{}", self.log_end());
        false
    }

    fn ask(&self, word: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
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
    let properties = profile.system_properties.iter().map(|(k, v)| format!("-D{k}={v}"));
    if std::env::var("QUORATE_TEST_SERVER").is_ok_and(|kind| kind == "java") {
        let mut command = Command::new("java");
        command.args(properties).args(["-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"]);
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        return command;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_remove("JVMFLAGS").env_remove("RUST_LOG");
    command.env("SERVER_JVMFLAGS", properties.collect::<Vec<_>>().join(" "));
    command.arg("serve");
    command
}
