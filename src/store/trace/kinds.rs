//! The kinds of objects that stand in the chain from cause to effect: how each is read, and what led to
//! it and came of it.

use super::ObjectKind;

/// A step to other objects: their kind, and the SQL that gives their keys for the key `?1`.
pub(super) type Step = (ObjectKind, &'static str);

/// How objects of a kind are found.
pub(super) struct Kind {
    /// Gives `(instant, JSON object)` for the key `?1`.
    pub(super) read: &'static str,
    /// What led to it.
    pub(super) causes: &'static [Step],
    /// What came of it.
    pub(super) effects: &'static [Step],
    /// Gives its keys for the correlation id `?1`; none where it has none of its own.
    pub(super) correlated: Option<&'static str>,
}

impl ObjectKind {
    pub(super) fn about(self) -> &'static Kind {
        match self {
            Self::Fact => &FACT,
            Self::Notification => &NOTIFICATION,
            Self::Delivery => &DELIVERY,
            Self::Cycle => &CYCLE,
            Self::Decision => &DECISION,
            Self::Command => &COMMAND,
            Self::Attempt => &ATTEMPT,
            Self::Criterion => &CRITERION,
            Self::Evidence => &EVIDENCE,
            Self::Event => &EVENT,
        }
    }
}

const FACT: Kind = Kind {
    read: "SELECT COALESCE(e.timestamp, f.recorded_at), json_object(
            'session', s.name, 'turn', f.turn_key, 'outcome', f.outcome, 'event_id', f.event_id)
        FROM turn_facts f JOIN sessions s ON s.id = f.session_id LEFT JOIN codex_events e ON e.id = f.event_id
        WHERE f.id = ?1",
    causes: &[],
    effects: &[(
        ObjectKind::Notification,
        "SELECT n.id FROM turn_facts f JOIN routed_notifications n ON n.source_event_id = f.event_id
         WHERE f.id = ?1 ORDER BY n.id",
    )],
    correlated: None,
};

const NOTIFICATION: Kind = Kind {
    read: "SELECT n.created_at, json_object('signal_type', n.signal_type, 'state', n.state, 'from', source.name,
            'to', target.name, 'task', t.name, 'correlation_id', n.correlation_id, 'consumed_at', n.consumed_at)
        FROM routed_notifications n JOIN tasks t ON t.id = n.task_id
        JOIN sessions source ON source.id = n.source_session_id
        JOIN sessions target ON target.id = n.target_session_id WHERE n.id = ?1",
    causes: &[
        (
            ObjectKind::Fact,
            "SELECT f.id FROM routed_notifications n JOIN turn_facts f ON f.event_id = n.source_event_id WHERE n.id = ?1",
        ),
        (
            ObjectKind::Command,
            "SELECT command_id FROM routed_notifications WHERE id = ?1 AND command_id IS NOT NULL",
        ),
    ],
    effects: &[
        (ObjectKind::Delivery, "SELECT id FROM deliveries WHERE notification_id = ?1 ORDER BY id"),
        (
            ObjectKind::Cycle,
            "SELECT consumed_manager_cycle_id FROM routed_notifications
             WHERE id = ?1 AND consumed_manager_cycle_id IS NOT NULL",
        ),
    ],
    correlated: Some("SELECT id FROM routed_notifications WHERE correlation_id = ?1 ORDER BY id LIMIT 50"),
};

const DELIVERY: Kind = Kind {
    read: "SELECT d.claimed_at, json_object('state', d.state, 'transport', d.transport, 'to', s.name,
            'started_at', d.started_at, 'sent_at', d.sent_at, 'settled_at', d.settled_at,
            'receipt_event_id', d.receipt_event_id, 'error', d.error, 'correlation_id', d.correlation_id)
        FROM deliveries d JOIN sessions s ON s.id = d.target_session_id WHERE d.id = ?1",
    causes: &[
        (
            ObjectKind::Notification,
            "SELECT notification_id FROM deliveries WHERE id = ?1 AND notification_id IS NOT NULL",
        ),
        (
            ObjectKind::Command,
            "SELECT command_id FROM deliveries WHERE id = ?1 AND notification_id IS NULL AND command_id IS NOT NULL",
        ),
    ],
    effects: &[],
    correlated: Some("SELECT id FROM deliveries WHERE correlation_id = ?1 ORDER BY id LIMIT 50"),
};

const CYCLE: Kind = Kind {
    read: "SELECT c.started_at, json_object('state', c.state, 'task', t.name,
            'worker_state', json_extract(c.status_json, '$.state'), 'error', c.error)
        FROM manager_cycles c JOIN tasks t ON t.id = c.task_id WHERE c.id = ?1",
    causes: &[(
        ObjectKind::Notification,
        "SELECT id FROM routed_notifications WHERE consumed_manager_cycle_id = ?1 ORDER BY id LIMIT 50",
    )],
    effects: &[(
        ObjectKind::Decision,
        "SELECT id FROM manager_decisions WHERE manager_cycle_id = ?1 ORDER BY id LIMIT 50",
    )],
    correlated: None,
};

