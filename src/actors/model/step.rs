//! What may happen next: steps of sessions, processes and people, in any order.

use proptest::prelude::*;
use proptest::sample::Index;

use super::thread::Deed;
use crate::domain::transport::TransportKind;
use crate::domain::{Settlement, TurnOutcome};

/// A step, the process that makes it where one does, and whether that process lives through it.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) step: Step,
    pub(super) process: usize,
    pub(super) fate: Fate,
}

/// What becomes of the process that makes a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// It is killed before the change is committed, or the commit fails.
    DiesBefore,
    /// It is killed when the change is committed, and knows nothing of it.
    DiesAfter,
}

/// One thing that happens. `who` is a session; an [`Index`] picks one of what there is.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A session writes to its rollout, perhaps only half a line.
    Does { who: usize, deed: Deed, half: bool },
    /// Turns end in quick succession.
    Burst { who: usize, turns: usize },
    /// `/clear`: the session goes on in a new thread.
    Clears { who: usize },
    /// `codex resume`: the session goes on in a thread it was in before.
    Resumes { who: usize, thread: Index },
    /// The supervisor notices where a session is.
    Follow { who: usize },
    /// A session is registered again, with or without a terminal.
    Register { who: usize, pushable: bool },
    /// A task is unbound, or bound to two that are free.
    Rebind { task: usize, worker: usize, manager: usize },
    /// A reader reads a rollout to its end.
    Ingest { who: usize },
    /// A reader takes a batch of lines from a rollout.
    Read { who: usize },
    /// A reader stores its batch.
    Store { reader: Index },
    /// A dispatcher makes a pass.
    Pass { limit: usize, back_off: bool },
    /// A dispatcher records that it is about to push.
    Begin { flight: Index, transport: TransportKind },
    /// The push leaves.
    Act { flight: Index },
    /// A dispatcher records how its push went, as far as it knows.
    Finish { flight: Index, is_certain: bool },
    /// All of that in a row; the text arrives at once, and may be seen to before it is finished.
    Push { flight: Index, transport: TransportKind, is_seen: bool },
    /// A text that was pushed arrives.
    Arrives { effect: Index, half: bool },
    /// A person nudges a session directly.
    Nudge { who: usize },
    /// Somebody queues a message, perhaps under an id that others have as well.
    Enqueue { task: usize, to_manager: bool, shared_id: bool, attempts: i64 },
    /// A reader of a mailbox gets its next item under a lease.
    Lease { inbox: Index },
    /// A reader of a mailbox takes its next item.
    Take { inbox: Index },
    /// A manager's cycle takes all items of its mailbox.
    Cycle { inbox: Index },
    /// A reader settles an item it was handed, with or without the token of the lease.
    Acknowledge { hold: Index, with_token: bool },
    /// Time passes for claims and rests.
    ClaimsRunOut,
    /// Time passes for leases.
    LeasesRunOut,
    /// The supervisor doubts what should have been seen to arrive by now.
    LookForOverdue,
    /// A person settles an unknown delivery.
    Settle { delivery: Index, settlement: Settlement },
    /// A process is killed, and started again.
    Restart,
}

pub(super) const SESSIONS: usize = 4;
pub(super) const TASKS: usize = 2;
pub(super) const PROCESSES: usize = 2;

/// Stories of up to `steps` steps.
pub(super) fn stories(steps: usize) -> impl Strategy<Value = Vec<Move>> {
    let fate = prop_oneof![8 => Just(Fate::Lives), 1 => Just(Fate::DiesBefore), 1 => Just(Fate::DiesAfter)];
    let one = (step(), 0..PROCESSES, fate).prop_map(|(step, process, fate)| Move { step, process, fate });
    proptest::collection::vec(one, 1..=steps)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => rollout_step(),
        4 => reading_step(),
        2 => session_step(),
        10 => dispatch_step(),
        6 => mailbox_step(),
        3 => time_step(),
    ]
}

