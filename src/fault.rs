//! Named points at which a fault can be made to happen, to prove that none does harm.
//!
//! `CONVEYOR_FAULT=POINT[:NTH[-LAST]][=EFFECT],…` in the environment of a process makes it suffer
//! EFFECT (`kill` unless given) when it comes to POINT for the NTH time, the first unless given, and
//! each time after that up to the LAST. The tests and `cargo xtask soak` set it. Without it a point
//! costs a look at one pointer.

use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::Failure;

const VARIABLE: &str = "CONVEYOR_FAULT";

macro_rules! points {
    ($($(#[$about:meta])* $point:ident = $name:literal in $file:literal;)*) => {
        /// Where a fault can be made to happen: between two things of which one is done and the other
        /// is not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point { $($(#[$about])* $point,)* }

        impl Point {
            /// Every point.
            pub const ALL: &'static [Self] = &[$(Self::$point,)*];

            /// What it is called in the environment.
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }

            /// The file, below `src`, that comes to it.
            pub fn file(self) -> &'static str {
                match self { $(Self::$point => $file,)* }
            }
        }
    };
}

points! {
    /// Changes wait, and the transaction they are to share is not begun.
    StoreBegin = "store.begin" in "store/writer.rs";
    /// The changes of a batch were made and are not committed.
    StoreCommit = "store.commit" in "store/writer.rs";
    /// A batch is committed and nobody was told.
    StoreCommitted = "store.committed" in "store/writer.rs";
    /// Lines of a rollout were read, facts and receipts among them, and are not stored.
    RolloutRead = "rollout.read" in "actors/ingest/mod.rs";
    /// Facts are stored and nobody was woken.
    FactStored = "fact.stored" in "actors/ingest/mod.rs";
    /// The items of a pass are claimed and none is pushed.
    DispatchClaimed = "dispatch.claimed" in "actors/dispatcher.rs";
    /// It is on record that a push begins, and nothing was sent.
    PushStarted = "push.started" in "actors/hands.rs";
    /// A text stands in a composer and is not submitted.
    PushTyped = "push.typed" in "actors/transport/tmux.rs";
    /// A push was made and how it went is not on record.
    PushMade = "push.made" in "actors/hands.rs";
    /// A mailbox item was handed out or taken, and its reader does not have it.
    InboxTaken = "inbox.taken" in "actors/calls/inbox.rs";
    /// An item is acknowledged and its reader was not told.
    InboxAcknowledged = "inbox.acknowledged" in "actors/calls/inbox.rs";
    /// A call was served and its answer is not sent.
    GatewayReply = "gateway.reply" in "actors/gateway.rs";
    /// The dispatcher panicked and a new one is not there.
    GuardianRestart = "guardian.restart" in "actors/guardian.rs";
    /// It is on record that a session is about to start, and nothing is started.
    LaunchPlanned = "launch.planned" in "actors/launch/mod.rs";
    /// A session runs and is not registered.
    LaunchStarted = "launch.started" in "actors/launch/mod.rs";
    /// A session is registered and its first prompt is not sent.
    LaunchRegistered = "launch.registered" in "actors/launch/register.rs";
    /// It is on record that a task is being closed, and none of its sessions is ended.
    ClosingBegun = "closing.begun" in "actors/calls/closing.rs";
    /// The sessions of a task are ended, and the task is not closed.
    ClosingEnded = "closing.ended" in "actors/calls/closing.rs";
}

/// What a process can be made to suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It is killed, which it cannot prepare for.
    Kill,
    /// Whoever came to the point panics.
    Panic,
    /// The store finds this trouble. Elsewhere nothing happens.
    Trouble(Trouble),
}

/// What the disk, or another process, can do to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk is full.
    Full,
    /// The disk cannot be read or written.
    Io,
    /// Another process has the database locked.
    Busy,
}

impl Point {
    /// Suffers what was planned for this point, if that is to be killed or to panic.
    pub fn reach(self) {
        // Trouble is for the store, which asks for it.
        let _ = self.trouble();
    }

    /// Suffers what was planned for this point; gives trouble to whoever can fail by it.
    ///
    /// # Panics
    /// When that was planned.
    pub fn trouble(self) -> Option<Trouble> {
        let plan = PLAN.as_ref().ok()?;
        let effect = plan.iter().find_map(|fault| fault.strikes(self))?;
        match effect {
            Effect::Kill => die(),
            Effect::Panic => panic!("the planned fault at {}", self.name()),
            Effect::Trouble(trouble) => Some(trouble),
        }
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The signal is on its way.
    std::process::abort()
}

/// Refuses a plan that cannot be read, before anything is done.
///
/// # Errors
/// What is wrong with it.
pub fn check_plan() -> Result<(), Failure> {
    match &*PLAN {
        Ok(_) => Ok(()),
        Err(problem) => Err(Failure::usage(format!("{VARIABLE} is not understood: {problem}"))
            .hint(format!("unset {VARIABLE}: it is for tests"))),
    }
}

static PLAN: LazyLock<Result<Vec<Fault>, String>> = LazyLock::new(|| match std::env::var(VARIABLE) {
    Err(_) => Ok(Vec::new()),
    Ok(plan) => plan.split(',').map(str::parse).collect(),
});

/// A planned fault, and how often its point was reached.
#[derive(Debug)]
struct Fault {
    point: Point,
    first: u32,
    last: u32,
    effect: Effect,
    reached: AtomicU32,
}

impl Fault {
    fn strikes(&self, point: Point) -> Option<Effect> {
        if self.point != point {
            return None;
        }
        let time = self.reached.fetch_add(1, Ordering::Relaxed) + 1;
        (self.first..=self.last).contains(&time).then_some(self.effect)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (place, effect) = text.split_once('=').unwrap_or((text, "kill"));
        let (name, times) = place.split_once(':').unwrap_or((place, "1"));
        let (first, last) = times.split_once('-').unwrap_or((times, times));
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        Ok(Self {
            point: Point::ALL
                .iter()
                .copied()
                .find(|point| point.name() == name)
                .ok_or_else(|| format!("there is no point {name:?}"))?,
            first: number(first)?,
            last: number(last)?,
            effect: effect.parse()?,
            reached: AtomicU32::new(0),
        })
    }
}

impl FromStr for Effect {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "kill" => Self::Kill,
            "panic" => Self::Panic,
            "full" => Self::Trouble(Trouble::Full),
            "ioerr" => Self::Trouble(Trouble::Io),
            "busy" => Self::Trouble(Trouble::Busy),
            _ => return Err(format!("there is no effect {word:?}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_at_its_point_and_its_times() {
        fn check(plan: &str, expect: &str) {
            let fault: Fault = plan.parse().unwrap();
            assert_eq!(fault.strikes(Point::PushMade), None, "{plan}");
            let struck = (0..4).map(|_| fault.strikes(Point::StoreCommit).map_or('.', |_| 'x'));
            assert_eq!(struck.collect::<String>(), expect, "{plan}");
        }
        check("store.commit", "x...");
        check("store.commit:3=full", "..x.");
        check("store.commit:2-3=ioerr", ".xx.");
    }

    #[test]
    fn a_plan_that_is_none_is_refused() {
        for (plan, expect) in [
            ("store.comit", "no point \"store.comit\""),
            ("store.commit:x", "\"x\" is no number"),
            ("store.commit=oops", "no effect \"oops\""),
        ] {
            let problem = plan.parse::<Fault>().unwrap_err();
            assert!(problem.contains(expect), "{problem}");
        }
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: std::collections::HashSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
