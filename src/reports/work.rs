//! How much work each view is on a history that is three times as long: no more, but for what it counts
//! in an index.

use jiff::Timestamp;

use super::telemetry::{Asked, ReadCheck, ReadFailures, ReadMetrics, ReadSnapshot, ReadTask, Thresholds};
use crate::domain::{CommandState, DeliveryState, Sides};
use crate::store::audit::ReadAudit;
use crate::store::commands::ListCommands;
use crate::store::criteria::ListCriteria;
use crate::store::cycles::ListDivergences;
use crate::store::deliveries::ListDeliveries;
use crate::store::discover::Discover;
use crate::store::doctor::BoundPairs;
use crate::store::drift::ReadRecords;
use crate::store::evidence::ListEvidence;
use crate::store::history::ReadHistory;
use crate::store::loop_status::GetLoopStatus;
use crate::store::mailbox::DeadLetters;
use crate::store::mutation_audit::AuditMutations;
use crate::store::notifications::ReadInbox;
use crate::store::page::Page;
use crate::store::runs::ListRuns;
use crate::store::session_facts::OpenFacts;
use crate::store::sessions::{ListSessions, SessionFilter};
use crate::store::tail::ReadTail;
use crate::store::tasks::ListTasks;
use crate::store::telemetry::{Find, ReadCounts};
use crate::store::testing::LongHistory;
use crate::store::top::ReadTop;
use crate::store::trace::Trace;
use crate::store::transcripts::ShowTranscript;
use crate::store::waits::ListWaits;

/// Rows of each list. All lists are full in the shorter history too.
const LIMIT: u32 = 5;

/// Instructions for each row that is counted, of all kinds that one view counts.
const COUNTED: u64 = 60;

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It ends where its lists are full.
    Lists,
    /// It counts rows of one task, or shows all that was agreed about it.
    CountsTask,
    /// It counts rows of all tasks.
    CountsAll,
}

#[test]
fn no_view_reads_more_of_a_longer_history() {
    let (turns, longer) = (500, 1500);
    let short = views(&LongHistory::new(turns * 5));
    let long = views(&LongHistory::new(longer * 5));
    let more_turns = (longer - turns) as u64;
    for ((name, kind, before), (_, _, after)) in short.into_iter().zip(long) {
        let counted = match kind {
            Kind::Lists => 0,
            // A tenth of all is of the task that is looked at.
            Kind::CountsTask => COUNTED * more_turns / 10,
            Kind::CountsAll => COUNTED * more_turns,
        };
        // Searching an index takes more steps the larger it is.
        let allowed = before + before / 10 + 300 + counted;
        assert!(after <= allowed, "{name}: {after} instructions instead of {before}, {allowed} are allowed");
    }
}

fn views(history: &LongHistory) -> Vec<(&'static str, Kind, u64)> {
    let mut views = Vec::new();
    of_a_task(history, &mut |name, work| views.push((name, Kind::Lists, work)));
    of_everything(history, &mut |name, work| views.push((name, Kind::Lists, work)));
    counting_a_task(history, &mut |name, work| views.push((name, Kind::CountsTask, work)));
    counting_everything(history, &mut |name, work| views.push((name, Kind::CountsAll, work)));
    views
}

