//! What only real sockets have: half-closed clients, resets, limits, time. The contract that they share with simulated links is in
//! `server/tests/contract`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::world::{PATIENCE, Seen, World, client, read_all};
use quorate_core::error::CloseReason;
use quorate_core::event::{Action, AdminCommand, Halt, Outbox, Port};
use quorate_net::{Bind, Ended, Ports};

fn echo(seen: &Seen, out: &mut Outbox) {
    if let Seen::Bytes(link, bytes) = seen {
        out.send(*link, bytes);
    }
}

/// Bytes in which every position can be told.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 251 + i) as u8).collect()
}

#[test]
fn a_close_does_not_wait_for_ever() {
    let world = World::start(|seen, out| {
        if let Seen::Bytes(link, _) = seen {
            out.send(*link, &vec![1; 64 << 20]);
            out.close(*link, CloseReason::TooSlow);
        }
    });
    let mut stream = world.client();
    stream.write_all(b"x").unwrap();
    // Our end of the socket sees a reset as an error of a read-only test of its state.
    let until = Instant::now() + PATIENCE;
    while stream.take_error().unwrap().is_none() {
        assert!(Instant::now() < until, "a client that does not read keeps its link");
        thread::yield_now();
        if stream.write(b"y").is_err() {
            break;
        }
    }
    assert!(read_all(&mut stream).0.len() < 64 << 20);
}

#[test]
fn a_paused_link_that_is_reset_is_reported() {
    let world = World::start(|seen, out| {
        if let Seen::Opened(link, ..) = seen {
            out.push(Action::Pause(*link));
            out.send(*link, b"hello");
        }
    });
    let mut stream = world.client();
    world.wait(|s| matches!(s, Seen::Opened(..)).then_some(()));
    stream.peek(&mut [0]).unwrap();
    stream.write_all(b"never read").unwrap();
    // Closing with unread bytes resets.
    drop(stream);
    world.wait(|s| matches!(s, Seen::Closed(_)).then_some(()));
}

#[test]
fn a_half_closed_client_gets_its_answers() {
    let world = World::start(echo);
    let mut stream = world.client();
    let sent = pattern(1 << 20);
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let thread = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let (got, clean) = read_all(&mut stream);
    thread.join().unwrap();
    assert!(clean && got == sent);
    let mut bytes = 0;
    world.wait(|seen| match seen {
        Seen::Bytes(_, b) => {
            bytes += b.len();
            None
        }
        Seen::Closed(_) => Some(()),
        _ => None,
    });
    assert_eq!(bytes, sent.len(), "closed comes after everything that was sent");
}

#[test]
fn five_hundred_clients_at_once() {
    let world = World::start(echo);
    let address = world.listening(Port::Client);
    let mut clients: Vec<_> = (0..500).map(|_| client(address)).collect();
    for (i, c) in clients.iter_mut().enumerate() {
        c.write_all(&(i as u32).to_be_bytes()).unwrap();
    }
    let mut links = std::collections::BTreeSet::new();
    for (i, c) in clients.iter_mut().enumerate() {
        let mut answer = [0; 4];
        c.read_exact(&mut answer).unwrap();
        assert_eq!(u32::from_be_bytes(answer), i as u32);
    }
    drop(clients);
    let mut closed = 0;
    world.wait(|seen| {
        match seen {
            Seen::Opened(link, port, remote) => {
                assert!(link.is_accepted() && port == Port::Client && remote.ip().is_loopback());
                assert!(links.insert(link), "a link's name is used once");
            }
            Seen::Closed(_) => closed += 1,
            _ => {}
        }
        (closed == 500).then_some(())
    });
    assert_eq!(links.len(), 500);
}

#[test]
fn beyond_the_limit_clients_wait_until_others_have_gone() {
    let world = World::start(echo);
    let address = world.listening(Port::Client);
    let mut clients: Vec<_> = (0..610).map(|_| client(address)).collect();
    let mut opened = 0;
    world.wait(|seen| {
        opened += usize::from(matches!(seen, Seen::Opened(..)));
        (opened == 600).then_some(())
    });
    clients.drain(..20);
    let last = clients.last_mut().unwrap();
    last.write_all(b"x").unwrap();
    last.read_exact(&mut [0]).unwrap();
    world.wait(|seen| {
        opened += usize::from(matches!(seen, Seen::Opened(..)));
        (opened == 610).then_some(())
    });
}

