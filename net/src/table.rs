//! All connections: slots for the poller, names for the core.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use quorate_core::event::Port;
use quorate_core::ids::LinkId;

use crate::link::{Flush1, Link, Phase, Read1};
use crate::outqueue::Spares;

/// Tokens below are not links.
pub(crate) const FIRST_TOKEN: usize = 16;
/// Low bits of an accepted link's name are its slot, so that finding it costs nothing; the bits above count up.
const SLOT_BITS: u32 = 20;
/// Most links at once.
const SLOTS_MAX: usize = 1 << SLOT_BITS;

/// The connections of one server.
#[derive(Debug, Default)]
pub(crate) struct Links {
    slots: Vec<Option<Link>>,
    free: Vec<usize>,
    /// Free from the next turn on: events of this turn may still name them.
    freed: Vec<usize>,
    /// Slots of links that the core named.
    named: HashMap<LinkId, usize>,
    accepted: u64,
    dirty: Vec<usize>,
    ready: Vec<usize>,
    spares: Spares,
}

impl Links {
    // ----- coming and going --------------------------------------------------------------------------------------

    /// A link that was accepted.
    pub(crate) fn accept(&mut self, port: Port, stream: TcpStream, registry: &Registry) -> io::Result<LinkId> {
        let slot = self.vacant().ok_or_else(|| io::Error::other("too many connections"))?;
        self.accepted += 1;
        let id = LinkId(LinkId::ACCEPTED | (self.accepted << SLOT_BITS) | slot as u64);
        let mut link = Link::new(id, port, Phase::Open, Some(stream));
        if let Err(e) = register(&mut link, slot, registry) {
            self.free.push(slot);
            return Err(e);
        }
        self.slots[slot] = Some(link);
        Ok(id)
    }

    /// A link that the core asked for, without a connection yet.
    pub(crate) fn name(&mut self, id: LinkId, port: Port) -> bool {
        let Some(slot) = self.vacant() else { return false };
        self.named.insert(id, slot);
        self.slots[slot] = Some(Link::new(id, port, Phase::Resolving, None));
        true
    }

    fn vacant(&mut self) -> Option<usize> {
        self.free.pop().or_else(|| {
            let slot = self.slots.len();
            (slot < SLOTS_MAX).then(|| {
                self.slots.push(None);
                slot
            })
        })
    }

    /// Forgets a link; its socket closes.
    pub(crate) fn remove(&mut self, slot: usize) {
        let Some(mut link) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        link.out.clear(&mut self.spares);
        if !link.id.is_accepted() {
            self.named.remove(&link.id);
        }
        self.freed.push(slot);
    }

    /// Begins a turn of the loop.
    pub(crate) fn turn(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len() - self.freed.len()
    }

    // ----- finding -----------------------------------------------------------------------------------------------

    pub(crate) fn slot(&self, id: LinkId) -> Option<usize> {
        let slot = if id.is_accepted() {
            usize::try_from(id.0 & (SLOTS_MAX as u64 - 1)).ok()?
        } else {
            *self.named.get(&id)?
        };
        self.slots.get(slot)?.as_ref().is_some_and(|l| l.id == id).then_some(slot)
    }
    pub(crate) fn at(&mut self, slot: usize) -> Option<&mut Link> {
        self.slots.get_mut(slot)?.as_mut()
    }
    pub(crate) fn is_open(&self, id: LinkId) -> bool {
        self.slot(id).and_then(|slot| self.slots[slot].as_ref()).is_some_and(Link::is_open)
    }
    /// The other end.
    pub(crate) fn remote(&self, id: LinkId) -> Option<SocketAddr> {
        let stream = self.slots[self.slot(id)?].as_ref()?.stream.as_ref()?;
        stream.peer_addr().ok().map(canonical)
    }
    /// Whether a link has something to send, whether or not the core knows it still.
    pub(crate) fn any_queued(&self) -> bool {
        self.slots.iter().flatten().any(|l| !l.out.is_empty())
    }

    // ----- moving bytes ------------------------------------------------------------------------------------------

    /// Queues bytes, by `fill`.
    pub(crate) fn send(&mut self, id: LinkId, fill: impl FnOnce(&mut Link, &mut Spares)) {
        let Some(slot) = self.slot(id) else { return };
        let Some(link) = self.slots[slot].as_mut().filter(|l| l.accepts()) else { return };
        fill(link, &mut self.spares);
        self.mark_dirty(slot);
    }

    pub(crate) fn mark_dirty(&mut self, slot: usize) {
        if let Some(link) = self.slots[slot].as_mut()
            && !link.dirty
            && link.wants_write()
        {
            link.dirty = true;
            self.dirty.push(slot);
        }
    }

    pub(crate) fn mark_ready(&mut self, slot: usize) {
        if let Some(link) = self.slots[slot].as_mut()
            && !link.ready
        {
            link.ready = true;
            self.ready.push(slot);
        }
    }

    /// Whether there is work without waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.ready.is_empty()
    }

    /// Moves the links to read from, or to write to, into `list`.
    pub(crate) fn take_ready(&mut self, list: &mut Vec<usize>) {
        mem::swap(&mut self.ready, list);
    }
    pub(crate) fn take_dirty(&mut self, list: &mut Vec<usize>) {
        mem::swap(&mut self.dirty, list);
    }

    /// One read of a link out of the ready list.
    pub(crate) fn read(&mut self, slot: usize, buffer: &mut [u8]) -> Option<(LinkId, Read1)> {
        let link = self.slots[slot].as_mut()?;
        if !mem::take(&mut link.ready) {
            return None;
        }
        let result = link.read(buffer);
        let id = link.id;
        if link.ready {
            self.ready.push(slot);
        }
        Some((id, result))
    }

    /// Writes to a link out of the dirty list.
    pub(crate) fn flush(&mut self, slot: usize) -> Option<(LinkId, Flush1)> {
        let link = self.slots[slot].as_mut()?;
        if !mem::take(&mut link.dirty) {
            return None;
        }
        let was_ready = link.ready;
        let result = link.flush(&mut self.spares);
        let id = link.id;
        if link.dirty {
            self.dirty.push(slot);
        }
        if link.ready && !was_ready {
            self.ready.push(slot);
        }
        Some((id, result))
    }

    // ----- connecting --------------------------------------------------------------------------------------------

    /// Tries the next address of a link; false when there is none left.
    pub(crate) fn connect_next(&mut self, slot: usize, registry: &Registry) -> bool {
        let Some(link) = self.slots[slot].as_mut() else { return true };
        link.stream = None;
        let Phase::Connecting { rest } = &mut link.phase else { return true };
        while let Some(address) = rest.pop() {
            if let Ok(stream) = TcpStream::connect(address) {
                link.stream = Some(stream);
                if register(link, slot, registry).is_ok() {
                    return true;
                }
                link.stream = None;
                return false;
            }
        }
        false
    }

    /// The addresses that a link shall try, in order.
    pub(crate) fn addresses(&mut self, slot: usize, mut addresses: Vec<SocketAddr>) {
        addresses.reverse();
        if let Some(link) = self.slots[slot].as_mut() {
            link.phase = Phase::Connecting { rest: addresses };
        }
    }
}

/// Both interests once: no system call when a queue fills or drains.
fn register(link: &mut Link, slot: usize, registry: &Registry) -> io::Result<()> {
    match &mut link.stream {
        Some(stream) => registry.register(stream, Token(slot + FIRST_TOKEN), Interest::READABLE | Interest::WRITABLE),
        None => Ok(()),
    }
}

/// An IPv4 address as such, also where the socket is of both families.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
