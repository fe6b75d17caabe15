//! What the reader of a mailbox item says about it.

use super::words::words;

words! {
    /// What the reader of a mailbox item says about it. Each of them settles the item.
    AckStatus {
        /// It was read.
        Received = "received",
        /// It was read and will be acted on.
        Accepted = "accepted",
        /// It was read and cannot be acted on.
        Blocked = "blocked",
    }
}
