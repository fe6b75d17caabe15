//! From the last line of a worker's turn to its manager: how long a completion takes.
//!
//! A real supervisor in a state root of its own tails a rollout that this program writes. The
//! manager waits in its inbox, over one connection that is kept and as a fresh process each time.
//! Beside it stand the machine's own limits, measured in the same run on the same disk.
//!
//! `cargo xtask bench latency [--samples N] [--json]`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a console tool for developers")]

mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use conveyor::actors::Request;
use conveyor::actors::calls::inbox::{InboxOptions, ManagerInboxArgs};
use conveyor::codex::rollout::RolloutWriter;
use conveyor::domain::Seconds;
use serde_json::{Value, json};

use support::limits;
use support::stats::{Distribution, Table};
use support::supervisor::{Client, Supervisor};

const GOAL_MEDIAN: Duration = Duration::from_millis(5);
const GOAL_P99: Duration = Duration::from_millis(25);

/// The reader is waiting by then; and turns do not follow each other faster.
const PAUSE: Duration = Duration::from_millis(20);

/// As [`PAUSE`], where the reader has to be started first.
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// Longer than any delivery takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time from a worker's last line to its manager
#[derive(Debug, Parser)]
struct Args {
    /// Turns to measure with each kind of reader
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// The directory of the state root, and so the disk [default: the temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
    /// Start, do nothing, end: what any process costs.
    #[arg(long, hide = true)]
    nothing: bool,
}

fn main() {
    let args = Args::parse();
    if args.nothing {
        return;
    }
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let supervisor = Supervisor::start(&dir);
    let mut turns = Turns::new(&supervisor);
    let kept = kept_connection(&supervisor, &mut turns, args.samples);
    let fresh = fresh_process(&supervisor, &mut turns, args.samples);
    let samples = args.samples;
    let table = Table::new()
        .row("completion to a reader that waits, kept connection", &kept)
        .row("completion to a reader that waits, fresh process", &fresh)
        .row("limit: one fsync of 4 KiB", &limits::fsync(supervisor.root(), samples))
        .row("limit: one SQLite commit (WAL, FULL)", &limits::commit(supervisor.root(), samples))
        .row("limit: file event round trip", &limits::file_event(supervisor.root(), samples))
        .row("limit: start and end of an empty process", &limits::process("--nothing", samples));
    let met = kept.median() <= GOAL_MEDIAN && kept.p99() <= GOAL_P99;
    if args.json {
        let goal = json!({"median_ms": 5, "p99_ms": 25, "met": met});
        println!("{}", json!({"samples": samples, "rows": table.json(), "goal": goal}));
    } else {
        println!("{samples} turns each, in {}\n{table}", dir.display());
        println!(
            "goal with the kept connection: 5 ms median, 25 ms p99: {}",
            if met { "met" } else { "missed" }
        );
    }
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
        let mut reader = supervisor.command(&["manager-inbox", "t", "--consume-next", "--wait", "--json"]);
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
