//! Executed evidence: what a command that conveyor ran itself says about the work, and for how long.

use super::words::words;

words! {
    /// How the command of a piece of evidence went.
    EvidenceState {
        /// It was started; no end is on record. When its runner is gone, it fails at the next look.
        Running = "running",
        /// It exited with 0.
        Passed = "passed",
        /// It exited with something else, or a signal ended it.
        Failed = "failed",
        /// It did not end within its limit and was killed.
        TimedOut = "timed_out",
        /// Whoever ran it was told to stop, and it was killed.
        Interrupted = "interrupted",
        /// It could not be started.
        NotStarted = "not_started",
    }
}

words! {
    /// Whether a piece of evidence still counts.
    Freshness {
        /// It passed, and the tree is as it was then.
        Fresh = "fresh",
        /// The tree has changed since.
        Stale = "stale",
        /// The tree changed while the command ran, so nobody knows what it was taken on.
        TreeChangedMeanwhile = "tree_changed_meanwhile",
        /// It was taken outside a git work tree, so nobody can tell whether it still holds.
        NoTree = "no_tree",
        /// The command did not pass.
        NotPassed = "not_passed",
    }
}

words! {
    /// What a criterion's evidence is.
    EvidenceKind {
        /// There is none.
        None = "none",
        /// Somebody said so.
        SelfReported = "self_reported",
        /// A command that conveyor ran showed it.
        Executed = "executed",
    }
}

/// The trees a piece of evidence was taken on, and the one that was there at the last look.
#[derive(Debug, Clone, Copy)]
pub struct Trees<'a> {
    /// Before the command ran.
    pub before: Option<&'a str>,
    /// After it.
    pub after: Option<&'a str>,
    /// At the last look.
    pub seen: Option<&'a str>,
}

impl Freshness {
    /// Whether evidence in this state, taken on these trees, still counts.
    pub fn of(state: EvidenceState, trees: Trees<'_>) -> Self {
        match (trees.before, trees.after, trees.seen) {
            _ if state != EvidenceState::Passed => Self::NotPassed,
            (None, ..) => Self::NoTree,
            (before, after, _) if before != after => Self::TreeChangedMeanwhile,
            (_, after, seen) if after != seen => Self::Stale,
            _ => Self::Fresh,
        }
    }

    /// Why it does not count, after "evidence 3 …".
    pub fn says(self) -> &'static str {
        match self {
            Self::Fresh => "counts",
            Self::Stale => "is stale: the tree has changed since",
            Self::TreeChangedMeanwhile => {
                "does not count: the tree changed while it ran (let git ignore what the command writes)"
            }
            Self::NoTree => "does not count: it was not taken in a git work tree",
            Self::NotPassed => "did not pass",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_counts_while_its_tree_stands() {
        fn check(state: EvidenceState, trees: [Option<&str>; 3], expect: Freshness) {
            let [before, after, seen] = trees;
            assert_eq!(Freshness::of(state, Trees { before, after, seen }), expect, "{state} {trees:?}");
        }
        let (a, b) = (Some("a"), Some("b"));
        check(EvidenceState::Passed, [a, a, a], Freshness::Fresh);
        check(EvidenceState::Passed, [a, a, b], Freshness::Stale);
        check(EvidenceState::Passed, [a, a, None], Freshness::Stale);
        check(EvidenceState::Passed, [a, b, b], Freshness::TreeChangedMeanwhile);
        check(EvidenceState::Passed, [a, None, None], Freshness::TreeChangedMeanwhile);
        check(EvidenceState::Passed, [None, None, None], Freshness::NoTree);
        check(EvidenceState::Failed, [a, a, a], Freshness::NotPassed);
        check(EvidenceState::Running, [a, None, None], Freshness::NotPassed);
    }
}
