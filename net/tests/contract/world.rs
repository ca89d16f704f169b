//! A scripted machine in a running loop, on loopback and in a temporary directory.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_core::error::DiskError;
use quorate_core::event::{AdminCommand, DiskReply, Event, Input, LinkEvent, Outbox, Port};
use quorate_core::ids::{LinkId, Millis, Now, Ticket};
use quorate_net::disk::DataDirs;
use quorate_net::{Bind, Driver, Ended, FourLetterReply, Host, Limits, Machine, Ports, Remote, Settings};

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the machine was told, owned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen {
    Tick,
    Opened(LinkId, Port, SocketAddr),
    Bytes(LinkId, Vec<u8>),
    Closed(LinkId),
    Drained(LinkId, usize),
    Disk(Ticket, Result<DiskReply, DiskError>),
    Admin(AdminCommand),
    Listening(Port, SocketAddr),
}

type First = Box<dyn FnOnce(&mut Outbox) + Send>;
type Rule = Box<dyn FnMut(&Seen, &mut Outbox) + Send>;

/// Answers by a rule and reports what it saw.
pub(crate) struct Script {
    first: Option<First>,
    rule: Rule,
    seen: Sender<Seen>,
    deadline: Option<Millis>,
}

impl Machine for Script {
    fn start(&mut self, now: Now, out: &mut Outbox) {
        self.deadline = self.deadline.map(|after| now.mono_ms + after);
        (self.first.take().unwrap())(out);
    }
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outbox) {
        if self.deadline.is_some_and(|at| at <= now.mono_ms) {
            self.deadline = None;
        }
        let seen = match input {
            Input::Tick => Seen::Tick,
            Input::Link { link, event: LinkEvent::Opened { port, remote } } => Seen::Opened(link, port, remote),
            Input::Link { link, event: LinkEvent::Bytes(bytes) | LinkEvent::Messages { bytes, .. } } => {
                Seen::Bytes(link, bytes.to_vec())
            }
            Input::Link { link, event: LinkEvent::Closed } => Seen::Closed(link),
            Input::Link { link, event: LinkEvent::Drained(n) } => Seen::Drained(link, n),
            Input::Disk { ticket, result } => Seen::Disk(ticket, result),
            Input::Admin(command) => Seen::Admin(command),
        };
        (self.rule)(&seen, out);
        let _ = self.seen.send(seen);
    }
    fn next_deadline(&self) -> Option<Millis> {
        self.deadline
    }
}

pub(crate) struct Quiet(Sender<Seen>);

impl Host<Script> for Quiet {
    fn event(&mut self, _: Now, _: &Event) {}
    fn four_letter(&mut self, _: Now, _: &Script, asker: Option<SocketAddr>, word: [u8; 4]) -> FourLetterReply {
        assert!(asker.is_some_and(|a| a.ip().is_loopback()));
        FourLetterReply {
            text: format!("answer to {}", String::from_utf8_lossy(&word)),
            command: Some(AdminCommand::ResetStats),
        }
    }
    fn listening(&mut self, port: Port, address: SocketAddr) {
        let _ = self.0.send(Seen::Listening(port, address));
    }
}

pub(crate) struct World {
    pub(crate) seen: Receiver<Seen>,
    pub(crate) remote: Remote,
    pub(crate) dir: PathBuf,
    thread: Option<JoinHandle<Ended>>,
}

pub(crate) fn loopback() -> Option<Bind> {
    Some(Bind { host: Some("127.0.0.1".into()), port: 0 })
}

pub(crate) fn temp_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("quorate-net-{}-{n}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

pub(crate) fn dirs(base: &std::path::Path) -> DataDirs {
    DataDirs {
        data: base.join("version-2"),
        log: base.join("log/version-2"),
        side: base.join("quorate"),
        base: base.to_owned(),
    }
}

impl World {
    /// Clients on a free port, and this rule.
    pub(crate) fn start(rule: impl FnMut(&Seen, &mut Outbox) + Send + 'static) -> Self {
        let ports = Ports { client: loopback(), ..Ports::default() };
        Self::with(ports, None, |out| out.push(quorate_core::event::Action::Listen(Port::Client)), rule)
    }

    pub(crate) fn with(
        ports: Ports,
        deadline: Option<Millis>,
        first: impl FnOnce(&mut Outbox) + Send + 'static,
        rule: impl FnMut(&Seen, &mut Outbox) + Send + 'static,
    ) -> Self {
        let (sender, seen) = channel();
        let dir = temp_dir();
        let machine = Script { first: Some(Box::new(first)), rule: Box::new(rule), seen: sender.clone(), deadline };
        let limits = Limits { links: 600, shutdown_ms: 200, ..Limits::default() };
        let settings = Settings { ports, dirs: dirs(&dir), limits };
        let driver = Driver::new(|_| Ok(machine), Quiet(sender), settings).unwrap();
        let remote = driver.remote();
        let thread = thread::spawn(move || driver.run());
        Self { seen, remote, dir, thread: Some(thread) }
    }

    /// Waits for something; what comes before it is forgotten.
    pub(crate) fn wait<T>(&self, mut pick: impl FnMut(Seen) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let seen = self.seen.recv_timeout(left).expect("what the test waits for");
            if let Some(found) = pick(seen) {
                return found;
            }
        }
    }

    pub(crate) fn listening(&self, port: Port) -> SocketAddr {
        self.wait(|seen| match seen {
            Seen::Listening(p, address) if p == port => Some(address),
            _ => None,
        })
    }

    /// A client of the client port.
    pub(crate) fn client(&self) -> TcpStream {
        client(self.listening(Port::Client))
    }

    /// How the loop ends by itself.
    pub(crate) fn ended(&mut self) -> Ended {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.remote.send(AdminCommand::Shutdown);
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn client(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything up to the end, and whether the end was a clean one.
pub(crate) fn read_all(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, true),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("the connection stays open"),
            Err(_) => return (bytes, false),
        }
    }
}
