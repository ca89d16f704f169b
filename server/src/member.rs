//! One server of this process: from its configuration to its end.

use std::io;
use std::sync::Arc;

use quorate_core::event::Halt;
use quorate_net::disk::DataDirs;
use quorate_net::{Driver, Ended, Limits, Ports, Settings};
use tracing::{error, info, warn};

use crate::config::ServerConfig;
use crate::data_dir::{SIDE_DIR, VERSION_DIR};
use crate::exit::Exit;
use crate::host::{Listener, ServerHost};
use crate::process;
use crate::recording::Recorded;

/// A server that can run.
pub type Member = Driver<Recorded, ServerHost>;

/// Descriptors of a server that clients cannot take: its files, the poller, connections of other servers, look-ups.
const FILES_RESERVED: usize = 128;

/// Builds a server, one of `servers` in this process; its directories are ready. Nothing is opened before it runs.
pub fn build(config: ServerConfig, servers: usize, listener: Option<Listener>) -> io::Result<Member> {
    let settings = settings(&config, servers);
    let (peer_config, record) = (config.peer.clone(), config.record.clone());
    let host = ServerHost::new(Arc::new(config), listener);
    Driver::new(|now| Recorded::new(peer_config, now, record.as_ref()), host, settings)
}

fn settings(config: &ServerConfig, servers: usize) -> Settings {
    // Unknown is no limit.
    let links = match usize::try_from(process::max_files()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(files) => files.saturating_sub(FILES_RESERVED * servers).max(servers),
    };
    Settings {
        ports: Ports {
            client: config.client.clone(),
            election: config.election.clone(),
            quorum: config.quorum.clone(),
            client_backlog: config.backlog,
            election_bind_tries: config.election_bind_tries,
            client_keep_alive: config.client_keep_alive,
            quorum_keep_alive: config.quorum_keep_alive,
        },
        dirs: DataDirs {
            data: config.data_dir.join(VERSION_DIR),
            log: config.data_log_dir.join(VERSION_DIR),
            side: config.data_dir.join(SIDE_DIR),
            base: config.data_dir.clone(),
        },
        limits: Limits { links: links / servers, connect_ms: config.peer.timing.cnx_timeout_ms, ..Limits::default() },
    }
}

/// Logs how a server ended; the exit code that tells it.
#[must_use]
pub fn report(ended: &Ended) -> Exit {
    match ended {
        Ended::Halt(Halt::Shutdown) => {
            info!("shutdown of this server is complete");
            Exit::Clean
        }
        Ended::ShutdownTimeout => {
            warn!("ended without an orderly shutdown; everything acknowledged is on disk");
            Exit::Clean
        }
        Ended::Halt(Halt::Disk(what)) => {
            error!("the disk failed, this server must not go on: {what}; start it again when the disk is right");
            Exit::TxnLog
        }
        Ended::Halt(Halt::BadData(what)) => {
            error!("the data directory cannot be used: {what}");
            Exit::TxnLog
        }
        Ended::ClientPort(what) | Ended::System(what) => {
            error!("{what}");
            Exit::Unexpected
        }
        Ended::ElectionPort(what) => {
            error!("{what}");
            Exit::ElectionPort
        }
    }
}
