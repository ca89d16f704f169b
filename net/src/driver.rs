//! The loop.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event as Readiness;
use mio::{Events, Poll, Token, Waker};
use quorate_core::event::{AdminCommand, Input, LinkEvent, Outbox};
use quorate_core::ids::{LinkId, Millis, Now};
use tracing::warn;

use crate::clock::Clock;
use crate::disk::{Completion, Lanes};
use crate::link::{Phase, Read1};
use crate::listeners::Listeners;
use crate::machine::{Ended, Host, Machine};
use crate::remote::Remote;
use crate::resolver::{Asker, Resolver};
use crate::settings::Settings;
use crate::table::{FIRST_TOKEN, Links};
use crate::timers::{PortKey, Timer, Timers};

/// Beside the ports' tokens, below those of links.
const WAKER: Token = Token(FIRST_TOKEN - 1);
/// Bytes of one read: what one link may bring in a turn.
const READ_TURN: usize = 128 << 10;
/// Rounds of writing in one turn: what has left may make the machine send more.
const WRITE_ROUNDS: usize = 4;
/// Readiness taken in one turn.
const EVENTS: usize = 1024;
/// How long queues may drain after the end.
const FAREWELL: Millis = 500;
/// How long the lanes may take after the end.
const LANES_LIMIT: Duration = Duration::from_millis(500);

/// Something that the loop itself has to tell the machine, once it is out of a step.
pub(crate) enum Late {
    /// A connection could not be made.
    Closed(LinkId),
    /// A four-letter word does something.
    Admin(AdminCommand),
}

/// Everything around the machine.
pub(crate) struct Io {
    pub(crate) settings: Settings,
    pub(crate) poll: Poll,
    pub(crate) clock: Clock,
    pub(crate) links: Links,
    pub(crate) listeners: Listeners,
    pub(crate) timers: Timers,
    pub(crate) lanes: Lanes,
    pub(crate) resolver: Resolver,
    pub(crate) late: VecDeque<Late>,
    pub(crate) ended: Option<Ended>,
    remote: Remote,
    woken: bool,
    buffer: Vec<u8>,
    slots: Vec<usize>,
    left: Vec<(LinkId, usize)>,
    completions: Vec<Completion>,
    shutdown_at: Option<Millis>,
    /// A machine whose deadline stays in the past does not make the loop spin.
    next_tick: Millis,
}

/// One machine with its sockets and its disk, on the thread that calls [`Driver::run`].
pub struct Driver<M, H> {
    pub(crate) machine: M,
    pub(crate) host: H,
    pub(crate) out: Outbox,
    pub(crate) io: Io,
}

impl<M: Machine, H: Host<M>> Driver<M, H> {
    /// Makes the machine, by the clock that it will see, and starts the lanes. Nothing is opened before [`Driver::run`].
    pub fn new(make: impl FnOnce(Now) -> io::Result<M>, host: H, settings: Settings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let io = Io {
            lanes: Lanes::start(&settings.dirs, Arc::clone(&waker))?,
            resolver: Resolver::new(Arc::clone(&waker)),
            remote: Remote::new(waker),
            settings,
            poll,
            clock: Clock::new(),
            links: Links::default(),
            listeners: Listeners::default(),
            timers: Timers::default(),
            late: VecDeque::new(),
            ended: None,
            woken: true,
            buffer: vec![0; READ_TURN],
            slots: Vec::new(),
            left: Vec::new(),
            completions: Vec::new(),
            shutdown_at: None,
            next_tick: 0,
        };
        Ok(Self { machine: make(io.clock.now())?, host, out: Outbox::new(), io })
    }

