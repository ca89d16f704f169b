//! What surrounds one Peer in a process: its log lines, its counters, the texts of its four-letter words.

use std::net::SocketAddr;
use std::sync::Arc;

use quorate_core::event::{AdminCommand, Event, Port, Role};
use quorate_core::ids::{Millis, Now};
use quorate_net::{FourLetterReply, Host};
use tracing::info;

use crate::config::ServerConfig;
use crate::events::EventLog;
use crate::four_letter;
use crate::metrics::Metrics;
use crate::recording::Recorded;
use crate::source::PeerSource;

/// Somebody else who wants to know.
pub type Listener = Box<dyn FnMut(&Event) + Send>;

/// One server's surroundings.
pub struct ServerHost {
    config: Arc<ServerConfig>,
    log: EventLog,
    metrics: Metrics,
    leading_since: Millis,
    listener: Option<Listener>,
}

impl ServerHost {
    /// For this server.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>, listener: Option<Listener>) -> Self {
        let log = EventLog::new(config.peer.sid, config.fsync_warning_ms);
        Self { config, log, metrics: Metrics::default(), leading_since: 0, listener }
    }
}

impl Host<Recorded> for ServerHost {
    fn event(&mut self, now: Now, event: &Event) {
        self.metrics.observe(event);
        self.log.write(now.mono_ms, event);
        if let Event::RoleChanged { role: Role::Leading, .. } = event {
            self.leading_since = now.mono_ms;
        }
        if let Some(listener) = &mut self.listener {
            listener(event);
        }
    }

    fn four_letter(
        &mut self,
        now: Now,
        machine: &Recorded,
        asker: Option<SocketAddr>,
        word: [u8; 4],
    ) -> FourLetterReply {
        let peer = &machine.peer;
        let (config, metrics) = (&*self.config, &self.metrics);
        let source = PeerSource { peer, now, asker, config, metrics, leading_since: self.leading_since };
        let text = four_letter::answer(word, config, &source);
        let command = match &word {
            _ if !peer.serving() => None,
            b"srst" => {
                self.metrics.reset();
                Some(AdminCommand::ResetStats)
            }
            b"crst" => Some(AdminCommand::ResetConnectionStats),
            _ => None,
        };
        FourLetterReply { text, command }
    }

    fn listening(&mut self, port: Port, address: SocketAddr) {
        match port {
            Port::Client => info!("binding to port {address}"),
            Port::Election => info!("Election port bind: {address}"),
            Port::Quorum => info!("Listening for learners on {address}"),
        }
    }
}
