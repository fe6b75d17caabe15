//! From the last line of a worker's turn to its manager: how long a completion takes.
//!
//! A real supervisor in a state root of its own tails a rollout that this program writes. The
//! manager waits in its inbox, over one connection that is kept and as a fresh process each time.
//! Beside it stand the machine's own limits, measured in the same run on the same disk.

use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use conveyor::actors::Request;
use conveyor::actors::calls::inbox::{InboxOptions, ManagerInboxArgs};
use conveyor::codex::rollout::RolloutWriter;
use conveyor::domain::Seconds;
use serde_json::{Value, json};

use crate::Options;
use crate::support::limits;
use crate::support::report::{Goal, Row};
use crate::support::stats::Distribution;
use crate::support::supervisor::{Client, StateRoot, Supervisor};

const GOAL_MEDIAN_MS: f64 = 5.0;
const GOAL_P99_MS: f64 = 25.0;

/// The reader is waiting by then; and turns do not follow each other faster.
const PAUSE: Duration = Duration::from_millis(20);

/// As [`PAUSE`], where the reader has to be started first.
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// Longer than any delivery takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn measure(options: &Options) -> Vec<Row> {
    let supervisor = Supervisor::start(StateRoot::new(&options.directory()));
    let (root, samples) = (supervisor.root.path(), options.samples);
    let mut turns = Turns::new(&supervisor);
    let kept = kept_connection(&supervisor, &mut turns, samples);
    let fresh = fresh_process(&supervisor, &mut turns, samples);
    let round_trip = limits::file_event(root, samples).median_ms();
    let commit = limits::commit(root, samples).median_ms();
    vec![
        Row::new("completion to a reader that waits: median", kept.median_ms(), "ms")
            .limit("an inotify round trip and three SQLite commits", round_trip + 3.0 * commit, "ms")
            .goal(Goal::AtMost(GOAL_MEDIAN_MS)),
        Row::new("completion to a reader that waits: p99", kept.p99_ms(), "ms")
            .goal(Goal::AtMost(GOAL_P99_MS)),
        Row::new("completion to a command that waits: median", fresh.median_ms(), "ms"),
        Row::new("completion to a command that waits: p99", fresh.p99_ms(), "ms"),
    ]
}

/// A bound worker whose turns this program writes.
struct Turns {
    rollout: RolloutWriter,
    count: u64,
}

impl Turns {
    fn new(supervisor: &Supervisor) -> Self {
        let rollout = supervisor.bind_pair("t");
        Self { rollout, count: 0 }
    }

    /// A turn begins, and the supervisor gets the time to have read that.
    fn begin(&mut self, pause: Duration) {
        self.count += 1;
        self.rollout.begin(&format!("task {}", self.count)).unwrap();
        thread::sleep(pause);
    }

    /// The turn ends; gives the instant before its last lines were written.
    fn complete(&mut self) -> Instant {
        let begun = Instant::now();
        self.rollout.complete(&format!("done {}", self.count)).unwrap();
        begun
    }

    fn check(&self, reply: &Value) {
        let message = &reply["consumed"]["payload"]["worker_receipt"]["last_agent_message"];
        assert_eq!(message, &json!(format!("done {}", self.count)), "{reply}");
    }
}

fn kept_connection(supervisor: &Supervisor, turns: &mut Turns, samples: u32) -> Distribution {
    let (ask, asked) = channel();
    let (tell, told) = channel();
    let client = supervisor.connect();
    let reader = thread::spawn(move || read_each_time(client, &asked, &tell));
    let sample = |_| {
        ask.send(()).unwrap();
        turns.begin(PAUSE);
        let begun = turns.complete();
        let (arrived, reply) = told.recv_timeout(PATIENCE).unwrap();
        turns.check(&reply);
        arrived - begun
    };
    let distribution = (0..samples).map(sample).collect();
    drop(ask);
    reader.join().unwrap();
    distribution
}

fn read_each_time(mut client: Client, asked: &Receiver<()>, tell: &Sender<(Instant, Value)>) {
    while asked.recv().is_ok() {
        let reply = client.call(take_next());
        let _ = tell.send((Instant::now(), reply));
    }
}

fn take_next() -> Request {
    let timeout = Seconds::whole(PATIENCE.as_secs() as u32);
    let options = InboxOptions { consume_next: true, wait: true, timeout, ..InboxOptions::default() };
    Request::from(ManagerInboxArgs { task: "t".into(), options })
}

fn fresh_process(supervisor: &Supervisor, turns: &mut Turns, samples: u32) -> Distribution {
    let sample = |_| {
        let mut reader =
            supervisor.root.command(&["manager-inbox", "t", "--consume-next", "--wait", "--json"]);
        let reader = reader.stdout(Stdio::piped()).spawn().unwrap();
        turns.begin(STARTING_PAUSE);
        let begun = turns.complete();
        let output = reader.wait_with_output().unwrap();
        let arrived = Instant::now();
        turns.check(&serde_json::from_slice(&output.stdout).unwrap());
        arrived - begun
    };
    (0..samples).map(sample).collect()
}
