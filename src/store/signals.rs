//! Hints that something changed. They carry nothing: the tables are the truth, and a reader that
//! misses one finds the same rows at its next look.

use tokio::sync::watch;

/// What a change touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Sessions, bindings or tasks came, went or changed.
    Sessions,
    /// There may be a fact or a command for the dispatcher.
    Work,
    /// An item may have arrived in, or left, a mailbox.
    Inbox,
    /// A delivery may wait for its receipt, or got it.
    Deliveries,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] = [Self::Sessions, Self::Work, Self::Inbox, Self::Deliveries];
}

/// One counter a topic. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signals([watch::Sender<u64>; Topic::ALL.len()]);

impl Default for Signals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| watch::Sender::new(0)))
    }
}

impl Signals {
    /// Wakes everyone who watches `topic`.
    pub fn raise(&self, topic: Topic) {
        self.0[topic as usize].send_modify(|count| *count += 1);
    }

    /// Wakes everyone: somebody else wrote, and what is unknown.
    pub fn raise_all(&self) {
        for topic in Topic::ALL {
            self.raise(topic);
        }
    }

    /// A receiver that is woken from now on.
    pub fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        self.0[topic as usize].subscribe()
    }

    /// How many are to be woken.
    #[cfg(test)]
    pub fn watchers(&self, topic: Topic) -> usize {
        self.0[topic as usize].receiver_count()
    }
}
