//! Recorded client conversations; `core/tests/vectors/client/README.md` and
//! `…/client-ensemble/README.md` give the format.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use quorate_core::config::PeerConfig;
use quorate_server::config::{self, Environment};
use serde::Deserialize;
use serde_json::Value;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A file of scripts.
#[derive(Deserialize)]
pub(crate) struct File {
    format: u32,
    profiles: BTreeMap<String, Profile>,
    scripts: Vec<Script>,
}

/// How the server is set up.
#[derive(Deserialize, Clone)]
pub(crate) struct Profile {
    cfg: BTreeMap<String, Value>,
    /// Java system properties.
    system_properties: BTreeMap<String, String>,
}

/// One conversation, with a server of its own.
#[derive(Deserialize, Clone)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) profile: String,
    pub(crate) steps: Vec<Step>,
}

/// One thing that is done, and what must come of it.
#[derive(Deserialize, Clone)]
pub(crate) struct Step {
    pub(crate) conn: String,
    /// Where a connection goes, in an ensemble.
    #[serde(default)]
    pub(crate) server: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) note: String,
    #[serde(default, with = "hex", rename = "request_hex")]
    pub(crate) request: Vec<u8>,
    #[serde(default)]
    pub(crate) subst: Vec<Mask>,
    #[serde(default, with = "hex", rename = "response_hex")]
    pub(crate) response: Vec<u8>,
    #[serde(default)]
    pub(crate) mask: Vec<Mask>,
    #[serde(default)]
    pub(crate) replies: Vec<Frame>,
    #[serde(default)]
    pub(crate) events: Vec<Notification>,
    #[serde(default)]
    pub(crate) closed: bool,
    #[serde(default)]
    pub(crate) shape: Vec<String>,
    #[serde(default)]
    pub(crate) seconds: f64,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Request,
    Connect,
    #[serde(rename = "4lw")]
    FourLetter,
    Batch,
    Hangup,
    ObserveClose,
    Sleep,
}

/// Expected bytes.
#[derive(Deserialize, Clone)]
pub(crate) struct Frame {
    #[serde(with = "hex", rename = "hex")]
    pub(crate) bytes: Vec<u8>,
    #[serde(default)]
    pub(crate) mask: Vec<Mask>,
}

/// A frame that nobody asked for.
#[derive(Deserialize, Clone)]
pub(crate) struct Notification {
    pub(crate) conn: String,
    pub(crate) pos: Position,
    #[serde(flatten)]
    pub(crate) frame: Frame,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Position {
    Before,
    After,
}

/// Offset from the length prefix, length, kind.
#[derive(Deserialize, Clone)]
pub(crate) struct Mask(pub usize, pub usize, pub String);

/// The scripts of `file`, below `core/tests/vectors`, each with its profile.
pub(crate) fn load(file: &str) -> Vec<(Script, Profile)> {
    let path = vectors().join(file);
    let file: File = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(file.format, 1);
    file.scripts.into_iter().map(|script| (script.clone(), file.profiles[&script.profile].clone())).collect()
}

/// Where the recordings are.
pub(crate) fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/tests/vectors")
}

impl Profile {
    /// `zoo.cfg` of a server; with `members` (lines) one of an ensemble, whose `myid` is written, too.
    pub(crate) fn configuration(&self, data: &Path, client: SocketAddr, id: usize, members: &str) -> String {
        let value = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let mut text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress={}\nadmin.enableServer=false\n",
            data.display(),
            client.port(),
            client.ip()
        );
        if !members.is_empty() {
            fs::write(data.join("myid"), id.to_string()).unwrap();
            // Where ticks are short, a loaded machine must not end an ensemble.
            text += &format!("initLimit=50\nsyncLimit=50\n{members}");
        }
        // The last one of a key counts.
        self.cfg.iter().fold(text, |text, (k, v)| format!("{text}{k}={}\n", value(v)))
    }

    /// What such a server is told, read from a file as a server does.
    pub(crate) fn load(&self, id: usize, members: &str) -> PeerConfig {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("quorate-vectors-{}-simulated-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 2181));
        fs::write(dir.join("zoo.cfg"), self.configuration(&dir, client, id, members)).unwrap();
        let environment = Environment { server_jvmflags: self.flags(), ..Environment::default() };
        let config = config::load(&dir.join("zoo.cfg"), &environment).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        config.peer
    }

    /// System properties, as arguments of a Java process.
    pub(crate) fn flags(&self) -> String {
        let all: Vec<String> = self.system_properties.iter().map(|(k, v)| format!("-D{k}={v}")).collect();
        all.join(" ")
    }
}

mod hex {
    use serde::{Deserialize, Deserializer, de::Error};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
            _ => Err(D::Error::custom(format!("not hexadecimal: {text}"))),
        }
    }
}