fn who() -> std::ops::Range<usize> {
    0..SESSIONS
}

fn rollout_step() -> impl Strategy<Value = Step> {
    let outcome =
        prop_oneof![Just(TurnOutcome::Completed), Just(TurnOutcome::Interrupted), Just(TurnOutcome::Failed)];
    let deed = prop_oneof![
        3 => Just(Deed::Start),
        4 => outcome.prop_map(Deed::End),
        1 => Just(Deed::Noise),
        1 => Just(Deed::Garbage),
    ];
    prop_oneof![
        6 => (who(), deed, prop::bool::weighted(0.2)).prop_map(|(who, deed, half)| Step::Does { who, deed, half }),
        1 => (who(), 1..6usize).prop_map(|(who, turns)| Step::Burst { who, turns }),
    ]
}

fn reading_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => who().prop_map(|who| Step::Ingest { who }),
        1 => who().prop_map(|who| Step::Read { who }),
        1 => any::<Index>().prop_map(|reader| Step::Store { reader }),
    ]
}

fn session_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        2 => who().prop_map(|who| Step::Clears { who }),
        1 => (who(), index()).prop_map(|(who, thread)| Step::Resumes { who, thread }),
        3 => who().prop_map(|who| Step::Follow { who }),
        1 => (who(), any::<bool>()).prop_map(|(who, pushable)| Step::Register { who, pushable }),
        2 => (0..TASKS, 0..2usize, 0..2usize)
            .prop_map(|(task, worker, manager)| Step::Rebind { task, worker, manager }),
        1 => Just(Step::Restart),
    ]
}

fn dispatch_step() -> impl Strategy<Value = Step> {
    let transport = || {
        prop_oneof![
            2 => Just(TransportKind::AppServer),
            1 => Just(TransportKind::CodexQueue),
            2 => Just(TransportKind::Tmux)
        ]
    };
    let index = any::<Index>;
    prop_oneof![
        4 => (1..6usize, any::<bool>()).prop_map(|(limit, back_off)| Step::Pass { limit, back_off }),
        4 => (index(), transport()).prop_map(|(flight, transport)| Step::Begin { flight, transport }),
        4 => index().prop_map(|flight| Step::Act { flight }),
        4 => (index(), prop::bool::weighted(0.7))
            .prop_map(|(flight, is_certain)| Step::Finish { flight, is_certain }),
        2 => (index(), transport(), any::<bool>())
            .prop_map(|(flight, transport, is_seen)| Step::Push { flight, transport, is_seen }),
        4 => (index(), prop::bool::weighted(0.2)).prop_map(|(effect, half)| Step::Arrives { effect, half }),
        1 => who().prop_map(|who| Step::Nudge { who }),
        2 => (0..TASKS, any::<bool>(), any::<bool>(), 1..3i64).prop_map(
            |(task, to_manager, shared_id, attempts)| Step::Enqueue { task, to_manager, shared_id, attempts }
        ),
    ]
}

fn mailbox_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => index().prop_map(|inbox| Step::Lease { inbox }),
        1 => index().prop_map(|inbox| Step::Take { inbox }),
        1 => index().prop_map(|inbox| Step::Cycle { inbox }),
        4 => (index(), prop::bool::weighted(0.9))
            .prop_map(|(hold, with_token)| Step::Acknowledge { hold, with_token }),
    ]
}

fn time_step() -> impl Strategy<Value = Step> {
    let settlement = prop_oneof![Just(Settlement::Delivered), Just(Settlement::Failed)];
    prop_oneof![
        2 => Just(Step::ClaimsRunOut),
        2 => Just(Step::LeasesRunOut),
        2 => Just(Step::LookForOverdue),
        4 => (any::<Index>(), settlement)
            .prop_map(|(delivery, settlement)| Step::Settle { delivery, settlement }),
    ]
}
