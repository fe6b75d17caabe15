//! Which key interrupts the program in a pane without ending it.
//!
//! C-c at a Codex that runs no turn ends it, so there it takes a person's word. A screen that is not
//! known may be that of a newer Codex.

use crate::codex::pane::{PaneClass, may_be_codex};
use crate::tmux::{KeyName, Pane};

/// Whether Codex may read the keys of a pane that shows `class`. `is_known` when the pane was recorded
/// as that of a Codex session.
pub(super) fn codex_may_read(pane: &Pane, class: PaneClass, is_known: bool) -> bool {
    is_known || class != PaneClass::Unknown || may_be_codex(&pane.program)
}

/// The key that interrupts: Escape harms no Codex, any other program knows C-c.
pub(super) fn usual_key(is_codex: bool) -> KeyName {
    if is_codex { KeyName::escape() } else { KeyName::interrupt() }
}

/// Whether the key may end what reads it, rather than interrupt it.
pub(super) fn may_end(key: &KeyName, is_codex: bool, class: PaneClass) -> bool {
    *key == KeyName::interrupt() && is_codex && !runs_a_turn(class)
}

/// Whether the screen shows a turn that runs.
pub(super) fn runs_a_turn(class: PaneClass) -> bool {
    matches!(class, PaneClass::Working | PaneClass::WorkingRetrying)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::testing::pane;
    use crate::codex::pane::{Block, Death};

    #[test]
    fn c_c_goes_only_to_a_running_turn_or_another_program() {
        fn check(class: PaneClass, program: &str, usual: &str, c_c_may_end: bool) {
            let pane = pane(program);
            let is_codex = codex_may_read(&pane, class, false);
            assert_eq!(usual_key(is_codex).as_str(), usual, "{class} {program}");
            assert_eq!(may_end(&KeyName::interrupt(), is_codex, class), c_c_may_end, "{class} {program}");
            assert!(!may_end(&KeyName::escape(), is_codex, class), "{class} {program}");
        }
        check(PaneClass::Working, "codex", "Escape", false);
        check(PaneClass::WorkingRetrying, "codex", "Escape", false);
        check(PaneClass::Idle, "codex", "Escape", true);
        check(PaneClass::IdleError, "sh", "Escape", true);
        check(PaneClass::Blocked(Block::Approval), "codex", "Escape", true);
        check(PaneClass::Dead(Death::Server), "codex", "Escape", true);
        check(PaneClass::Unknown, "codex", "Escape", true);
        check(PaneClass::Unknown, "codex-x86_64", "Escape", true);
        check(PaneClass::Unknown, "node", "Escape", true);
        check(PaneClass::Unknown, "cat", "C-c", false);
        check(PaneClass::Unknown, "bash", "C-c", false);
    }
}