fn of_a_task(history: &LongHistory, view: &mut impl FnMut(&'static str, u64)) {
    let task = || "t0".to_owned();
    view("mutation-audit", history.work(AuditMutations { task: task() }));
    view("divergences", history.work(ListDivergences { task: task(), limit: LIMIT }));
    let show = ShowTranscript { task: task(), sides: Sides::All, limit: LIMIT, include_content: true };
    view("transcript-show", history.work(show));
    view("criteria", history.work(ListCriteria { task: "t7".into(), statuses: Vec::new() }));
    for (name, subtype) in [("tail", None), ("tail of a kind", Some("nothing".to_owned()))] {
        let tail = ReadTail { session: "w0".into(), limit: LIMIT, subtype, include_content: false };
        view(name, history.work(tail));
    }
    view("manager-inbox", history.work(ReadInbox { session_id: "manager-0".into(), limit: LIMIT }));
    view("approvals of a task", history.work(ListWaits { task: Some(task()) }));
    let list = |task: &str| ListDeliveries { task: Some(task.into()), limit: LIMIT, ..Default::default() };
    view("deliveries of a task", history.work(list("t0")));
    view("deliveries of a small task", history.work(list("t999")));
    let unknown = ListDeliveries { state: Some(DeliveryState::Unknown), ..list("t0") };
    view("deliveries of a task and a state", history.work(unknown));
    let session = ListDeliveries { session: Some("m0".into()), limit: LIMIT, ..Default::default() };
    view("deliveries of a session", history.work(session));
    for task in ["t0", "t999"] {
        view("commands of a task", history.work(commands(Some(task), None)));
    }
    view("failed commands of a task", history.work(commands(Some("t0"), Some(CommandState::Failed))));
    let told = Find { task: Some(task()), limit: LIMIT, ..Default::default() };
    view("telemetry of a task", history.work(told));
}

fn of_everything(history: &LongHistory, view: &mut impl FnMut(&'static str, u64)) {
    view("tasks", history.work(ListTasks { active_only: false }));
    view("sessions", history.work(ListSessions(SessionFilter { without_pid: true, ..Default::default() })));
    view("conditions of sessions", history.work(OpenFacts));
    view("runs", history.work(ListRuns { task: None, status: None }));
    view("top", history.work(ReadTop { supervised: true, now: Timestamp::now() }));
    view("bound pairs", history.work(BoundPairs));
    view("approvals", history.work(ListWaits { task: None }));
    view("dead letters", history.work(DeadLetters { session_id: None, limit: LIMIT }));
    view("evidence", history.work(ListEvidence { task: None, criterion: None, limit: LIMIT }));
    for (name, state) in [("deliveries", None), ("deliveries in a state", Some(DeliveryState::Unknown))] {
        view(name, history.work(ListDeliveries { state, limit: LIMIT, ..Default::default() }));
    }
    for (name, state) in [("commands", None), ("commands in a state", Some(CommandState::Pending))] {
        view(name, history.work(commands(None, state)));
    }
    let discover = |all| Discover { query: "turn".into(), all, limit: LIMIT };
    view("discover", history.work(discover(false)));
    view("discover --all", history.work(discover(true)));
    let all = || Find { limit: LIMIT, ..Default::default() };
    view("telemetry", history.work(all()));
    view("telemetry with a word", history.work(Find { words: Some("worker".into()), ..all() }));
    view("telemetry of a type", history.work(Find { event_type: Some("nothing".into()), ..all() }));
    view("trace", history.work(Trace { id: "correlation-10".into() }));
    view("reconcile", history.work(ReadRecords { stuck_after_seconds: 3600.0 }));
}

fn counting_a_task(history: &LongHistory, view: &mut impl FnMut(&'static str, u64)) {
    let task = || "t0".to_owned();
    let page = || Page { limit: LIMIT, ..Page::default() };
    let audit = ReadAudit { task: task(), page: page(), include_content: false };
    view("audit", history.work(audit));
    for (name, include_content) in [("replay", false), ("replay with texts", true)] {
        view(name, history.work(ReadHistory { task: task(), page: page(), include_content }));
    }
    let asked = || asked(Some("t0"));
    view("telemetry failures of a task", history.work(ReadFailures(asked())));
    view("telemetry check of a task", history.work(ReadCheck(asked())));
    view("telemetry metrics of a task", history.work(ReadMetrics(asked())));
    view("telemetry task", history.work(ReadTask(asked())));
    view("telemetry snapshot", history.work(ReadSnapshot(asked())));
    view("telemetry --summary of a task", history.work(counts(Some("t0"))));
    view("loop-status", history.work(GetLoopStatus { task: task(), run: "loop-0".into() }));
}

fn counting_everything(history: &LongHistory, view: &mut impl FnMut(&'static str, u64)) {
    view("telemetry failures", history.work(ReadFailures(asked(None))));
    view("telemetry check", history.work(ReadCheck(asked(None))));
    view("telemetry metrics", history.work(ReadMetrics(asked(None))));
    view("telemetry --summary", history.work(counts(None)));
}

fn commands(task: Option<&str>, state: Option<CommandState>) -> ListCommands {
    ListCommands {
        task: task.map(str::to_owned),
        state,
        command_type: None,
        worker: None,
        manager: None,
        attempts: false,
        limit: LIMIT,
    }
}

fn counts(task: Option<&str>) -> ReadCounts {
    ReadCounts { task: task.map(str::to_owned), run: None, since: None }
}

fn asked(task: Option<&str>) -> Asked {
    Asked {
        task: task.map(str::to_owned),
        run: None,
        window: None,
        active_only: false,
        limit: LIMIT,
        thresholds: Thresholds {
            max_open_criteria: 0,
            max_storage_bytes: None,
            max_unfinished_commands: 0,
            stale_cycle_seconds: 3600.0,
            worker_staleness_seconds: 3600.0,
        },
        dead: Vec::new(),
        now: Timestamp::now(),
    }
}
