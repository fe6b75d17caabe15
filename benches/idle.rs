//! What a supervisor uses that has many bound pairs: while nothing happens, and while each worker
//! writes a line a second.

use std::thread;
use std::time::{Duration, Instant};

use conveyor::codex::rollout::RolloutWriter;

use crate::Options;
use crate::support::limits;
use crate::support::process::{processor_time, resident_mb};
use crate::support::report::{Goal, Row};
use crate::support::supervisor::{StateRoot, Supervisor};

const GOAL_PERCENT: f64 = 3.0;
const GOAL_MB: f64 = 150.0;

/// The pairs that the goals are for.
const GOAL_PAIRS: u32 = 500;

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    options.pairs.iter().flat_map(|pairs| measure_with(*pairs, options)).collect()
}

fn measure_with(pairs: u32, options: &Options) -> Vec<Row> {
    let supervisor = Supervisor::start(StateRoot::new(&options.directory()));
    let mut rollouts: Vec<RolloutWriter> =
        (0..pairs).map(|pair| supervisor.bind_pair(&format!("t{pair}"))).collect();
    let period = Duration::from_secs(options.seconds.into());
    // What the start has left to do is not what is measured.
    thread::sleep(Duration::from_secs(3));

    let silent = percent_of_a_core(&supervisor, period, || thread::sleep(period));
    let writing =
        percent_of_a_core(&supervisor, period, || write_each_second(&mut rollouts, options.seconds));
    let commits =
        limits::commit_processor_time(supervisor.root.path()).as_secs_f64() * f64::from(pairs) * 1e2;
    let memory = resident_mb(supervisor.pid());
    let with_goal = |row: Row, goal| if pairs == GOAL_PAIRS { row.goal(Goal::AtMost(goal)) } else { row };
    vec![
        with_goal(Row::new(format!("{pairs} silent pairs: processor"), silent, "%"), GOAL_PERCENT),
        with_goal(
            Row::new(format!("{pairs} pairs, a line a second each: processor"), writing, "%"),
            GOAL_PERCENT,
        )
        .limit("as many SQLite commits", commits, "%"),
        with_goal(Row::new(format!("{pairs} pairs: memory"), memory, "MB"), GOAL_MB),
    ]
}

fn percent_of_a_core(supervisor: &Supervisor, period: Duration, work: impl FnOnce()) -> f64 {
    let before = processor_time(supervisor.pid());
    work();
    (processor_time(supervisor.pid()) - before).as_secs_f64() / period.as_secs_f64() * 1e2
}

/// Each rollout gets one line in each second, at its own time in it.
fn write_each_second(rollouts: &mut [RolloutWriter], seconds: u32) {
    let begun = Instant::now();
    let step = Duration::from_secs(1) / u32::try_from(rollouts.len()).unwrap();
    let mut due = begun;
    for _ in 0..seconds {
        for rollout in rollouts.iter_mut() {
            rollout.agent("still at it").unwrap();
            due += step;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
