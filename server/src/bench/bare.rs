//! What the kernel takes for events that nobody had to think about: the least that any server can need for a fan-out.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::servers::cpu_seconds;

/// As long as an event of the fan-out's path.
const EVENT: [u8; 40] = [0; 40];

/// Rounds of sends before those that count.
const WARM_UP: usize = 2;

/// Microseconds of CPU per send, one for each round: one thread sends the same bytes to `count` connections, this one takes them
/// as the crowd does. `go_on` ends it with its error.
pub fn sends(rounds: usize, round: Duration, count: usize, go_on: impl Fn() -> io::Result<()>) -> io::Result<Vec<f64>> {
    if count == 0 {
        return Err(io::Error::other("no connections are possible: raise the limit of open files (ulimit -n)"));
    }
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let (mut near, mut far) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(4096));
    for n in 0..count {
        let stream = TcpStream::connect(listener.local_addr()?)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(n), Interest::READABLE)?;
        far.push(stream);
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        near.push(stream);
    }
    let (heard, wait) = mpsc::channel();
    let sender = thread::spawn(move || -> io::Result<(Vec<f64>, Vec<TcpStream>)> {
        let all = |near: &mut [TcpStream]| -> io::Result<()> {
            near.iter_mut().try_for_each(|stream| stream.write_all(&EVENT))?;
            wait.recv().map_err(io::Error::other)
        };
        (0..WARM_UP).try_for_each(|_| all(&mut near))?;
        let mut results = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let (began, before, mut sent) = (Instant::now(), cpu_seconds("thread-self")?, 0);
            while began.elapsed() < round {
                all(&mut near)?;
                sent += near.len();
            }
            results.push((cpu_seconds("thread-self")? - before) * 1e6 / sent as f64);
        }
        // The connections outlive the thread: the other ends are still being read.
        Ok((results, near))
    });
    let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
    'receive: while !sender.is_finished() {
        go_on()?;
        poll.poll(&mut events, Some(Duration::from_millis(10)))?;
        for event in &events {
            loop {
                match far[event.token().0].read(&mut buffer) {
                    // The sender has failed; joining it says why.
                    Ok(0) => break 'receive,
                    Ok(n) => bytes += n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) => return Err(e),
                }
            }
        }
        if bytes >= EVENT.len() * count {
            bytes -= EVENT.len() * count;
            // The sender may have ended: then nobody wants to know.
            let _ = heard.send(());
        }
    }
    sender.join().map_err(|_| io::Error::other("the sending thread ended by a panic"))?.map(|(results, _)| results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_a_figure() {
        let sends = |count| sends(2, Duration::from_millis(20), count, || Ok(()));
        let figures = sends(4).unwrap();
        assert!(figures.len() == 2 && figures.iter().all(|cpu| *cpu >= 0.0), "{figures:?}");
        assert!(sends(0).is_err());
    }
}