const DECISION: Kind = Kind {
    read: "SELECT d.created_at, json_object('decision', d.decision, 'reason', d.reason, 'task', t.name)
        FROM manager_decisions d JOIN tasks t ON t.id = d.task_id WHERE d.id = ?1",
    causes: &[(
        ObjectKind::Cycle,
        "SELECT manager_cycle_id FROM manager_decisions WHERE id = ?1 AND manager_cycle_id IS NOT NULL",
    )],
    effects: &[(
        ObjectKind::Command,
        "SELECT id FROM commands WHERE json_extract(payload_json, '$.manager_decision_id') = CAST(?1 AS INTEGER)
         UNION SELECT id FROM commands
         WHERE json_extract(payload_json, '$.manager_decision.decision_id') = CAST(?1 AS INTEGER)",
    )],
    correlated: None,
};

const COMMAND: Kind = Kind {
    read:
        "SELECT c.created_at, json_object('type', c.type, 'state', c.state, 'task', t.name, 'error', c.error,
            'correlation_id', c.correlation_id)
        FROM commands c LEFT JOIN tasks t ON t.id = c.task_id WHERE c.id = ?1",
    causes: &[(
        ObjectKind::Decision,
        "SELECT d.id FROM commands c JOIN manager_decisions d ON d.id = COALESCE(
             json_extract(c.payload_json, '$.manager_decision_id'),
             json_extract(c.payload_json, '$.manager_decision.decision_id'))
         WHERE c.id = ?1",
    )],
    effects: &[
        (
            ObjectKind::Evidence,
            "SELECT e.id FROM commands c JOIN executed_evidence e
             ON e.loop_run_id = json_extract(c.payload_json, '$.ralph_loop.run_id')
             AND e.iteration = json_extract(c.payload_json, '$.ralph_loop.requested_iteration') - 1
             WHERE c.id = ?1 ORDER BY e.id LIMIT 50",
        ),
        (
            ObjectKind::Criterion,
            "SELECT a.id FROM commands c CROSS JOIN acceptance_criteria a ON a.task_id = c.task_id
             WHERE c.id = ?1 AND c.type = 'finish_task' AND a.status = 'satisfied' ORDER BY a.id LIMIT 50",
        ),
        (ObjectKind::Attempt, "SELECT id FROM command_attempts WHERE command_id = ?1 ORDER BY id LIMIT 50"),
        (
            ObjectKind::Notification,
            "SELECT id FROM routed_notifications WHERE command_id = ?1 ORDER BY id LIMIT 50",
        ),
        (
            ObjectKind::Delivery,
            "SELECT id FROM deliveries WHERE command_id = ?1 AND notification_id IS NULL ORDER BY id LIMIT 50",
        ),
        (ObjectKind::Event, "SELECT id FROM events WHERE command_id = ?1 ORDER BY id LIMIT 50"),
    ],
    correlated: Some("SELECT id FROM commands WHERE correlation_id = ?1 ORDER BY rowid LIMIT 50"),
};

const ATTEMPT: Kind = Kind {
    read: "SELECT started_at, json_object('state', state, 'by', dispatcher_id, 'finished_at', finished_at, 'error', error)
        FROM command_attempts WHERE id = ?1",
    causes: &[(ObjectKind::Command, "SELECT command_id FROM command_attempts WHERE id = ?1")],
    effects: &[],
    correlated: None,
};

const CRITERION: Kind = Kind {
    read: "SELECT a.updated_at, json_object('criterion', a.criterion, 'status', a.status, 'proof', a.proof, 'task', t.name)
        FROM acceptance_criteria a JOIN tasks t ON t.id = a.task_id WHERE a.id = ?1",
    causes: &[(
        ObjectKind::Command,
        "SELECT c.id FROM acceptance_criteria a JOIN commands c ON c.task_id = a.task_id AND c.type = 'finish_task'
         WHERE a.id = ?1 AND a.status = 'satisfied' AND c.state = 'succeeded' LIMIT 1",
    )],
    effects: &[(
        ObjectKind::Evidence,
        "SELECT id FROM executed_evidence WHERE criterion_id = ?1 ORDER BY id LIMIT 50",
    )],
    correlated: None,
};

const EVIDENCE: Kind = Kind {
    read: "SELECT e.started_at, json_object('state', e.state, 'argv', json(e.argv_json), 'exit_code', e.exit_code,
            'duration_ms', e.duration_ms, 'git_commit', e.git_commit, 'git_dirty', e.git_dirty, 'task', t.name)
        FROM executed_evidence e JOIN tasks t ON t.id = e.task_id WHERE e.id = ?1",
    causes: &[
        (
            ObjectKind::Criterion,
            "SELECT criterion_id FROM executed_evidence WHERE id = ?1 AND criterion_id IS NOT NULL",
        ),
        (
            ObjectKind::Command,
            "SELECT c.id FROM executed_evidence e JOIN commands c
             ON c.task_id = e.task_id AND c.type = 'continue_iteration'
             AND json_extract(c.payload_json, '$.ralph_loop.run_id') = e.loop_run_id
             AND json_extract(c.payload_json, '$.ralph_loop.requested_iteration') = e.iteration + 1
             WHERE e.id = ?1 LIMIT 50",
        ),
    ],
    effects: &[],
    correlated: None,
};

const EVENT: Kind = Kind {
    read: "SELECT created_at, json_object('type', type, 'actor', actor, 'correlation_id', correlation_id)
        FROM events WHERE id = ?1",
    causes: &[(
        ObjectKind::Command,
        "SELECT command_id FROM events WHERE id = ?1 AND command_id IS NOT NULL",
    )],
    effects: &[],
    correlated: Some("SELECT id FROM events WHERE correlation_id = ?1 ORDER BY id LIMIT 50"),
};
