//! Names to addresses, anew each time, never on the loop's thread.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use mio::Waker;
use quorate_core::ids::LinkId;

use crate::timers::PortKey;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Link(LinkId),
    Port(PortKey),
}

/// Addresses in the order in which they shall be tried, or what is wrong.
pub(crate) type Answer = Result<Vec<SocketAddr>, String>;
type Answers = Arc<Mutex<Vec<(String, Answer)>>>;

/// One thread for each name being looked up: a name that takes long holds up no other.
#[derive(Debug)]
pub(crate) struct Resolver {
    waiting: BTreeMap<String, Vec<Asker>>,
    answers: Answers,
    waker: Arc<Waker>,
}

impl Resolver {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { waiting: BTreeMap::new(), answers: Arc::default(), waker }
    }

    /// The answer, where it needs no look-up; otherwise it comes by [`Resolver::take`].
    pub(crate) fn ask(&mut self, address: &str, asker: Asker) -> Option<Answer> {
        let (host, port) = match split(address) {
            Ok(parts) => parts,
            Err(what) => return Some(Err(what)),
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(Ok(vec![SocketAddr::new(ip, port)]));
        }
        if let Some(askers) = self.waiting.get_mut(address) {
            askers.push(asker);
            return None;
        }
        let (name, host) = (address.to_owned(), host.to_owned());
        let (answers, waker) = (self.answers.clone(), self.waker.clone());
        let look_up = move || {
            let answer = match (&*host, port).to_socket_addrs() {
                Ok(found) => Ok(found.collect()),
                Err(e) => Err(format!("{host}: {e}")),
            };
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((name, answer));
            let _ = waker.wake();
        };
        if let Err(e) = thread::Builder::new().name("resolver".into()).spawn(look_up) {
            return Some(Err(format!("{address}: no thread for the look-up: {e}")));
        }
        self.waiting.insert(address.to_owned(), vec![asker]);
        None
    }

    /// Answers that have come, one for each asker.
    pub(crate) fn take(&mut self) -> Vec<(Asker, Answer)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let answers = std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        let mut out = Vec::new();
        for (name, answer) in answers {
            for asker in self.waiting.remove(&name).unwrap_or_default() {
                out.push((asker, answer.clone()));
            }
        }
        out
    }
}

/// `host:port`; brackets around an IPv6 address come off.
fn split(address: &str) -> Result<(&str, u16), String> {
    let wrong = || format!("{address}: expected host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    Ok((host, port.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn addresses() {
        assert_eq!(split("zk1:2888"), Ok(("zk1", 2888)));
        assert_eq!(split("[::1]:2888"), Ok(("::1", 2888)));
        assert_eq!(split("::1:2888"), Ok(("::1", 2888)));
        assert!(split("zk1").is_err() && split("zk1:x").is_err());
    }
}
