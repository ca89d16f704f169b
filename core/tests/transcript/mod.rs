//! Transcripts: a script of commands in, every message, disk operation and event out.
//!
//! A script is `core/tests/zab/<name>.txt`. A line that begins with `#` is a comment and is kept; every other line is a command.
//! Whatever a command causes happens at once, first come first served, until nothing is left to happen; time stands still
//! meanwhile. Three kinds of things can be held up: bytes of a direction, a lane of a disk, and time itself.
//!
//! Servers are numbered. A member that is never started is played by the script (`raw`): what it sends is typed, what it is
//! sent is printed, so that a Java server's every behaviour, and a stranger's nonsense, can be written down.
//!
//! | command | effect |
//! | --- | --- |
//! | `config tick=2000 init=10 ...` | settings of the servers that `ensemble` makes (see `script::configure`) |
//! | `ensemble 1 2 3 [observer 4]` | members; nothing runs yet. `alone 1` makes a server without an ensemble |
//! | `seed 1 [snapshot R...] [log R...] [accepted E] [current E]` | its directory holds these; a range R is `0x100000001..3` |
//! | `start 1 2` `kill 1` `crash 1` | begins; the process dies; the power is lost, and with it what was not made durable |
//! | `time 200` | so many ms pass, with everything that is due |
//! | `cut 1 2` `heal 1 2` | connections break and are refused; they are possible again |
//! | `break 1 2 [port]` | connections break, and may be made again at once |
//! | `hold 1 -> 2 [port]` `release 1 -> 2 [port]` | bytes of this direction wait; `<->` is both directions |
//! | `hold disk 1 log` `step disk 1 log [until OP]` `release disk 1 log` | operations of the lane `log` or `bulk` wait; one happens, or all up to the first whose line begins with OP |
//! | `sweep 1 log` | the lane is held: for each of its operations in turn, what a restart finds when power is lost behind it |
//! | `fail disk 1 log fsync` | the next operation of the lane whose line begins like this fails |
//! | `damage 1 ZXID` `tear 1 ZXID` | a byte of this log record flips; the log ends in the middle of it (the server does not run) |
//! | `write 1 data/currentEpoch 3` `remove 1 log/log.1` | a file is replaced or removed behind the server's back |
//! | `raw 9 -> 1 quorum KIND ...` | a packet (`party::packet` has the arguments); the connection is opened when there is none |
//! | `raw 9 -> 1 election hello [sid=N]` or `STATE leader=N zxid=Z epoch=E round=R` | the same for notifications |
//! | `raw 9 -> 1 PORT bytes HEX` | any bytes |
//! | `elect 9 for 1 [epoch=E]` | every other member tells 1 that 9 leads them |
//! | `raw 9 listen PORT` `raw 9 -x 1 PORT` | accepts connections; closes the newest one |
//! | `client a connect 1 [timeout=N]` `client a reconnect 2` | a new session; the same session somewhere else |
//! | `client b resume 2 a [wrong]` | another connection, with the session of `a`; `wrong`: with a wrong password |
//! | `client a create /x` `set` `get` `delete` `sync` `ping` `close` `broken` `drop` | a request; a create may be `ephemeral`, `container` or `ttl`; `multi /x /y` is two of them, the second with such a word; `broken` is a create cut short; `drop` closes the connection |
//! | `admin 1 snapshot` | an operator's command |
//! | `show C...` `hide C...` | categories of lines, see `printer::CATEGORIES`; `quiet COMMAND` prints nothing of one command |
//! | `state [1...]` `disk [1...]` `tree 1` `node 1 PATH` | prints what a server knows, what a power loss would leave of its disk, its znodes, the data of one |
//!
//! A line `1 -> 2 ...` is printed when it is sent, a line `1 disk ...` when the operation is done: what comes behind it may rely
//! on it.

mod disk;
mod files;
mod party;
mod printer;
mod script;
mod world;

/// What Quorate servers write behind their LearnerInfo and LEADERINFO.
pub const MARKER: i32 = 0x5152_5431;

/// Runs a script; returns the transcript.
pub fn run(text: &str) -> String {
    run_in_pieces(text, usize::MAX).0
}

/// Runs a script; returns the transcript, and what its `state`, `disk` and `tree` commands found. Bytes arrive in pieces of at
/// most `piece` bytes.
pub fn run_in_pieces(text: &str, piece: usize) -> (String, Vec<String>) {
    let mut world = world::World::new();
    world.piece = piece;
    let mut script = script::Script::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_end();
        world.text.push_str(line);
        world.text.push('\n');
        let command = line.trim_start();
        if let Some(rest) = command.strip_prefix("sweep ") {
            let prior: Vec<&str> = text.lines().take(n).filter(|l| !l.starts_with('#')).collect();
            sweep(&prior, rest).iter().for_each(|line| world.say(line));
        } else if !command.is_empty() && !command.starts_with('#') {
            script.command(&mut world, command);
        }
    }
    (world.text, world.reports)
}

/// What a power loss after each single operation leaves behind: the lines above are run again and again.
fn sweep(prior: &[&str], rest: &str) -> Vec<String> {
    let (name, lane) = rest.split_once(' ').expect("sweep SERVER LANE");
    let mut lines = Vec::new();
    for n in 0.. {
        let (mut world, mut script) = (world::World::new(), script::Script::default());
        world.quiet = true;
        prior.iter().filter(|l| !l.trim().is_empty()).for_each(|l| script.command(&mut world, l.trim()));
        let mut last = Some("nothing".to_string());
        for _ in 0..n {
            last = world.disk_done(name, world::lane_of(lane));
            world.run();
        }
        let Some(last) = last else { return lines };
        world.stop(name, true);
        world.shown.0 = ["state"].into();
        world.quiet = false;
        script.command(&mut world, &format!("start {name}"));
        let found = world.text.lines().map(str::trim).find(|l| l.contains("recovered") || l.contains("halts"));
        lines.push(format!("after {last}: {}", found.unwrap_or("nothing")));
    }
    lines
}
