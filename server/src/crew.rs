//! The servers of `quorate dev`: a thread each, started again after a panic, stopped together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_core::event::{AdminCommand, Event};
use quorate_core::ids::Sid;
use quorate_net::{Ended, Remote};
use tracing::{error, warn};

use crate::config::ServerConfig;
use crate::exit::Exit;
use crate::logging;
use crate::member;

/// Pause before a server that panicked runs again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// From the signal to the end, whatever the servers do.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    remotes: Mutex<Vec<Option<Remote>>>,
}

impl Shared {
    fn remotes(&self) -> MutexGuard<'_, Vec<Option<Remote>>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
    /// Makes a server known to [`Stop::stop`]; one that begins after the stop is told at once.
    fn enlist(&self, at: usize, remote: Remote) {
        let mut remotes = self.remotes();
        if self.is_stopping() {
            remote.send(AdminCommand::Shutdown);
        }
        remotes[at] = Some(remote);
    }
}

/// Stops all servers.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Shared>);

impl Stop {
    /// Asks all servers to shut down.
    pub fn stop(&self) {
        let remotes = self.0.remotes();
        self.0.stopping.store(true, Ordering::SeqCst);
        remotes.iter().flatten().for_each(|r| r.send(AdminCommand::Shutdown));
    }
}

/// News of the servers.
enum News {
    /// One leads, or serves alone.
    Ready,
    /// One has ended for good.
    Ended(Exit),
}

/// All servers of one process.
#[derive(Debug)]
pub struct Crew {
    shared: Arc<Shared>,
    news: Receiver<News>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for News {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Ready) { "Ready" } else { "Ended" })
    }
}

impl Crew {
    /// Starts a thread for each configuration.
    pub fn start(configs: Vec<ServerConfig>) -> std::io::Result<Self> {
        let (sender, news) = channel();
        let shared = Arc::new(Shared::default());
        shared.remotes().resize(configs.len(), None);
        let mut threads = Vec::new();
        for (at, config) in configs.into_iter().enumerate() {
            let (shared, news) = (shared.clone(), sender.clone());
            let thread = thread::Builder::new().name(format!("server-{}", config.peer.sid));
            threads.push(thread.spawn(move || {
                let exit = keep_running(&shared, at, &config, &news);
                let _ = news.send(News::Ended(exit));
            })?);
        }
        Ok(Self { shared, news, threads })
    }

    /// For the signal handler.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        Stop(self.shared.clone())
    }

    /// Waits until all have ended; `ready` is called when clients can be served for the first time. When one cannot go on, all
    /// end. The exit code is that of the first one that did not end well.
    #[must_use]
    pub fn wait(self, mut ready: impl FnMut()) -> Exit {
        let (mut exit, mut left, mut told) = (Exit::Clean, self.threads.len(), false);
        let mut until: Option<Instant> = None;
        while left > 0 {
            let news = match until {
                None if self.shared.is_stopping() => {
                    until = Some(Instant::now() + STOP_LIMIT);
                    continue;
                }
                None => self.news.recv_timeout(Duration::from_millis(200)).ok(),
                Some(until) => match self.news.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(news) => Some(news),
                    Err(_) => {
                        warn!("{left} servers did not end in time: ending without them");
                        return exit;
                    }
                },
            };
            match news {
                Some(News::Ready) if !told => {
                    told = true;
                    ready();
                }
                Some(News::Ended(how)) => {
                    left -= 1;
                    if exit == Exit::Clean {
                        exit = how;
                    }
                    self.stopper().stop();
                }
                Some(News::Ready) | None => {}
            }
        }
        self.threads.into_iter().for_each(|t| drop(t.join()));
        exit
    }
}

/// Runs one server, again after each panic: that is one server's end, not the ensemble's.
fn keep_running(shared: &Shared, at: usize, config: &ServerConfig, news: &Sender<News>) -> Exit {
    logging::set_thread_id(config.peer.sid);
    loop {
        let run = AssertUnwindSafe(|| run_once(shared, at, config, news));
        match catch_unwind(run) {
            Ok(ended) => return member::report(&ended),
            Err(_) if shared.is_stopping() => return Exit::Unexpected,
            Err(_) => panicked(config.peer.sid),
        }
        thread::sleep(RESTART_PAUSE);
    }
}

fn panicked(sid: Sid) {
    error!("server {sid} panicked (that is a bug of ours); it starts again, with what is on its disk");
}

fn run_once(shared: &Shared, at: usize, config: &ServerConfig, news: &Sender<News>) -> Ended {
    let ready = news.clone();
    let listener = move |event: &Event| {
        if let Event::Established { .. } = event {
            let _ = ready.send(News::Ready);
        }
    };
    let servers = shared.remotes().len();
    match member::build(config.clone(), servers, Some(Box::new(listener))) {
        Ok(member) => {
            shared.enlist(at, member.remote());
            member.run()
        }
        Err(e) => Ended::System(format!("server {} cannot start: {e}", config.peer.sid)),
    }
}
