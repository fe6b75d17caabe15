//! Which tables are covered, and which of their columns from when on.

/// A table whose rows are a record.
#[derive(Debug)]
pub(super) struct Covered {
    pub(super) name: &'static str,
    /// Its key is the row's number in SQLite as well.
    pub(super) has_number: bool,
    /// No other program knows it.
    pub(super) is_ours: bool,
    /// The column with the row's beginning.
    pub(super) begun: &'static str,
    pub(super) facets: &'static [Facet],
}

/// Columns that stay as they are from one moment on.
#[derive(Debug)]
pub(super) struct Facet {
    pub(super) name: &'static str,
    /// The SQL condition of that moment.
    pub(super) when: &'static str,
    pub(super) columns: &'static [&'static str],
}

const fn written(columns: &'static [&'static str]) -> Facet {
    Facet { name: WRITTEN, when: "TRUE", columns }
}

/// The facet that every table has: what a row was written with.
pub(super) const WRITTEN: &str = "written";

/// Every covered table.
pub(super) const TABLES: &[Covered] = &[
    Covered {
        name: "events",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "created_at",
            "actor",
            "command_id",
            "correlation_id",
            "task_id",
            "worker_id",
            "manager_id",
            "type",
            "payload_json",
        ])],
    },
    Covered {
        name: "manager_decisions",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "task_id",
            "manager_id",
            "manager_cycle_id",
            "decision",
            "reason",
            "created_at",
            "payload_json",
        ])],
    },
    Covered {
        name: "tasks",
        has_number: false,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&["name", "goal", "created_at"])],
    },
    Covered {
        name: "commands",
        has_number: false,
        is_ours: false,
        begun: "created_at",
        facets: &[
            written(&[
                "idempotency_key",
                "created_at",
                "task_id",
                "correlation_id",
                "type",
                "required_permission",
                "payload_json",
            ]),
            Facet {
                name: "settled",
                when: "state IN ('succeeded', 'failed', 'blocked')",
                columns: &["state", "result_json", "error"],
            },
        ],
    },
    Covered {
        name: "command_attempts",
        has_number: true,
        is_ours: false,
        begun: "started_at",
        facets: &[
            written(&["command_id", "correlation_id", "dispatcher_id", "started_at"]),
            Facet {
                name: "settled",
                when: "state <> 'running'",
                columns: &[
                    "state",
                    "finished_at",
                    "result_json",
                    "error",
                    "side_effect_started",
                    "side_effect_completed",
                ],
            },
        ],
    },
    Covered {
        name: "routed_notifications",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[
            written(&[
                "task_id",
                "binding_id",
                "correlation_id",
                "source_session_id",
                "target_session_id",
                "signal_type",
                "source_event_id",
                "source_event_timestamp",
                "dedupe_key",
                "command_id",
                "created_at",
                "payload_json",
            ]),
            Facet {
                name: "taken",
                when: "consumed_at IS NOT NULL",
                columns: &["consumed_at", "consumed_by_session_id", "consumed_manager_cycle_id"],
            },
        ],
    },
    Covered {
        name: "turn_facts",
        has_number: true,
        is_ours: true,
        begun: "recorded_at",
        facets: &[written(&[
            "session_id",
            "thread_id",
            "turn_key",
            "outcome",
            "event_id",
            "error_json",
            "recorded_at",
        ])],
    },
    Covered {
        name: "deliveries",
        has_number: true,
        is_ours: true,
        begun: "claimed_at",
        facets: &[
            written(&["notification_id", "command_id", "source", "target_session_id", "correlation_id"]),
            Facet {
                name: "settled",
                when: "state IN ('observed', 'failed')",
                columns: &[
                    "state",
                    "transport",
                    "body_sha256",
                    "started_at",
                    "sent_at",
                    "settled_at",
                    "receipt_event_id",
                    "receipt_json",
                    "error",
                ],
            },
        ],
    },
    Covered {
        name: "acceptance_criteria",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[
            written(&["task_id", "criterion", "source", "created_at"]),
            Facet {
                name: "standing",
                when: "TRUE",
                columns: &["status", "proof", "rationale", "evidence_json"],
            },
        ],
    },
    Covered {
        name: "task_acknowledgements",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "task_id",
            "binding_id",
            "role",
            "payload_json",
            "revision",
            "manager_config_revision",
            "created_at",
            "correlation_id",
        ])],
    },
    Covered {
        name: "worker_handoffs",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "task_id",
            "worker_session_id",
            "summary",
            "next_steps_json",
            "payload_json",
            "created_at",
        ])],
    },
    Covered {
        name: "task_continuations",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "task_id",
            "proposer",
            "payload_json",
            "revision",
            "created_at",
            "correlation_id",
        ])],
    },
    Covered {
        name: "continuation_reviews",
        has_number: true,
        is_ours: false,
        begun: "created_at",
        facets: &[written(&[
            "task_id",
            "worker_continuation_id",
            "manager_continuation_id",
            "agreement",
            "verdict",
            "addendum",
            "rationale",
            "subagent_run_json",
            "created_at",
            "correlation_id",
        ])],
    },
    Covered {
        name: "terminal_captures",
        has_number: true,
        is_ours: false,
        begun: "captured_at",
        facets: &[
            written(&[
                "task_id",
                "role",
                "tmux_session",
                "tmux_pane_id",
                "command_id",
                "captured_at",
                "history_lines",
                "content_sha256",
                "byte_count",
                "line_count",
                "classifier_json",
                "source",
            ]),
            Facet { name: "text", when: "TRUE", columns: &["content"] },
        ],
    },
    Covered {
        name: "executed_evidence",
        has_number: true,
        is_ours: true,
        begun: "started_at",
        facets: &[
            written(&[
                "task_id",
                "criterion_id",
                "loop_run_id",
                "iteration",
                "evidence_type",
                "argv_json",
                "directory",
                "run_by_session_id",
                "started_at",
            ]),
            Facet {
                name: "settled",
                when: "state <> 'running'",
                columns: &[
                    "state",
                    "ended_at",
                    "duration_ms",
                    "exit_code",
                    "error",
                    "output_sha256",
                    "worktree",
                    "git_commit",
                    "git_dirty",
                    "tree_before",
                    "tree_after",
                ],
            },
        ],
    },
];
