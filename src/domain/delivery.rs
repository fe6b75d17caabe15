//! How far a delivery has got, and how a person may settle one.

use super::words::words;

words! {
    /// The states of a delivery. `docs/deliveries.md` has each with its exits.
    DeliveryState {
        /// Somebody is about to make it.
        Claimed = "claimed",
        /// The effect is about to happen, or has happened.
        Started = "started",
        /// The transport took it, or it lies in a mailbox.
        Sent = "sent",
        /// The target was seen to receive it.
        Observed = "observed",
        /// Nothing was sent.
        Failed = "failed",
        /// It may have been sent. Never repeated without evidence.
        Unknown = "unknown",
    }
}

words! {
    /// How a person settles a delivery of which nobody knows whether it arrived.
    Settlement {
        /// It arrived.
        Delivered = "delivered",
        /// It did not: a fact is delivered again, a message is not.
        Failed = "failed",
    }
}

impl DeliveryState {
    /// Whether it stays so.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Observed | Self::Failed)
    }
}

impl Settlement {
    /// The state the delivery is in afterwards.
    pub fn state(self) -> DeliveryState {
        match self {
            Self::Delivered => DeliveryState::Observed,
            Self::Failed => DeliveryState::Failed,
        }
    }
}
