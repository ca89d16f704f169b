//! `readonlymode.enabled` with real processes: who asks for it keeps reading while the quorum is gone (client-protocol section 14).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_core::error::ErrorCode;
use quorate_core::ids::{SessionId, Zxid};
use quorate_core::jute::Reader;
use quorate_core::wire::client::{ConnectRequest, ConnectResponse, Create, ReplyHeader, Request, Response, next_frame};
use quorate_core::wire::records::{Acl, op, perm};

const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A member of an ensemble of three, ended by its own id.
struct Member(Child);

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Member {
    fn start(dir: &Path, first: u16, n: u16) -> Self {
        let data = dir.join(format!("data{n}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("myid"), n.to_string()).unwrap();
        let servers: String =
            (1..=3).map(|i| format!("server.{i}=127.0.0.1:{}:{}\n", first + 3 + i, first + 6 + i)).collect();
        let text = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\ntickTime=500\ninitLimit=10\nsyncLimit=4\n\
             readonlymode.enabled=true\n4lw.commands.whitelist=srvr,isro\n{servers}",
            data.display(),
            first + n
        );
        let config = dir.join(format!("zoo{n}.cfg"));
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS").env_remove("RUST_LOG");
        Self(command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

fn free_ports(count: u16) -> u16 {
    (0..200)
        .map(|i| 14_000 + (std::process::id() as u16 % 300) * 16 + i * 16)
        .find(|first| (0..count).all(|i| TcpListener::bind((Ipv4Addr::LOCALHOST, first + i)).is_ok()))
        .unwrap()
}

fn word(port: u16, word: &str) -> String {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return String::new() };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    let _ = stream.write_all(word.as_bytes()).and_then(|()| stream.read_to_string(&mut text));
    text
}

fn wait_for(port: u16, ask: &str, answer: &str) {
    let until = Instant::now() + PATIENCE;
    while !word(port, ask).contains(answer) {
        assert!(Instant::now() < until, "{ask} never said {answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Client {
    stream: TcpStream,
    xid: i32,
}

impl Client {
    /// A new session; `None` when the server closes instead of answering.
    fn connect(port: u16, read_only: bool) -> Option<(Self, ConnectResponse)> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = Vec::new();
        let request = ConnectRequest {
            protocol: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout: 10_000,
            session: SessionId::NONE,
            password: Some(&[0; 16]),
            read_only: Some(read_only),
        };
        request.encode(&mut bytes);
        let mut client = Self { stream, xid: 0 };
        client.stream.write_all(&bytes).ok()?;
        let frame = client.frame()?;
        Some((client, ConnectResponse::decode(&frame).unwrap()))
    }

    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4];
        self.stream.read_exact(&mut bytes).ok()?;
        let len = i32::from_be_bytes(bytes[..4].try_into().unwrap());
        bytes.resize(4 + usize::try_from(len).unwrap(), 0);
        self.stream.read_exact(&mut bytes[4..]).ok()?;
        Some(next_frame(&bytes, 1 << 20).unwrap().unwrap().to_vec())
    }

    /// The error of the answer, and the data where it holds some.
    fn ask(&mut self, request: &Request<'_>) -> Option<(ErrorCode, Option<Vec<u8>>)> {
        self.xid += 1;
        let mut bytes = Vec::new();
        request.encode(self.xid, &mut bytes);
        self.stream.write_all(&bytes).ok()?;
        let frame = self.frame()?;
        let mut r = Reader::new(&frame);
        let header = ReplyHeader::decode(&mut r).unwrap();
        assert_eq!(header.xid, self.xid, "answers come in order");
        let data = match Response::decode(request.op(), r.rest()) {
            Ok(Response::Data { data, .. }) => data.map(<[u8]>::to_vec),
            _ => None,
        };
        Some((header.err, data))
    }
}

fn create(path: &'static str) -> Request<'static> {
    let acl = Some(vec![Acl::world(perm::ALL)]);
    Request::Create(Create { op: op::CREATE, path: Some(path.into()), data: Some(b"kept"), acl, flags: 0, ttl: -1 })
}

fn get(path: &'static str) -> Request<'static> {
    Request::GetData { path: Some(path.into()), watch: true }
}

#[test]
fn a_client_that_may_read_only_keeps_reading_while_its_server_is_cut_off() {
    let dir = Scratch(std::env::temp_dir().join(format!("quorate-read-only-{}", std::process::id())));
    fs::create_dir_all(&dir.0).unwrap();
    let first = free_ports(10);
    let port = first + 1;
    let _one = Member::start(&dir.0, first, 1);
    let two = Member::start(&dir.0, first, 2);
    wait_for(port, "isro", "rw");
    let (mut client, answer) = Client::connect(port, true).unwrap();
    assert_eq!(answer.read_only, Some(false));
    assert_eq!(client.ask(&create("/a")), Some((ErrorCode::Ok, None)));

    drop(two);
    // Its connection ends without a word.
    assert_eq!(client.frame(), None);
    wait_for(port, "isro", "ro");
    assert!(word(port, "srvr").contains("Mode: read-only"));
    assert!(Client::connect(port, false).is_none(), "who does not ask for it is not served");
    let (mut reader, answer) = Client::connect(port, true).unwrap();
    assert_eq!((answer.read_only, answer.timeout), (Some(true), 10_000));
    assert_eq!(reader.ask(&get("/a")), Some((ErrorCode::Ok, Some(b"kept".to_vec()))));
    assert_eq!(reader.ask(&create("/b")), Some((ErrorCode::NotReadOnly, None)));
    assert_eq!(reader.ask(&Request::Sync { path: Some("/a".into()) }), Some((ErrorCode::NotReadOnly, None)));
    assert_eq!(reader.ask(&get("/b")), Some((ErrorCode::NoNode, None)));

    // The quorum is back: the reader has to come again, and may write then.
    let _two = Member::start(&dir.0, first, 2);
    assert_eq!(reader.frame(), None);
    wait_for(port, "isro", "rw");
    let (mut client, answer) = Client::connect(port, true).unwrap();
    assert_eq!(answer.read_only, Some(false));
    assert_eq!(client.ask(&create("/b")), Some((ErrorCode::Ok, None)));
    assert_eq!(client.ask(&get("/a")), Some((ErrorCode::Ok, Some(b"kept".to_vec()))));
}
