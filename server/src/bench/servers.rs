//! The servers that are measured: processes of ours and of Java's.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Setting;
use super::client::Session;
use super::crowd::BACKLOG;
use super::request::SESSION_TIMEOUT_MS;
use crate::cli::Bench;

/// Where Debian puts ZooKeeper.
const JAVA_JAR: &str = "/usr/share/java/zookeeper.jar";

/// The heap that ZooKeeper's own start script asks for.
const JAVA_HEAP: &str = "-Xmx1000m";

/// Linux tells CPU time in hundredths of a second, whatever the machine.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long an ensemble may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// An implementation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Side {
    /// This binary, or the one at this path.
    Quorate(PathBuf),
    /// Apache ZooKeeper as Debian packages it.
    Java,
}

/// Whom `--against` can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Against {
    /// Apache ZooKeeper 3.8 of Debian's package libzookeeper-java
    Java,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quorate(_) => "quorate",
            Self::Java => "java",
        })
    }
}

impl Side {
    /// The sides that the command line asks for.
    pub fn choose(options: &Bench) -> io::Result<Vec<Self>> {
        let mut sides = vec![Self::Quorate(std::env::current_exe()?)];
        if options.against == Some(Against::Java) {
            let java = Command::new("java").arg("-version").stderr(Stdio::null()).stdout(Stdio::null()).status();
            if !Path::new(JAVA_JAR).exists() || java.is_err() {
                return Err(io::Error::other(format!(
                    "{JAVA_JAR} or java is absent: apt-get install libzookeeper-java default-jre-headless"
                )));
            }
            sides.push(Self::Java);
        }
        if options.only_other {
            sides.remove(0);
        }
        Ok(sides)
    }

    fn command(&self) -> Command {
        match self {
            Self::Quorate(binary) => {
                let mut command = Command::new(binary);
                command.arg("serve").env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS").env_remove("RUST_LOG");
                command
            }
            Self::Java => {
                let mut command = Command::new("java");
                command.args([JAVA_HEAP, "-cp", JAVA_JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain"]);
                command
            }
        }
    }
}

/// What differs between measurements.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// 1 is standalone.
    pub servers: usize,
    /// Transactions between snapshots.
    pub snap_count: u64,
    /// Whether ours record, also where the command line does not ask for it.
    pub recorded: bool,
}

impl Shape {
    /// One server as it comes.
    pub const STANDALONE: Self = Self { servers: 1, snap_count: 100_000, recorded: false };
    /// Three servers as they come.
    pub const THREE: Self = Self { servers: 3, snap_count: 100_000, recorded: false };
}

/// A set of servers; ended when dropped.
#[derive(Debug)]
pub struct Ensemble {
    side: Side,
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    dir: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl Ensemble {
    /// Writes the configuration of fresh servers; starts none.
    pub fn configure(setting: &Setting, side: &Side, name: &str, shape: Shape) -> io::Result<Self> {
        let ports = free_ports(shape.servers * 3)?;
        let members: String = ports
            .chunks(3)
            .enumerate()
            .filter(|_| shape.servers > 1)
            .map(|(i, p)| format!("server.{}=127.0.0.1:{}:{}\n", i + 1, p[1], p[2]))
            .collect();
        let mut nodes = Vec::new();
        for (i, ports) in ports.chunks(3).enumerate() {
            let dir = setting.dir.join(format!("{name}-{side}-{}", i + 1));
            fs::create_dir_all(dir.join("data"))?;
            fs::write(dir.join("data/myid"), format!("{}\n", i + 1))?;
            let text = format!(
                "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n\
                 maxClientCnxns=0\nmaxSessionTimeout={SESSION_TIMEOUT_MS}\nclientPortListenBacklog={BACKLOG}\nsnapCount={}\nadmin.enableServer=false\n{members}",
                dir.join("data").display(),
                ports[0],
                shape.snap_count
            );
            let record = match side {
                Side::Quorate(_) if setting.record || shape.recorded => {
                    format!("quorate.record={}\n", dir.join("recording").display())
                }
                _ => String::new(),
            };
            fs::write(dir.join("zoo.cfg"), text + &record)?;
            nodes.push(Node { dir, address: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])), child: None });
        }
        Ok(Self { side: side.clone(), nodes })
    }

    /// Fresh servers that serve.
    pub fn start(setting: &Setting, side: &Side, name: &str, shape: Shape) -> io::Result<Self> {
        let mut ensemble = Self::configure(setting, side, name, shape)?;
        for n in 0..shape.servers {
            ensemble.spawn(n)?;
        }
        ensemble.wait_until_serving(setting)?;
        Ok(ensemble)
    }

    /// Starts one server.
    pub fn spawn(&mut self, n: usize) -> io::Result<()> {
        let node = &mut self.nodes[n];
        let log = File::create(node.dir.join("log"))?;
        let mut command = self.side.command();
        command.arg(node.dir.join("zoo.cfg")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        node.child = Some(command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.side)))?);
        Ok(())
    }

    /// Waits until every server gives sessions and an ensemble has its leader.
    pub fn wait_until_serving(&mut self, setting: &Setting) -> io::Result<()> {
        for n in 0..self.nodes.len() {
            let address = self.nodes[n].address;
            let opened = Session::open_eventually(address, || {
                setting.go_on()?;
                self.complain_of_the_dead()
            });
            opened.map_err(|e| io::Error::new(e.kind(), format!("{} does not serve: {e}", self.side)))?;
        }
        Ok(())
    }

    fn complain_of_the_dead(&mut self) -> io::Result<()> {
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child
                && let Some(status) = child.try_wait()?
            {
                let log = fs::read_to_string(node.dir.join("log")).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(10)..].join("\n");
                return Err(io::Error::other(format!("{} ended with {status}:\n{end}", self.side)));
            }
        }
        Ok(())
    }

    /// Ends one server at once (SIGKILL).
    pub fn kill(&mut self, n: usize) -> io::Result<()> {
        if let Some(mut child) = self.nodes[n].child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Where clients connect.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|n| n.address).collect()
    }

    /// The data directory of one server.
    #[must_use]
    pub fn data(&self, n: usize) -> PathBuf {
        self.nodes[n].dir.join("data")
    }

    /// The leader of three, awaited.
    pub fn leader(&self, setting: &Setting) -> io::Result<usize> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            setting.go_on()?;
            let leads = |a: SocketAddr| ask(a, "srvr").is_ok_and(|text| text.contains("Mode: leader"));
            if let Some(n) = self.nodes.iter().position(|node| leads(node.address)) {
                return Ok(n);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other(format!("{} has no leader", self.side)))
    }

    /// CPU time of all servers, in seconds.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        self.pids().try_fold(0.0, |sum, pid| Ok(sum + cpu_seconds(&pid.to_string())?))
    }

    /// Memory of all servers, in bytes, once it has settled.
    pub fn resident(&self) -> io::Result<f64> {
        let mut last = 0.0;
        for _ in 0..20 {
            let mut sum = 0.0;
            for pid in self.pids() {
                sum += resident(pid)?;
            }
            if sum == last {
                break;
            }
            last = sum;
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(last)
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().filter_map(|n| n.child.as_ref()).map(Child::id)
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for n in 0..self.nodes.len() {
            let _ = self.kill(n);
        }
    }
}

