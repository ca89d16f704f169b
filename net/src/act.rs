//! Carrying out what the machine asks for.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpStream;
use quorate_core::error::CloseReason;
use quorate_core::event::{Action, LinkEvent, Payload, Port};
use quorate_core::ids::{LinkId, Millis, Now};
use socket2::SockRef;
use tracing::{debug, warn};

use crate::driver::{Driver, Io, Late};
use crate::link::Phase;
use crate::listeners::{any_address, explain};
use crate::machine::{Ended, Host, Machine};
use crate::resolver::{Answer, Asker};
use crate::settings::Bind;
use crate::table::canonical;
use crate::timers::{PortKey, Timer};

/// Connections accepted on one port in one turn.
const ACCEPTS: usize = 64;
/// Pause after the system had no descriptor for a connection.
const NO_DESCRIPTOR_PAUSE: Millis = 100;
/// Pause between two warnings of that.
const WARNING_PAUSE: Millis = 1000;
/// Pause between two tries to open a port.
const BIND_PAUSE: Millis = 1000;
/// ENOMEM, ENFILE, EMFILE, ENOBUFS: what lacks is not the connection's fault.
const EXHAUSTED: [i32; 4] = [12, 23, 24, 105];

impl<M: Machine, H: Host<M>> Driver<M, H> {
    /// Carries out the actions of one step, in their order.
    pub(crate) fn carry_out(&mut self, now: Now) {
        let Self { machine, host, out, io } = self;
        let mut ports = Vec::new();
        for action in out.actions() {
            match action {
                Action::Send { link, payload } => match payload {
                    Payload::Inline(_) => {
                        let bytes = out.bytes_of(payload);
                        io.links.send(*link, |l, spares| l.out.copy(bytes, spares));
                    }
                    Payload::Shared(bytes) => io.links.send(*link, |l, spares| l.out.share(bytes, spares)),
                },
                Action::Disk { lane, ticket, op } => io.lanes.push(*lane, *ticket, op.clone()),
                Action::Event(event) => host.event(now, event),
                Action::Close { link, why } => io.close(*link, why, now.mono_ms),
                Action::Pause(link) => io.pause(*link, true),
                Action::Resume(link) => io.pause(*link, false),
                Action::Connect { link, port, address } => io.connect(*link, *port, address),
                Action::Listen(port) => ports.push(PortKey::of(*port)),
                Action::Unlisten(port) => {
                    ports.retain(|key| *key != PortKey::of(*port));
                    io.listeners.close(PortKey::of(*port));
                }
                Action::FourLetter { link, word } => {
                    let reply = host.four_letter(now, machine, io.links.remote(*link), *word);
                    io.links.send(*link, |l, spares| l.out.copy(reply.text.as_bytes(), spares));
                    io.close(*link, &CloseReason::Done, now.mono_ms);
                    io.late.extend(reply.command.map(Late::Admin));
                }
                Action::Halt(halt) => io.ended = Some(Ended::Halt(halt.clone())),
            }
        }
        out.clear();
        for key in ports {
            self.listen(key);
        }
    }

    // ----- listening ---------------------------------------------------------------------------------------------

    /// Opens a port that is not open yet.
    pub(crate) fn listen(&mut self, key: PortKey) {
        let Some(bind) = self.io.settings.ports.bind(key.port()).cloned() else { return };
        let listener = self.io.listeners.get(key);
        listener.wanted = true;
        if listener.socket.is_some() {
            return;
        }
        let answer = match &bind.host {
            None => Some(Ok(any_address(bind.port).to_vec())),
            Some(_) => self.io.resolver.ask(&bind.to_string(), Asker::Port(key)),
        };
        if let Some(answer) = answer {
            self.open_port(key, answer);
        }
    }

