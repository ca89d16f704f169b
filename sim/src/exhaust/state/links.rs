//! Connections: between servers, and the client's.

use bytes::Bytes;
use quorate_core::event::{Input, LinkEvent, Port};
use quorate_core::ids::{LinkId, Millis};

use super::{Soon, State, remote};
use crate::exhaust::client::{Client, Tell};
use crate::exhaust::machine::{Conn, number};
use crate::node;

impl State {
    pub(super) fn dial(&mut self, n: usize, link: LinkId, address: &str) {
        let target = node::resolve(address)
            .filter(|(to, port)| self.machines.get(*to).is_some_and(|m| m.is_up() && m.listening[number(*port)]));
        let Some((to, port)) = target else {
            return self.soon.push_back(Soon::Refused { node: n, life: self.machines[n].life, link });
        };
        let accepted = self.machine(to).accept();
        self.next_conn += 1;
        self.conns.push(Conn::new(self.next_conn, port, (n, link), (to, accepted)));
        self.soon.push_back(Soon::Open(self.next_conn));
    }

    /// The open connection with this name at this server, and which end of it that is.
    pub(super) fn find(&self, n: usize, link: LinkId) -> Option<(usize, usize)> {
        let here = |c: &Conn| c.ends.iter().position(|end| end.node == n && end.link == link && end.open);
        self.conns.iter().enumerate().find_map(|(i, c)| here(c).map(|e| (i, e)))
    }

    /// Something was put on its way to this end: on an election connection it arrives at once.
    pub(super) fn announce(&mut self, i: usize, e: usize) {
        let c = &self.conns[i];
        if c.port == Port::Election {
            self.soon.push_back(Soon::Arrive { conn: c.id, end: e });
        }
    }

    pub(super) fn send(&mut self, n: usize, link: LinkId, bytes: &Bytes) {
        let life = self.machines[n].life;
        self.soon.push_back(Soon::Drained { node: n, life, link, bytes: bytes.len() });
        if self.client.at == Some((n, link)) {
            return self.soon.push_back(Soon::Reply { node: n, life, link, bytes: bytes.clone() });
        }
        let Some((i, e)) = self.find(n, link) else { return };
        let inbound = &mut self.conns[i].ends[1 - e].inbound;
        inbound.push_back(Some(bytes.clone()));
        self.announce(i, 1 - e);
    }

    pub(super) fn close(&mut self, n: usize, link: LinkId) {
        if self.client.at == Some((n, link)) {
            return self.with_client(|client, _, tell| client.lost(tell));
        }
        if let Some((i, e)) = self.find(n, link) {
            self.conns[i].close(e, false);
            self.announce(i, 1 - e);
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        for i in 0..self.conns.len() {
            let nodes = [0, 1].map(|e| self.conns[i].ends[e].node);
            if self.conns[i].port != Port::Quorum || (nodes != [a, b] && nodes != [b, a]) {
                continue;
            }
            for end in self.conns[i].ends.iter_mut().filter(|end| end.open) {
                end.inbound.clear();
                end.inbound.push_back(None);
            }
        }
    }

    pub(super) fn arrive(&mut self, id: u64, e: usize) {
        let Some(c) = self.conns.iter_mut().find(|c| c.id == id).filter(|c| c.arrives(e)) else { return };
        let end = &mut c.ends[e];
        let (node, link) = (end.node, end.link);
        match end.inbound.pop_front() {
            Some(Some(bytes)) => self.step(node, Input::Link { link, event: LinkEvent::Bytes(&bytes) }),
            Some(None) => {
                end.open = false;
                self.step(node, Input::Link { link, event: LinkEvent::Closed });
            }
            None => {}
        }
    }

    pub(super) fn attach(&mut self, n: usize) {
        self.detach();
        let link = self.machine(n).accept();
        self.step(n, Input::Link { link, event: LinkEvent::Opened { port: Port::Client, remote: remote(n) } });
        let bytes = self.client.connected(n, link);
        self.client_says(&bytes);
    }

    pub(super) fn detach(&mut self) {
        let Some((n, link)) = self.client.at else { return };
        self.with_client(|client, _, tell| client.lost(tell));
        self.step(n, Input::Link { link, event: LinkEvent::Closed });
    }

    pub(super) fn client_says(&mut self, bytes: &[u8]) {
        if let Some((n, link)) = self.client.at
            && !bytes.is_empty()
        {
            self.step(n, Input::Link { link, event: LinkEvent::Bytes(bytes) });
        }
    }

    pub(super) fn with_client<R>(&mut self, f: impl FnOnce(&mut Client, Millis, Tell<'_>) -> R) -> R {
        let mut client = std::mem::replace(&mut self.client, Client::new());
        let now = self.now;
        let result = f(&mut client, now, &mut |obs| self.tell(obs));
        self.client = client;
        result
    }
}
