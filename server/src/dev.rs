//! An ensemble on loopback: ports, directories and configuration files.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::cli::Dev;

/// Ports for servers among themselves stand this far above the client ports, as 2888 and 3888 do above 2181.
const QUORUM_OFFSET: u16 = 2888 - 2181;
const ELECTION_OFFSET: u16 = 3888 - 2181;

/// One server of the ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// N.
    pub sid: i64,
    /// Where clients connect.
    pub client_port: u16,
    /// Where learners connect.
    pub quorum_port: u16,
    /// Where votes arrive.
    pub election_port: u16,
    /// Its directory; its configuration file is `zoo.cfg` there.
    pub dir: PathBuf,
}

impl Member {
    /// Its configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("zoo.cfg")
    }
}

/// An ensemble that can be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Ascending.
    pub members: Vec<Member>,
}

impl Plan {
    /// Chooses the ports: client ports as asked, the others at fixed distances or, where those are taken, free ones.
    pub fn new(options: &Dev) -> Result<Self, String> {
        let mut members = Vec::new();
        let mut held = Vec::new();
        for n in 0..options.servers {
            let client_port = options.client_port.checked_add(n).ok_or("the client ports would go beyond 65535")?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, client_port)).map_err(|e| {
                format!(
                    "port {client_port} cannot be used: {e}; other ports: quorate dev --client-port {}",
                    other_port(client_port)
                )
            })?;
            // Held until all ports are chosen, so that no free port is given out twice.
            held.push(listener);
            members.push(Member {
                sid: i64::from(n) + 1,
                client_port,
                quorum_port: 0,
                election_port: 0,
                dir: options.dir.join(format!("server-{}", n + 1)),
            });
        }
        for member in &mut members {
            member.quorum_port =
                hold(member.client_port.checked_add(QUORUM_OFFSET), &mut held).map_err(|e| e.to_string())?;
            member.election_port =
                hold(member.client_port.checked_add(ELECTION_OFFSET), &mut held).map_err(|e| e.to_string())?;
        }
        Ok(Self { members })
    }

    /// What clients are given.
    #[must_use]
    pub fn connect_string(&self) -> String {
        let addresses: Vec<String> = self.members.iter().map(|m| format!("127.0.0.1:{}", m.client_port)).collect();
        addresses.join(",")
    }

    /// Writes `zoo.cfg` and `myid` of every server.
    pub fn write(&self) -> io::Result<()> {
        for member in &self.members {
            let data = absolute(&member.dir)?.join("data");
            fs::create_dir_all(&data)?;
            fs::write(data.join("myid"), format!("{}\n", member.sid))?;
            fs::write(member.config_file(), self.config_text(member, &data))?;
        }
        Ok(())
    }

    fn config_text(&self, member: &Member, data: &Path) -> String {
        // A backslash or a blank at the edge would be read otherwise.
        let data = data.display().to_string().replace('\\', "\\\\");
        let mut text = format!(
            "# Written by `quorate dev` at every start.\ndataDir={data}\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n\
             clientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n4lw.commands.whitelist=*\n\
             extendedTypesEnabled=true\nsnapCount=100000\nautopurge.purgeInterval=1\n",
            member.client_port
        );
        if self.members.len() > 1 {
            for m in &self.members {
                text.push_str(&format!("server.{}=127.0.0.1:{}:{}\n", m.sid, m.quorum_port, m.election_port));
            }
        }
        text
    }

    /// What a person reads first.
    #[must_use]
    pub fn greeting(&self, dir: &Path) -> String {
        let count = match self.members.len() {
            1 => "one server".to_owned(),
            n => format!("{n} servers"),
        };
        let first = self.members.first().map_or(0, |m| m.client_port);
        format!(
            "{count} on this machine, data under {}\n\n  {}\n\n\
             Try:\n  echo srvr | nc 127.0.0.1 {first}\n  zkCli.sh -server 127.0.0.1:{first} create /hello world\n  \
             python3 -c 'from kazoo.client import KazooClient as K; k = K(\"127.0.0.1:{first}\"); k.start(); \
             print(k.get_children(\"/\"))'\n\nCtrl-C ends all.\n",
            dir.display(),
            self.connect_string()
        )
    }
}

fn other_port(port: u16) -> u16 {
    port.checked_add(1000).unwrap_or(12181)
}

fn hold(wanted: Option<u16>, held: &mut Vec<TcpListener>) -> io::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match wanted.map(bind) {
        Some(Ok(listener)) => listener,
        Some(Err(_)) | None => bind(0)?,
    };
    let port = listener.local_addr()?.port();
    held.push(listener);
    Ok(port)
}

fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, load};
    use crate::logging::LogFormat;

    fn options(servers: u16, client_port: u16) -> Dev {
        let dir = std::env::temp_dir().join(format!("quorate-dev-{}-{servers}", std::process::id()));
        Dev { servers, dir, client_port, log_level: tracing::Level::WARN, log_format: LogFormat::Human }
    }

    /// A run of free ports, by luck: the system gives out ports in this region rarely.
    fn plan(servers: u16) -> (Plan, Dev) {
        (0..50)
            .find_map(|i| {
                let options = options(servers, 21_000 + i * 37);
                Some((Plan::new(&options).ok()?, options))
            })
            .unwrap()
    }

    #[test]
    fn its_files_can_be_served() {
        let (plan, options) = plan(3);
        plan.write().unwrap();
        for member in &plan.members {
            let config = load(&member.config_file(), &Environment::default()).unwrap();
            assert_eq!(config.peer.sid.0, member.sid);
            assert_eq!(config.peer.ensemble.unwrap().members.len(), 3);
            assert_eq!(config.client.unwrap().to_string(), format!("127.0.0.1:{}", member.client_port));
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
        assert!(plan.greeting(&options.dir).contains(&plan.connect_string()));
        fs::remove_dir_all(&options.dir).unwrap();
    }

    #[test]
    fn one_server_is_standalone() {
        let (plan, options) = plan(1);
        plan.write().unwrap();
        let config = load(&plan.members[0].config_file(), &Environment::default()).unwrap();
        assert!(config.peer.ensemble.is_none());
        fs::remove_dir_all(&options.dir).unwrap();
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = Plan::new(&options(1, port)).unwrap_err();
        assert!(refused.starts_with(&format!("port {port} cannot be used: ")), "{refused}");
        assert!(Plan::new(&options(31, 65_530)).is_err());
    }
}