    /// For other threads.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.io.remote.clone()
    }

    /// Drives the machine to its end.
    #[must_use]
    pub fn run(mut self) -> Ended {
        let mut events = Events::with_capacity(EVENTS);
        let now = self.io.clock.now();
        self.machine.start(now, &mut self.out);
        self.carry_out(now);
        while self.io.ended.is_none() {
            self.turn(&mut events);
        }
        // A server that could not begin leaves its disk alone.
        if let Some(Ended::Halt(_)) = self.io.ended {
            self.farewell(&mut events);
        }
        self.io.lanes.stop(LANES_LIMIT);
        self.io.ended.unwrap_or(Ended::ShutdownTimeout)
    }

    fn turn(&mut self, events: &mut Events) {
        self.end_batch();
        if self.io.ended.is_some() {
            return;
        }
        self.wait(events);
        self.io.clock.look_at_the_wall();
        self.io.links.turn();
        for event in events.iter() {
            self.on_ready(event);
        }
        // What the disk has done releases answers to requests that came earlier than those that are about to be read.
        self.take_completions();
        if mem::take(&mut self.io.woken) {
            self.on_woken();
        }
        self.run_timers();
        self.accept();
        self.read();
        self.tick();
    }

    /// Hands one input over and carries out what follows from it.
    pub(crate) fn step(&mut self, input: Input<'_>) {
        if self.io.ended.is_some() {
            return;
        }
        let now = self.io.clock.now();
        self.machine.step(now, input, &mut self.out);
        self.carry_out(now);
    }

    pub(crate) fn link_event(&mut self, link: LinkId, event: LinkEvent<'_>) {
        self.step(Input::Link { link, event });
    }

    // ----- waiting -----------------------------------------------------------------------------------------------

    fn wait(&mut self, events: &mut Events) {
        let timeout = self.timeout();
        match self.io.poll.poll(events, timeout) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => events.clear(),
            Err(e) => {
                events.clear();
                self.io.ended = Some(Ended::System(format!("waiting for sockets failed: {e}")));
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let io = &self.io;
        if !io.links.is_idle() || io.listeners.any_ready() || !io.late.is_empty() {
            return Some(Duration::ZERO);
        }
        let tick = self.machine.next_deadline().map(|at| at.max(io.next_tick));
        let next = [tick, io.timers.next(), io.shutdown_at].into_iter().flatten().min()?;
        Some(io.clock.until(next))
    }

    fn on_ready(&mut self, event: &Readiness) {
        let token = event.token();
        if token == WAKER {
            self.io.woken = true;
            return;
        }
        if token.0 < PortKey::COUNT {
            self.io.listeners.get(PortKey(token.0)).ready = true;
            return;
        }
        let slot = token.0 - FIRST_TOKEN;
        let Some(link) = self.io.links.at(slot) else { return };
        if let Phase::Connecting { .. } = link.phase {
            self.on_connecting(slot);
            return;
        }
        if event.is_read_closed() {
            link.on_ending();
        }
        let id = link.id;
        if link.paused && link.is_open() && (event.is_error() || event.is_write_closed()) {
            // Nobody reads, so that nobody would notice.
            self.io.links.remove(slot);
            self.link_event(id, LinkEvent::Closed);
            return;
        }
        if event.is_writable() {
            link.on_writable();
            self.io.links.mark_dirty(slot);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.io.links.mark_ready(slot);
        }
    }

    fn on_woken(&mut self) {
        for command in self.io.remote.take() {
            if command == AdminCommand::Shutdown && self.io.shutdown_at.is_none() {
                self.io.shutdown_at = Some(self.io.clock.now().mono_ms + self.io.settings.limits.shutdown_ms);
            }
            self.step(Input::Admin(command));
        }
        for (asker, answer) in self.io.resolver.take() {
            match asker {
                Asker::Link(link) => self.io.connect_to(link, answer),
                Asker::Port(key) => self.open_port(key, answer),
            }
        }
        if self.io.lanes.is_broken() {
            self.io.ended = Some(Ended::System("a disk lane ended by a panic".to_owned()));
        }
    }

    // ----- what happened -----------------------------------------------------------------------------------------

    fn take_completions(&mut self) {
        let mut completions = mem::take(&mut self.io.completions);
        self.io.lanes.take(&mut completions);
        for (ticket, result) in completions.drain(..) {
            self.step(Input::Disk { ticket, result });
        }
        self.io.completions = completions;
    }

    fn read(&mut self) {
        let mut slots = mem::take(&mut self.io.slots);
        let mut buffer = mem::take(&mut self.io.buffer);
        self.io.links.take_ready(&mut slots);
        for slot in slots.drain(..) {
            let Some((link, result)) = self.io.links.read(slot, &mut buffer) else { continue };
            match result {
                Read1::Nothing => {}
                Read1::Bytes(n) => self.link_event(link, LinkEvent::Bytes(&buffer[..n])),
                Read1::Gone => {
                    self.link_event(link, LinkEvent::Closed);
                    self.io.let_go(slot);
                }
                Read1::Drop => self.io.links.remove(slot),
            }
        }
        self.io.buffer = buffer;
        self.io.slots = slots;
    }

    fn run_timers(&mut self) {
        let now = self.io.clock.now().mono_ms;
        while let Some(timer) = self.io.timers.pop(now) {
            match timer {
                Timer::Link(link) => self.io.link_timer(link, now),
                Timer::Bind(key) => self.listen(key),
                Timer::Accept(key) => self.io.listeners.get(key).resting = false,
            }
        }
        if self.io.shutdown_at.is_some_and(|at| at <= now) && self.io.ended.is_none() {
            warn!("the shutdown took too long: ending without it");
            self.io.ended = Some(Ended::ShutdownTimeout);
        }
    }

    fn tick(&mut self) {
        while let Some(late) = self.io.late.pop_front() {
            match late {
                Late::Closed(link) => self.link_event(link, LinkEvent::Closed),
                Late::Admin(command) => self.step(Input::Admin(command)),
            }
        }
        let now = self.io.clock.now().mono_ms;
        if now >= self.io.next_tick && self.machine.next_deadline().is_some_and(|at| at <= now) {
            self.io.next_tick = now + 1;
            self.step(Input::Tick);
        }
    }

    // ----- what goes out -----------------------------------------------------------------------------------------

    /// The disk first, so that it works while the sockets are written to; then one write a link.
    fn end_batch(&mut self) {
        for _ in 0..WRITE_ROUNDS {
            if self.io.ended.is_none() {
                let now = self.io.clock.now();
                self.machine.batch_end(now, &mut self.out);
                self.carry_out(now);
            }
            self.io.lanes.submit();
            if !self.flush() {
                break;
            }
        }
        self.io.lanes.submit();
    }

    /// Writes what is queued and reports what has left; whether anything has.
    fn flush(&mut self) -> bool {
        let mut slots = mem::take(&mut self.io.slots);
        let mut left = mem::take(&mut self.io.left);
        self.io.links.take_dirty(&mut slots);
        for slot in slots.drain(..) {
            let Some((link, flush)) = self.io.links.flush(slot) else { continue };
            if flush.left > 0 {
                left.push((link, flush.left));
            }
            if flush.over {
                self.io.links.remove(slot);
            }
        }
        self.io.slots = slots;
        let any = !left.is_empty();
        for (link, bytes) in left.drain(..) {
            if self.io.links.is_open(link) {
                self.link_event(link, LinkEvent::Drained(bytes));
            }
        }
        self.io.left = left;
        any
    }

    /// Lets what is queued leave after the end; nobody is read from any more.
    fn farewell(&mut self, events: &mut Events) {
        let until = self.io.clock.now().mono_ms + FAREWELL;
        self.io.lanes.submit();
        self.flush();
        while self.io.links.any_queued() && self.io.clock.now().mono_ms < until {
            let timeout = self.io.clock.until(until);
            if self.io.poll.poll(events, Some(timeout)).is_err() {
                return;
            }
            for event in events.iter().filter(|e| e.token().0 >= FIRST_TOKEN && e.is_writable()) {
                let slot = event.token().0 - FIRST_TOKEN;
                if let Some(link) = self.io.links.at(slot) {
                    link.on_writable();
                    self.io.links.mark_dirty(slot);
                }
            }
            self.flush();
        }
    }
}
