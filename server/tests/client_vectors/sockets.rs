//! Real servers, spoken to over sockets.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::replay::Servers;
use crate::server::{self, PATIENCE, Server};

/// No answer of these scripts is longer.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Servers by the recording's names, and connections by its labels.
pub(crate) struct Sockets {
    named: Vec<(String, SocketAddr)>,
    streams: BTreeMap<String, TcpStream>,
}

impl Sockets {
    /// `names` of `servers`, each; the `usual` one serves those who name none.
    pub(crate) fn new(names: &[&str], servers: &[Server], usual: &str) -> Self {
        let named = names.iter().zip(servers).map(|(name, server)| ((*name).to_owned(), server.address));
        let mut named: Vec<_> = named.collect();
        named.sort_by_key(|(name, _)| name != usual);
        Self { named, streams: BTreeMap::new() }
    }

    fn stream(&mut self, conn: &str) -> Result<&mut TcpStream, String> {
        self.streams.get_mut(conn).ok_or_else(|| format!("no connection {conn}"))
    }
}

impl Servers for Sockets {
    fn connect(&mut self, conn: &str, server: &str) -> Result<(), String> {
        let named = self.named.iter().find(|(name, _)| name == server || server.is_empty());
        let (_, address) = named.ok_or_else(|| format!("no server {server}"))?;
        let stream = TcpStream::connect(address).map_err(|e| format!("cannot connect: {e}"))?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        self.streams.insert(conn.to_owned(), stream);
        Ok(())
    }

    fn send(&mut self, conn: &str, bytes: &[u8]) -> Result<(), String> {
        self.stream(conn)?.write_all(bytes).map_err(|e| format!("cannot send: {e}"))
    }

    fn frame(&mut self, conn: &str) -> Result<Vec<u8>, String> {
        let stream = self.stream(conn)?;
        let mut frame = vec![0; 4];
        stream.read_exact(&mut frame).map_err(|e| format!("no frame came: {e}"))?;
        let length = u32::from_be_bytes(frame[..].try_into().unwrap()) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(format!("a frame of {length} bytes came"));
        }
        frame.resize(4 + length, 0);
        stream.read_exact(&mut frame[4..]).map_err(|e| format!("{length} bytes announced: {e}"))?;
        Ok(frame)
    }

    /// A reset is a close too (of a server that left bytes unread).
    fn rest(&mut self, conn: &str) -> Result<Vec<u8>, String> {
        let mut stream = self.streams.remove(conn).ok_or_else(|| format!("no connection {conn}"))?;
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(bytes),
            Err(e) => Err(format!("the server does not close the connection ({e}); it sent {bytes:02x?}")),
        }
    }

    fn hang_up(&mut self, conn: &str) -> Result<(), String> {
        let stream = self.streams.remove(conn).ok_or_else(|| format!("no connection {conn}"))?;
        stream.shutdown(Shutdown::Both).map_err(|e| format!("already gone: {e}"))
    }

    fn sleep(&mut self, seconds: f64, awaited: bool) {
        if !awaited {
            std::thread::sleep(Duration::from_secs_f64(seconds));
        }
    }

    fn settle(&mut self) -> Result<(), String> {
        let addresses: Vec<SocketAddr> = self.named.iter().map(|(_, address)| *address).collect();
        if addresses.len() > 1 { server::level(&addresses) } else { Ok(()) }
    }
}
