//! `zoo.cfg` and its relatives, as ZooKeeper reads them (operations sections 1 to 3).
//!
//! One table of keys ([`table`]) feeds the parser, the warnings, the four-letter word `conf` and the reference page.

mod build;
pub mod flags;
pub mod key;
pub mod members;
pub mod problem;
pub mod properties;
pub mod reference;
mod schemes;
pub mod settings;
pub mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use quorate_core::config::PeerConfig;
use quorate_core::ids::Millis;
pub use quorate_net::Bind as ListenAddress;

use crate::recording::RecordTo;

use self::key::Key;
use self::members::Line;
use self::problem::{ConfigError, Origin, Problem};
use self::settings::Settings;

/// Everything that one server is told before it starts.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// For the core.
    pub peer: PeerConfig,
    /// The client listener; `None`: no clients.
    pub client: Option<ListenAddress>,
    /// The learners' listener; `None` for a standalone server.
    pub quorum: Option<ListenAddress>,
    /// The election listener; `None` for a standalone server.
    pub election: Option<ListenAddress>,
    /// Connections that may wait on the client listener; `None`: the adapter's choice.
    pub backlog: Option<u32>,
    /// How often binding the election port is tried; `None`: for ever.
    pub election_bind_tries: Option<u32>,
    /// TCP keep-alive on election connections.
    pub quorum_keep_alive: bool,
    /// TCP keep-alive on client connections.
    pub client_keep_alive: bool,
    /// An fsync of the log that takes longer is logged.
    pub fsync_warning_ms: Millis,
    /// Build date of `srvr` in the older form.
    pub legacy_date: bool,
    /// dataDir: its `version-2` holds snapshots.
    pub data_dir: PathBuf,
    /// dataLogDir: its `version-2` holds transaction logs.
    pub data_log_dir: PathBuf,
    /// Whether missing data directories are made.
    pub datadir_autocreate: bool,
    /// Where everything that the core is told is recorded.
    pub record: Option<RecordTo>,
    /// To be logged once the log is up.
    pub warnings: Vec<String>,
}

/// The environment variables that carry configuration.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `SERVER_JVMFLAGS`.
    pub server_jvmflags: String,
    /// `JVMFLAGS`; goes before the former.
    pub jvmflags: String,
    /// `ZOO_DATADIR_AUTOCREATE_DISABLE` is set.
    pub datadir_autocreate_disable: bool,
}

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()).unwrap_or_default();
        Self {
            server_jvmflags: text("SERVER_JVMFLAGS"),
            jvmflags: text("JVMFLAGS"),
            datadir_autocreate_disable: !text("ZOO_DATADIR_AUTOCREATE_DISABLE").is_empty(),
        }
    }
}

/// Reads a configuration file, what it refers to (dynamic file, myid), and the environment.
pub fn load(file: &Path, environment: &Environment) -> Result<ServerConfig, ConfigError> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file)
        .map_err(|e| Problem::new(format!("cannot be read: {e}")).from(Origin::File(name.clone())))?;
    let mut reader = Reader::new(environment);
    let properties = properties::parse(&name, &bytes).map_err(ConfigError::invalid)?;
    if properties.byte_order_mark {
        reader.warn(
            &Origin::Line(name.clone(), 1),
            "begins with a byte order mark, with which ZooKeeper cannot read the first line",
        );
    }
    for entry in properties.entries {
        reader.file_entry(&name, entry);
    }
    reader.finish(Some(file))
}

/// The old form: `<clientPort> <dataDir> [tickTime] [maxClientCnxns]`.
pub fn from_arguments(arguments: &[String], environment: &Environment) -> Result<ServerConfig, ConfigError> {
    const NAMES: [&str; 4] = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
    if !(2..=NAMES.len()).contains(&arguments.len()) {
        return Err(Problem::new(
            "expected a configuration file, or <clientPort> <dataDir> [tickTime] [maxClientCnxns]".to_owned(),
        )
        .into());
    }
    let mut reader = Reader::new(environment);
    for (name, value) in NAMES.iter().zip(arguments) {
        reader.assign(name, value, Origin::Argument(name));
    }
    reader.finish(None)
}