    /// The addresses of a port are known.
    pub(crate) fn open_port(&mut self, key: PortKey, answer: Answer) {
        let port = key.port();
        let Some(bind) = self.io.settings.ports.bind(port).cloned() else { return };
        let listener = self.io.listeners.get(key);
        if !listener.wanted || listener.socket.is_some() {
            return;
        }
        let Io { listeners, settings, poll, .. } = &mut self.io;
        let opened = match answer {
            Ok(addresses) => listeners.open(key, &addresses, &settings.ports, poll.registry()),
            Err(what) => Err(io::Error::other(what)),
        };
        match opened {
            Ok(address) => self.host.listening(port, address),
            Err(e) => self.not_opened(key, &bind, &e),
        }
    }

    fn not_opened(&mut self, key: PortKey, bind: &Bind, e: &io::Error) {
        let (what, setting) = match key.port() {
            Port::Client => ("client", "clientPort (or clientPortAddress)"),
            Port::Election => ("election", "the server line's second port (or set quorumListenOnAllIPs=true)"),
            Port::Quorum => ("quorum", "the server line's first port (or set quorumListenOnAllIPs=true)"),
        };
        let text = explain(what, setting, &bind.to_string(), e);
        if key.port() == Port::Client {
            self.io.ended = Some(Ended::ClientPort(text));
            return;
        }
        let tries = self.io.settings.ports.election_bind_tries;
        let listener = self.io.listeners.get(key);
        listener.failed += 1;
        if key.port() == Port::Election && tries.is_some_and(|tries| listener.failed >= tries) {
            self.io.ended = Some(Ended::ElectionPort(text));
            return;
        }
        warn!("{text}; trying again in a second");
        self.io.timers.set(self.io.clock.now().mono_ms + BIND_PAUSE, Timer::Bind(key));
    }

    /// Takes some of those who wait at the ports.
    pub(crate) fn accept(&mut self) {
        for key in (0..PortKey::COUNT).map(PortKey) {
            for _ in 0..ACCEPTS {
                let listener = self.io.listeners.get(key);
                if !listener.ready || listener.resting {
                    break;
                }
                let Some(socket) = &listener.socket else { break };
                if key.port() == Port::Client && self.io.links.len() >= self.io.settings.limits.links {
                    self.io.rest(key, &"as many connections as this process can have files");
                    break;
                }
                match socket.accept() {
                    Ok((stream, remote)) => self.accepted(key, stream, remote),
                    Err(e) if e.kind() == ErrorKind::WouldBlock => listener.ready = false,
                    Err(e) if e.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) => {
                        self.io.rest(key, &e);
                    }
                    // The connection was gone before it was taken.
                    Err(_) => {}
                }
            }
        }
    }

    fn accepted(&mut self, key: PortKey, stream: TcpStream, remote: SocketAddr) {
        let port = key.port();
        prepare(&stream, self.io.settings.ports.keep_alive(port));
        // A listener of both families shows IPv4 clients as mapped addresses; they are counted and checked as what they are.
        let remote = canonical(remote);
        match self.io.links.accept(port, stream, self.io.poll.registry()) {
            Ok(link) => self.link_event(link, LinkEvent::Opened { port, remote }),
            Err(e) => warn!("a connection from {remote} was dropped: {e}"),
        }
    }

    // ----- connecting --------------------------------------------------------------------------------------------

    /// The poller has news of a connection that is being made.
    pub(crate) fn on_connecting(&mut self, slot: usize) {
        let Some(link) = self.io.links.at(slot) else { return };
        let (id, port) = (link.id, link.port);
        match link.connected() {
            None => {}
            Some(Ok(remote)) => {
                link.phase = Phase::Open;
                if let Some(stream) = &link.stream {
                    prepare(stream, self.io.settings.ports.keep_alive(port));
                }
                self.io.links.mark_ready(slot);
                self.link_event(id, LinkEvent::Opened { port, remote });
            }
            Some(Err(e)) => {
                debug!("connection {} was not made: {e}", id.0);
                self.io.try_next(id, slot);
            }
        }
    }
}

