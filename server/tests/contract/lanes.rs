//! The two lanes of a machine's disk, as the machine sees them.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_core::event::{Action, Dir, DiskOp, DiskReply, FileName, Halt, Lane};
use quorate_core::ids::Ticket;

use crate::both;
use crate::machines::Fact;
use crate::worlds::{Real, Simulated, World, rule};

both!(Simulated, Real: every_operation_is_answered_once_in_the_order_of_its_lane);

fn every_operation_is_answered_once_in_the_order_of_its_lane<W: World>(world: &mut W) {
    const ROUNDS: u64 = 200;
    for seed in 0..W::SEEDS {
        let (mut left, mut listed) = (0, false);
        // Both lanes are given everything at once: each writes a file of its own and reads it back.
        let machine = rule(move |fact, out| {
            match fact {
                Fact::Started(_) => {
                    for (lane, dir) in [(Lane::Log, Dir::Log), (Lane::Bulk, Dir::Data)] {
                        out.disk(lane, DiskOp::List(dir));
                        left += 1;
                    }
                }
                Fact::Disk(..) => left -= 1,
                _ => {}
            }
            if left > 0 || listed {
                if listed && left == 0 {
                    out.push(Action::Halt(Halt::Shutdown));
                }
                return;
            }
            listed = true;
            for round in 0..ROUNDS {
                for (lane, dir) in [(Lane::Log, Dir::Log), (Lane::Bulk, Dir::Data)] {
                    let file = FileName::new(dir, "file");
                    let bytes = Bytes::copy_from_slice(&round.to_be_bytes());
                    let mut ops = vec![DiskOp::WriteAt(file.clone(), 0, bytes), DiskOp::ReadRange(file.clone(), 0, 8)];
                    match round {
                        0 => ops.insert(0, DiskOp::Create(file)),
                        n if n % 50 == 0 => ops.push(DiskOp::Fsync(file)),
                        _ => {}
                    }
                    left += ops.len();
                    ops.into_iter().for_each(|op| _ = out.disk(lane, op));
                }
            }
        });
        let facts = world.run(seed, vec![machine]).remove(0);
        let mut answers: BTreeMap<Ticket, u32> = BTreeMap::new();
        let mut read = Vec::new();
        for fact in &facts {
            let Fact::Disk(ticket, result) = fact else { continue };
            *answers.entry(*ticket).or_default() += 1;
            if let DiskReply::Data(bytes) = result.clone().unwrap() {
                read.push(u64::from_be_bytes(bytes[..].try_into().unwrap()));
            }
        }
        let expected = answers.len() as u64;
        assert!(answers.values().all(|n| *n == 1), "once");
        assert_eq!(answers.keys().map(|t| t.0).collect::<Vec<_>>(), (1..=expected).collect::<Vec<_>>(), "each");
        // What a lane reads is what it wrote last, so that each number comes twice, in order within each lane.
        let mut next = [0; 2];
        for n in read {
            let lane = next.iter().position(|expected| *expected == n).expect("a read follows the write before it");
            next[lane] += 1;
        }
        assert_eq!(next, [ROUNDS; 2]);
    }
}
