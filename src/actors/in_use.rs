//! Whether an actor is needed still.
//!
//! Two actors for the same thing would not wait for each other. So one is let go only when nothing is
//! asked of it, and nothing it began is under way.

use std::sync::Arc;

/// Held by whatever is asked of an actor, or is done by it, and by whoever may let it go.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<()>);

impl InUse {
    /// Whether anybody else holds it.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
