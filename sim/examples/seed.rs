use quorate_sim::check::Checks;
use quorate_sim::{Options, RunSpec};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args[1].parse().unwrap();
    let to: u64 = args[2].parse().unwrap();
    let opts: Vec<&str> = args[3..].iter().map(|s| s.as_str()).collect();
    let trace = opts.contains(&"trace");
    let began = std::time::Instant::now();
    let (mut msgs, mut bad) = (0u64, 0);
    std::panic::set_hook(Box::new(|i| eprintln!("{i}")));
    for seed in from..to {
        let mut spec = RunSpec::seeded(seed);
        if opts.contains(&"calm") {
            spec.faults.swarm = false;
        }
        for o in &opts {
            if let Some(m) = o.strip_prefix("mutant=") {
                spec.mutant = Some(m.into());
            }
            if let Some(m) = o.strip_prefix("ticks=") {
                spec.timing.fault_ticks = m.parse().unwrap();
            }
        }
        let mut checks = Checks::new(&spec);
        let mut sink = |l: &str| println!("{l}");
        let t = std::time::Instant::now();
        let o = quorate_sim::run(
            &spec,
            &mut checks,
            Options { trace: if trace { Some(&mut sink) } else { None }, record_ops: false, tail: 0 },
        );
        msgs += o.messages;
        let took = t.elapsed().as_millis();
        if o.violation.is_some() || opts.contains(&"v") || took > 1000 {
            println!(
                "seed {seed} {:?} digest {:x} commits {} lc {} faults {} msgs {} cmsgs {} replies {} end {} {took} ms {:?}",
                o.verdict,
                o.digest,
                o.commits,
                o.leader_changes,
                o.faults_effective,
                o.messages,
                o.client_messages,
                o.replies,
                o.end_ms,
                o.violation.as_ref().map(|v| (v.invariant, v.at_ms, v.node, &v.text))
            );
        }
        bad += u32::from(o.violation.is_some());
    }
    println!("{} runs, {bad} bad, {} msgs in {:?}", to - from, msgs, began.elapsed());
}
