//! From values to a server's configuration: what depends on other values, on files, and on each other.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use quorate_core::config::{Configuration, Ensemble, Member};
use quorate_core::ids::Sid;

use super::members::{self, Line};
use super::problem::{ConfigError, Origin, Problem};
use super::settings::Settings;
use super::{ListenAddress, ServerConfig, properties};
use crate::recording::RecordTo;

/// Least slack of a transaction above jute.maxbuffer, as in Java.
const LEAST_EXTRA: i64 = 1024;
/// Fewer snapshots than this are never kept.
const LEAST_RETAINED: i64 = 3;

/// What the file `myid` says.
#[derive(Clone, Copy)]
enum MyId {
    /// There is none.
    Missing,
    /// It has been reported.
    Unusable,
    /// The own id.
    Is(Sid),
}

/// What the parser found.
pub(super) struct Input<'a> {
    pub(super) settings: Settings,
    pub(super) members: Vec<Line>,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Problem>,
    /// Where each key was set last.
    pub(super) origins: BTreeMap<&'static str, Origin>,
    pub(super) file: Option<&'a Path>,
}

impl Input<'_> {
    pub(super) fn build(mut self) -> Result<ServerConfig, ConfigError> {
        let listed = self.ensemble();
        self.limits();
        self.authentication();
        let Some(data_dir) = self.settings.data_dir.clone().map(PathBuf::from) else {
            self.problem("dataDir", "dataDir is not set");
            return Err(ConfigError::invalid(self.problems));
        };
        let data_log_dir = self.settings.data_log_dir.clone().map_or_else(|| data_dir.clone(), PathBuf::from);
        for (key, dir) in [("dataDir", &data_dir), ("dataLogDir", &data_log_dir)] {
            if dir.is_relative() && !dir.starts_with(".") && self.origins.contains_key(key) {
                self.warn(key, format!("{} is relative. Prepend ./ to indicate that you're sure!", dir.display()));
            }
        }
        let my_id = self.my_id(&data_dir);
        let sid = if let MyId::Is(sid) = my_id { Some(sid) } else { None };
        let ensemble = listed.filter(|e| self.distributed(e));
        let me = sid.and_then(|sid| ensemble.as_ref()?.member(sid)).cloned();
        if ensemble.is_some() {
            self.replicated(my_id, me.as_ref());
        }
        let client = self.client(me.as_ref());
        if client.is_none() {
            self.warnings.push("clientPort is not set: no client can connect to this server".to_owned());
        }
        let (quorum, election) = match &me {
            Some(me) => (Some(self.between_servers(&me.quorum)), Some(self.between_servers(&me.election))),
            None => (None, None),
        };
        self.unsafe_switches();
        if ensemble.is_none() && self.settings.peer.features.local_sessions {
            // As in Java: sessions of a server alone survive its restarts, which local ones do not.
            self.warn("localSessionsEnabled", "has no effect on a server alone: its sessions are global");
            self.settings.peer.features.local_sessions = false;
            self.settings.peer.features.local_sessions_upgrading = false;
        }
        let s = self.settings;
        let mut peer = s.peer;
        peer.kind = me.as_ref().map_or(s.peer_type.unwrap_or_default(), |m| m.kind);
        peer.sid = if ensemble.is_some() { sid.unwrap_or_default() } else { Sid(1) };
        peer.ensemble = ensemble.map(Configuration::new);
        peer.seed = RandomState::new().build_hasher().finish();
        if !self.problems.is_empty() {
            return Err(ConfigError::invalid(self.problems));
        }
        Ok(ServerConfig {
            peer,
            client,
            quorum,
            election,
            backlog: s.backlog,
            election_bind_tries: Some(s.election_bind_retries).filter(|n| *n > 0),
            quorum_keep_alive: s.quorum_keep_alive,
            client_keep_alive: s.client_keep_alive,
            fsync_warning_ms: s.fsync_warning_ms,
            legacy_date: s.legacy_date,
            data_dir,
            data_log_dir,
            datadir_autocreate: s.datadir_autocreate,
            record: s.record.map(|file| RecordTo { file: file.into(), size: s.record_mib.unsigned_abs() << 20 }),
            warnings: self.warnings,
        })
    }

    /// A problem of this key, at the place where it was set; of the file where it was not.
    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>) {
        let mut problem = Problem::new(what);
        if let Some(origin) = self.origins.get(key) {
            problem = problem.from(origin.clone()).key(key);
        } else if let Some(file) = self.file {
            problem = problem.from(Origin::File(file.display().to_string()));
        }
        self.problems.push(problem);
    }

    pub(super) fn warn(&mut self, key: &str, what: impl Into<String>) {
        let what = what.into();
        self.warnings.push(match self.origins.get(key) {
            Some(origin) => format!("{origin}: {key}: {what}"),
            None => what,
        });
    }

    /// The members, from this file or from the dynamic one. `None`: no line at all.
    fn ensemble(&mut self) -> Option<Ensemble> {
        let mut lines = std::mem::take(&mut self.members);
        if let Some(file) = self.settings.dynamic_file.clone() {
            for line in lines.iter().filter(|l| l.key != "version") {
                let what = format!("parameter: {} must be in a separate dynamic config file", line.key);
                self.problems.push(Problem::new(what).from(line.origin.clone()));
            }
            lines = self.dynamic(&file)?;
        }
        if let Some(file) = self.file {
            let next = PathBuf::from(format!("{}.dynamic.next", file.display()));
            if next.exists() {
                let next = next.display();
                self.warnings.push(format!("{next}: ignored: there is no reconfiguration yet that could complete it"));
            }
        }
        match members::parse(&lines, self.settings.multi_address) {
            Ok(ensemble) => Some(ensemble).filter(|e| !e.members.is_empty()),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    fn dynamic(&mut self, file: &str) -> Option<Vec<Line>> {
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(e) => {
                self.problem("dynamicConfigFile", format!("Error processing {file}: {e}"));
                return None;
            }
        };
        let entries = match properties::parse(file, &bytes) {
            Ok(properties) => properties.entries,
            Err(problems) => {
                self.problems.extend(problems);
                return None;
            }
        };
        let mut lines: Vec<Line> = Vec::new();
        for entry in entries {
            let origin = Origin::Line(file.to_owned(), entry.line);
            if !members::is_member_key(&entry.key) {
                let what =
                    format!("Unrecognised parameter: {}; expected server.N, group.G, weight.N or version", entry.key);
                self.problems.push(Problem::new(what).from(origin));
                continue;
            }
            lines.retain(|l| l.key != entry.key);
            lines.push(Line { key: entry.key, value: entry.value, origin });
        }
        // A version in the file's name (`zoo.cfg.dynamic.100000000`) goes before one inside.
        if let Some((_, version)) = file.rsplit_once(".dynamic.").filter(|(_, v)| members::hexadecimal(v).is_ok()) {
            lines.retain(|l| l.key != "version");
            lines.push(Line { key: "version".into(), value: version.into(), origin: Origin::File(file.to_owned()) });
        }
        Some(lines)
    }

    /// The content of `myid`, where the file is.
    fn my_id(&mut self, data_dir: &Path) -> MyId {
        let path = data_dir.join("myid");
        if !path.is_file() {
            return MyId::Missing;
        }
        let mut refuse = |what: String| {
            self.problems.push(Problem::new(what).from(Origin::File(path.display().to_string())));
            MyId::Unusable
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) => return refuse(format!("cannot be read: {e}")),
        };
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().next().unwrap_or_default().trim();
        match line.parse::<i64>() {
            Ok(sid) if sid >= 0 => MyId::Is(Sid(sid)),
            _ => {
                let shown: String = line.chars().take(40).collect();
                refuse(format!("serverid {shown} is not a number; expected one line with the N of server.N"))
            }
        }
    }

    /// Whether these lines make an ensemble; otherwise the server runs alone.
    fn distributed(&mut self, listed: &Ensemble) -> bool {
        let voters = listed.voters().count();
        let observers = listed.members.len() - voters;
        match voters {
            0 => self.problem("", "Observers w/o participants is an invalid configuration"),
            1 if self.settings.standalone_enabled => {
                if observers > 0 {
                    self.problem("", "Observers w/o quorum is an invalid configuration");
                }
                self.warnings.push(
                    "only one server specified: it runs alone, its server line is ignored (standaloneEnabled=false would \
                     make it an ensemble of one)"
                        .to_owned(),
                );
                return false;
            }
            2 => self.warnings.push("No server failure will be tolerated. You need at least 3 servers.".to_owned()),
            n if n % 2 == 0 => {
                self.warnings.push("Non-optimal configuration, consider an odd number of servers.".to_owned());
            }
            _ => {}
        }
        let mut elections: Vec<&str> = listed.members.iter().map(|m| &*m.election).collect();
        elections.sort_unstable();
        for pair in elections.windows(2).filter(|p| p[0] == p[1]) {
            self.warnings.push(format!("two servers have the election address {}", pair[0]));
        }
        true
    }

    fn replicated(&mut self, my_id: MyId, me: Option<&Member>) {
        match self.settings.init_limit {
            Some(limit) => self.settings.peer.timing.init_limit = limit,
            None => self.problem("", "initLimit is not set; expected a number of ticks, as in initLimit=10"),
        }
        match self.settings.sync_limit {
            Some(limit) => self.settings.peer.timing.sync_limit = limit,
            None => self.problem("", "syncLimit is not set; expected a number of ticks, as in syncLimit=5"),
        }
        let sid = match my_id {
            MyId::Is(sid) => sid,
            MyId::Unusable => return,
            MyId::Missing => {
                self.problem(
                    "",
                    "myid file is missing; expected it in dataDir, with the N of this server's server.N line",
                );
                return;
            }
        };
        let Some(me) = me else {
            let what =
                format!("My id {sid} not in the peer list; expected a line server.{sid}, or another number in myid");
            self.problem("", what);
            return;
        };
        if self.settings.peer_type.is_some_and(|kind| kind != me.kind) {
            self.warn("peerType", "doesn't match the servers list. Defaulting to servers list.");
        }
        if self.settings.peer.features.extended_types && sid.0 > 254 {
            self.problem("extendedTypesEnabled", format!("server id {sid} is too large; expected at most 254 with it"));
        } else if self.settings.peer.features.emulate_353 && sid.0 > 127 {
            self.problem("emulate353TTLNodes", format!("server id {sid} is too large; expected at most 127 with it"));
        } else if sid.0 > 255 {
            self.warnings
                .push(format!("server id {sid}: session ids carry only its low byte, ids above 255 may collide"));
        }
    }

    /// The client listener: the client part of the own server line, or clientPort.
    fn client(&mut self, me: Option<&Member>) -> Option<ListenAddress> {
        let port = self.settings.client_port;
        let host = self.settings.client_address.take();
        if port == 0 && host.is_some() {
            self.problem("clientPortAddress", "clientPortAddress is set but clientPort is not set");
        }
        let fixed = (port != 0).then(|| ListenAddress { host: host.filter(|h| !is_any(h)), port });
        let Some(text) = me.and_then(|m| m.client.as_deref()) else { return fixed };
        let listed = listen(text);
        if let Some(fixed) = fixed
            && (fixed.port != listed.port || !same_host(fixed.host.as_deref(), listed.host.as_deref()))
        {
            let what = format!(
                "client address for this server (id = {}) in static config file is {fixed} is different from client \
                 address found in dynamic file: {listed}",
                me.map_or(0, |m| m.sid.0)
            );
            self.problem("clientPort", what);
        }
        Some(listed)
    }

    fn between_servers(&self, address: &str) -> ListenAddress {
        let mut listen = listen(address);
        if self.settings.listen_on_all_ips {
            listen.host = None;
        }
        listen
    }

    /// Bounds that depend on others.
    fn limits(&mut self) {
        let s = &mut self.settings;
        let timing = &mut s.peer.timing;
        timing.init_limit = s.init_limit.unwrap_or(timing.init_limit);
        timing.sync_limit = s.sync_limit.unwrap_or(timing.sync_limit);
        timing.min_session_ms = s.min_session.unwrap_or(2 * timing.tick_ms);
        timing.max_session_ms = s.max_session.unwrap_or(20 * timing.tick_ms);
        s.peer.limits.requests.drop_late = s.drop_stale && s.latency_check;
        let (min, max) = (timing.min_session_ms, timing.max_session_ms);
        let notifications = (timing.min_notification_ms, timing.max_notification_ms);
        let max_frame = i64::try_from(s.peer.limits.frame_max).unwrap_or(i64::MAX);
        let extra = s.frame_extra.unwrap_or(max_frame);
        s.peer.limits.frame_extra = usize::try_from(extra.max(LEAST_EXTRA)).unwrap_or(0);
        if s.weigh_connects {
            let connects = &mut s.peer.limits.connects;
            (connects.global_weight, connects.local_weight, connects.renew_weight) = s.connect_weights;
        }
        let retained = s.retain_count;
        s.peer.storage.retain_count = usize::try_from(retained.max(LEAST_RETAINED)).unwrap_or(3);
        if min > max {
            let what = format!("minSessionTimeout must not be larger than maxSessionTimeout ({min} ms, {max} ms)");
            self.problem("minSessionTimeout", what);
        }
        if self.settings.peer.features.emulate_353 && !self.settings.peer.features.extended_types {
            self.warn("emulate353TTLNodes", "no effect without extendedTypesEnabled=true");
        }
        if self.settings.peer.limits.requests.max_requests == 0 {
            for key in ["throttled_op_wait_time", "request_stale_latency_check"] {
                if self.origins.contains_key(key) {
                    self.warn(key, "no effect without request_throttle_max_requests");
                }
            }
        }
        if notifications.0 > notifications.1 {
            self.problem(
                "fastleader.minNotificationInterval",
                "must not be larger than fastleader.maxNotificationInterval",
            );
        }
        if extra < LEAST_EXTRA {
            self.warn("jute.maxbuffer.extrasize", format!("raised to {LEAST_EXTRA}"));
        }
        if retained < LEAST_RETAINED {
            self.warn("autopurge.snapRetainCount", format!("{retained} is raised to {LEAST_RETAINED}"));
        }
    }

    /// Settings that give up a promise are said aloud at every start.
    fn unsafe_switches(&mut self) {
        if !self.settings.peer.storage.force_sync {
            self.warn("forceSync", "UNSAFE: the log is not fsynced; a power failure loses acknowledged writes");
        }
        if self.settings.peer.features.auth.skip_acl {
            self.warn("skipACL", "UNSAFE: no ACL is checked; every client may do everything");
        }
    }
}

/// `host:port` out of a member's text, which the parser of members has checked.
fn listen(text: &str) -> ListenAddress {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ListenAddress { host: (!is_any(host)).then(|| host.to_owned()), port: port.parse().unwrap_or(0) }
}

fn is_any(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

/// Whether a static client address agrees with a listed one: any address agrees with everything.
fn same_host(fixed: Option<&str>, listed: Option<&str>) -> bool {
    let Some(fixed) = fixed else { return true };
    let Some(listed) = listed else { return false };
    if fixed == listed {
        return true;
    }
    let resolve = |host: &str| (host, 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let listed = resolve(listed);
    resolve(fixed).iter().any(|a| listed.contains(a))
}
