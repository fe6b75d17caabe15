//! What can be waited for.

use super::words::words;

words! {
    /// What can be waited for. What is so already counts, except for turns that have ended.
    Condition {
        /// A turn of a worker ends, in whatever way.
        TurnEnd = "turn-end",
        /// There is something in an inbox.
        Inbox = "inbox",
        /// The newest delivery is decided: observed, failed or unknown.
        Delivery = "delivery",
        /// A process of a session is gone.
        Exit = "exit",
        /// A session waits for an approval or an answer.
        Approval = "approval",
    }
}
