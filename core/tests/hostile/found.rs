//! What the harness has found, each as the smallest program that shows it.

use crate::harness::{Op, Profile, Program, run};

fn check(profiles: &[u8], ops: &[Op]) {
    let _alone = crate::alone();
    for profile in profiles {
        run(&Program { profile: Profile::new(*profile), ops: ops.to_vec() });
    }
}

const ALL: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// An empty multi, in flight when its client came back, answered the createTTL of the same xid: "created", without a path.
#[test]
fn what_an_earlier_connection_asked_answers_nothing() {
    let multi = Op::Request { slot: 0, op: 14, body: b"\xff\xff\xff\xff\x01\xff\xff\xff\xff".to_vec() };
    let create = |slot| Op::Request {
        slot,
        op: 21,
        body: b"\0\0\0\x02/a\0\0\0\x01d\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\x05\0\0\0\0\0\0\0\x09"
            .to_vec(),
    };
    let hello = Op::Hello { slot: 0, flag: true };
    let hold = Op::Hold(true);
    let resume = Op::Resume { slot: 1, of: 0 };
    check(ALL, &[hello.clone(), hold.clone(), multi.clone(), resume.clone(), create(1), Op::Hold(false)]);
    // The same where the first connection is gone already.
    check(ALL, &[hello, hold, multi, Op::HangUp { slot: 0 }, resume, create(1), Op::Hold(false)]);
}

/// A client asked for the session that would be next, and while the leader was asked whether it lives it was given to another one.
#[test]
fn a_session_that_is_asked_for_is_given_to_nobody_else() {
    let hello = |slot| Op::Hello { slot, flag: true };
    let guess = Op::Resume { slot: 1, of: 4 };
    let ping = |slot| Op::Request { slot, op: 11, body: Vec::new() };
    check(ALL, &[hello(0), Op::Hold(true), guess, hello(2), Op::Hold(false), ping(0), ping(2)]);
}

/// A follower asks the leader whether a session lives that is just being closed: its end closes whoever has come for it.
#[test]
fn a_session_that_ends_while_it_is_resumed_closes_the_connection() {
    let close = Op::Request { slot: 0, op: -11, body: Vec::new() };
    let hello = Op::Hello { slot: 0, flag: false };
    check(ALL, &[hello, Op::Hold(true), close, Op::Resume { slot: 2, of: 0 }, Op::Hold(false)]);
}