impl Io {
    /// Leaves those who wait at a port waiting for a while.
    fn rest(&mut self, key: PortKey, why: &dyn std::fmt::Display) {
        let now = self.clock.now().mono_ms;
        let listener = self.listeners.get(key);
        listener.resting = true;
        if now - listener.warned >= WARNING_PAUSE {
            listener.warned = now;
            warn!("cannot accept a connection: {why}; raise the limit of open files (ulimit -n)");
        }
        self.timers.set(now + NO_DESCRIPTOR_PAUSE, Timer::Accept(key));
    }

    /// The core closes a link.
    fn close(&mut self, id: LinkId, why: &CloseReason, now: Millis) {
        let Some(slot) = self.links.slot(id) else {
            // It failed, which need not be told any more.
            self.late.retain(|late| !matches!(late, Late::Closed(failed) if *failed == id));
            return;
        };
        let Some(link) = self.links.at(slot) else { return };
        match link.phase {
            Phase::Resolving | Phase::Connecting { .. } => self.links.remove(slot),
            Phase::Closing | Phase::Lingering => {}
            Phase::Open => {
                debug!("closing link {}: {why}", id.0);
                link.phase = Phase::Closing;
                self.linger(slot, now);
            }
        }
    }

    /// The other side has closed, the core knows: what is queued may still leave.
    pub(crate) fn let_go(&mut self, slot: usize) {
        match self.links.at(slot) {
            Some(link) if link.is_dead() => self.links.remove(slot),
            Some(_) => {
                let now = self.clock.now().mono_ms;
                self.linger(slot, now);
            }
            None => {}
        }
    }

    fn linger(&mut self, slot: usize, now: Millis) {
        let Some(link) = self.links.at(slot) else { return };
        link.deadline = now + self.settings.limits.linger_ms;
        self.timers.set(link.deadline, Timer::Link(link.id));
        self.links.mark_dirty(slot);
    }

    fn pause(&mut self, id: LinkId, paused: bool) {
        let Some(slot) = self.links.slot(id) else { return };
        if let Some(link) = self.links.at(slot) {
            link.paused = paused;
        }
        if !paused {
            self.links.mark_ready(slot);
        }
    }

    fn connect(&mut self, id: LinkId, port: Port, address: &str) {
        if !self.links.name(id, port) {
            self.late.push_back(Late::Closed(id));
            return;
        }
        if let Some(answer) = self.resolver.ask(address, Asker::Link(id)) {
            self.connect_to(id, answer);
        }
    }

    /// The addresses of a link are known.
    pub(crate) fn connect_to(&mut self, id: LinkId, answer: Answer) {
        let Some(slot) = self.links.slot(id) else { return };
        match answer {
            Ok(addresses) => self.links.addresses(slot, addresses),
            Err(what) => {
                debug!("connection {} was not made: {what}", id.0);
                self.links.addresses(slot, Vec::new());
            }
        }
        self.try_next(id, slot);
    }

    /// Tries the next address of a link, or gives up.
    pub(crate) fn try_next(&mut self, id: LinkId, slot: usize) {
        if self.links.connect_next(slot, self.poll.registry()) {
            let deadline = self.clock.now().mono_ms + self.settings.limits.connect_ms;
            if let Some(link) = self.links.at(slot) {
                link.deadline = deadline;
            }
            self.timers.set(deadline, Timer::Link(id));
        } else {
            self.links.remove(slot);
            self.late.push_back(Late::Closed(id));
        }
    }

    /// A link's time is over.
    pub(crate) fn link_timer(&mut self, id: LinkId, now: Millis) {
        let Some(slot) = self.links.slot(id) else { return };
        let Some(link) = self.links.at(slot) else { return };
        if link.deadline > now {
            return;
        }
        match link.phase {
            Phase::Connecting { .. } => self.try_next(id, slot),
            Phase::Closing | Phase::Lingering => self.links.remove(slot),
            Phase::Resolving | Phase::Open => {}
        }
    }
}

/// Small frames leave at once; keep-alive where it is wished.
fn prepare(stream: &TcpStream, keep_alive: bool) {
    // A connection that has died in the meantime tells so when it is read.
    let _ = stream.set_nodelay(true);
    if keep_alive {
        let _ = SockRef::from(stream).set_keepalive(true);
    }
}