/// Files beside those of connections.
const OTHER_FILES: usize = 300;

/// Connections whose both ends this process may have.
#[must_use]
pub fn connections_of_both_ends() -> usize {
    usize::try_from(crate::process::max_files()).unwrap_or(0).saturating_sub(OTHER_FILES) / 2
}

/// Connections of a crowd: 10,000, or as many as this process and a server may have files.
#[must_use]
pub fn connections() -> usize {
    const WANTED: usize = 10_000;
    let soft = || usize::try_from(crate::process::max_files()).unwrap_or(0);
    if soft() < WANTED + OTHER_FILES {
        // From util-linux; servers inherit the limit. Where it fails, the limit says so below.
        let own = std::process::id().to_string();
        let hard = Command::new("sh").args(["-c", "ulimit -Hn"]).output().map(|o| o.stdout).unwrap_or_default();
        let both = format!("--nofile={0}:{0}", String::from_utf8_lossy(&hard).trim());
        let _ = Command::new("prlimit").args(["--pid", &own, &both]).stderr(Stdio::null()).status();
    }
    let possible = soft().saturating_sub(OTHER_FILES).min(WANTED);
    if possible < WANTED {
        eprintln!("  {possible} connections instead of {WANTED}: raise the limit of open files (ulimit -n)");
    }
    possible
}

/// User and system time of a process and its threads, those that ended among them; of "thread-self", of the calling thread.
pub fn cpu_seconds(pid: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses and may hold blanks; utime and stime are the 14th and 15th.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>().map_err(io::Error::other)?;
    Ok(ticks / TICKS_PER_SECOND)
}

fn resident(pid: u32) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: f64 = line.split_whitespace().next().unwrap_or("0").parse().map_err(io::Error::other)?;
    Ok(kilobytes * 1024.0)
}

/// A four-letter word's answer.
fn ask(server: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Ports that nobody listens on, from below the range where the kernel takes those of outgoing connections: a server that is
/// started again finds its own free, and no client connects to itself.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    // Runs at the same time begin at different places.
    let start = std::process::id() % 10_000;
    let candidates = (0..10_000).map(|n| 11_000 + u16::try_from((start + n * 7) % 10_000).unwrap_or(0));
    // All are held until all are chosen.
    let held: Vec<TcpListener> = candidates
        .filter(|port| !GIVEN.lock().is_ok_and(|given| given.contains(port)))
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    let ports: Vec<u16> = held.iter().map(|l| l.local_addr().map(|a| a.port())).collect::<io::Result<_>>()?;
    if ports.len() < count {
        return Err(io::Error::other("there are no free ports"));
    }
    if let Ok(mut given) = GIVEN.lock() {
        given.extend(&ports);
    }
    Ok(ports)
}

/// Given out by this process already: their servers may be about to start.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        assert!(super::resident(std::process::id()).unwrap() > 100_000.0);
        let began = super::cpu_seconds("self").unwrap();
        let mut x = 1_u64;
        while super::cpu_seconds("self").unwrap() < began + 0.03 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
    }
}