/// One value, waiting to be applied.
struct Assigned {
    key: &'static Key,
    written: String,
    value: String,
    origin: Origin,
}

/// Gathers assignments; the last one of a key counts.
struct Reader {
    assigned: Vec<Assigned>,
    members: Vec<Line>,
    warnings: Vec<String>,
}

impl Reader {
    fn new(environment: &Environment) -> Self {
        let mut reader = Self { assigned: Vec::new(), members: Vec::new(), warnings: Vec::new() };
        if environment.datadir_autocreate_disable {
            reader.assign("datadir.autocreate", "false", Origin::Variable("ZOO_DATADIR_AUTOCREATE_DISABLE"));
        }
        reader.variable("SERVER_JVMFLAGS", &environment.server_jvmflags);
        reader.variable("JVMFLAGS", &environment.jvmflags);
        reader
    }

    fn warn(&mut self, origin: &Origin, what: impl fmt::Display) {
        self.warnings.push(format!("{origin}: {what}"));
    }

    fn variable(&mut self, variable: &'static str, text: &str) {
        let flags = flags::parse(text);
        let mut ignored = flags.ignored;
        for (name, value) in flags.properties {
            if table::is_property_name(&name) {
                self.assign(&name, &value, Origin::Variable(variable));
            } else {
                ignored.push(format!("-D{name}"));
            }
        }
        if !ignored.is_empty() {
            self.warn(&Origin::Variable(variable), format!("ignored, there is no JVM: {}", ignored.join(" ")));
        }
    }

    fn file_entry(&mut self, file: &str, entry: properties::Entry) {
        let origin = Origin::Line(file.to_owned(), entry.line);
        if members::is_member_key(&entry.key) {
            self.member(Line { key: entry.key, value: entry.value, origin });
        } else {
            self.assign(&entry.key, &entry.value, origin);
        }
    }

    fn member(&mut self, line: Line) {
        if let Some(at) = self.members.iter().position(|l| l.key == line.key) {
            let earlier = self.members.remove(at);
            self.warn(&line.origin, format!("{}: set again; {} has no effect", line.key, earlier.origin));
        }
        self.members.push(line);
    }

    fn assign(&mut self, written: &str, value: &str, origin: Origin) {
        let Some(key) = table::find(written) else {
            let property = written.strip_prefix("zookeeper.").unwrap_or(written);
            let mut what = format!(
                "{written}: unknown key; it would be Java's system property zookeeper.{property}, no effect here"
            );
            if let Some(name) = table::similar(property) {
                what = format!("{what}; did you mean {name}?");
            }
            self.warn(&origin, what);
            return;
        };
        let same = |a: &Assigned| {
            std::ptr::eq(a.key, key)
                && (!key.name.ends_with('*')
                    || a.written.trim_start_matches("zookeeper.") == written.trim_start_matches("zookeeper."))
        };
        if let Some(at) = self.assigned.iter().position(same) {
            let earlier = self.assigned.remove(at);
            if earlier.value != value {
                self.warn(&origin, format!("{written}: set again; {} has no effect", earlier.origin));
            }
        }
        self.assigned.push(Assigned { key, written: written.to_owned(), value: value.to_owned(), origin });
    }

    fn finish(mut self, file: Option<&Path>) -> Result<ServerConfig, ConfigError> {
        let mut settings = Settings::default();
        let mut problems = Vec::new();
        let mut origins = BTreeMap::new();
        for Assigned { key, written, value, origin } in std::mem::take(&mut self.assigned) {
            match key.apply(&written, &value, &mut settings) {
                Ok(None) => {}
                Ok(Some(warning)) => self.warn(&origin, format!("{written}: {warning}")),
                Err(what) => problems.push(Problem::new(what).from(origin.clone()).key(&written)),
            }
            origins.insert(key.name, origin);
        }
        let input = build::Input { settings, members: self.members, warnings: self.warnings, problems, origins, file };
        input.build()
    }
}