#[test]
fn a_flood_does_not_starve_others() {
    let world = World::start(|seen, out| match seen {
        Seen::Bytes(link, bytes) if bytes.len() < 100 => out.send(*link, bytes),
        _ => {}
    });
    let address = world.listening(Port::Client);
    let stop = Arc::new(AtomicBool::new(false));
    let flooders: Vec<_> = (0..2)
        .map(|_| {
            let (stop, mut stream) = (stop.clone(), client(address));
            thread::spawn(move || while !stop.load(Ordering::Relaxed) && stream.write_all(&[0; 256 << 10]).is_ok() {})
        })
        .collect();
    let mut quiet = client(address);
    for _ in 0..200 {
        quiet.write_all(b"ping").unwrap();
        quiet.read_exact(&mut [0; 4]).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    flooders.into_iter().for_each(|f| f.join().unwrap());
}

// ----- connecting ------------------------------------------------------------------------------------------------

fn connecting(address: String) -> World {
    World::with(Ports::default(), None, move |out| _ = out.connect(Port::Election, &address.into()), |_, _| {})
}

#[test]
fn a_connection_is_made_by_name_and_by_number() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let world = connecting(format!("{host}:{port}"));
        let (link, kind) = world.wait(|seen| match seen {
            Seen::Opened(link, kind, _) => Some((link, kind)),
            Seen::Closed(_) => panic!("{host}: closed"),
            _ => None,
        });
        assert!(!link.is_accepted() && kind == Port::Election);
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.write_all(b"hello").unwrap();
        world.wait(|seen| (seen == Seen::Bytes(link, b"hello".to_vec())).then_some(()));
    }
}

// ----- ports and ends --------------------------------------------------------------------------------------------

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let bind = Some(Bind { host: Some("127.0.0.1".into()), port });
    let mut world = World::with(
        Ports { client: bind.clone(), ..Ports::default() },
        None,
        |out| out.push(Action::Listen(Port::Client)),
        |_, _| {},
    );
    let Ended::ClientPort(text) = world.ended() else { panic!("it serves") };
    assert!(text.contains(&format!("127.0.0.1:{port}")) && text.contains("clientPort"), "{text}");

    let mut world = World::with(
        Ports { election: bind, election_bind_tries: Some(2), ..Ports::default() },
        None,
        |out| out.push(Action::Listen(Port::Election)),
        |_, _| {},
    );
    assert!(matches!(world.ended(), Ended::ElectionPort(_)));
}

#[test]
fn an_election_port_that_becomes_free_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let world = World::with(
        Ports { election: Some(Bind { host: Some("127.0.0.1".into()), port }), ..Ports::default() },
        None,
        |out| out.push(Action::Listen(Port::Election)),
        |_, _| {},
    );
    drop(taken);
    assert_eq!(world.listening(Port::Election).port(), port);
}

#[test]
fn a_four_letter_word_is_answered_and_done() {
    let world = World::start(|seen, out| {
        if let Seen::Bytes(link, bytes) = seen {
            out.push(Action::FourLetter { link: *link, word: bytes[..4].try_into().unwrap() });
        }
    });
    let mut stream = world.client();
    stream.write_all(b"srvr\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut stream), (b"answer to srvr".to_vec(), true));
    world.wait(|seen| match seen {
        Seen::Closed(_) => panic!("the core has forgotten this link"),
        Seen::Admin(command) => (command == AdminCommand::ResetStats).then_some(()),
        _ => None,
    });
}

#[test]
fn a_deadline_brings_a_tick() {
    let mut world = World::with(
        Ports::default(),
        Some(30),
        |_| {},
        |seen, out| {
            if *seen == Seen::Tick {
                out.push(Action::Halt(Halt::BadData("why".into())));
            }
        },
    );
    let begun = Instant::now();
    let Ended::Halt(halt) = world.ended() else { panic!("no halt") };
    assert_eq!(halt, Halt::BadData("why".into()));
    assert!(begun.elapsed().as_millis() >= 25);
}

#[test]
fn a_shutdown_that_does_not_come_is_bounded() {
    let mut world = World::start(|_, _| {});
    world.remote.send(AdminCommand::Shutdown);
    assert!(matches!(world.ended(), Ended::ShutdownTimeout));
}
