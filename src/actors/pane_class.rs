//! The class of a pane that was looked at.

use crate::codex::pane::{PaneClass, classify};
use crate::tmux::PaneView;

/// Classifies a pane by its screen and its title.
pub(super) fn classify_view(view: &PaneView) -> PaneClass {
    classify(&view.text, Some(&view.pane.title))
}
