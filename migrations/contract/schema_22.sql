-- The contract schema, version 22: the database of agent-conveyor 0.1.0.
--
-- A file made from this opens in agent-conveyor, and its files open here, so nothing below may
-- change: no name, no column's place, type or default. Our own tables are in ../V*.sql.
--
-- Every *_at and *timestamp column holds a UTC instant as ISO 8601 text, every *_json column a JSON
-- document, every flag 0 or 1.

-- Version history, and which legacy files were imported.

CREATE TABLE schema_migrations (
    version    INTEGER PRIMARY KEY,
    applied_at TEXT NOT NULL
);

CREATE TABLE data_migrations (
    name        TEXT PRIMARY KEY,
    source_path TEXT NOT NULL,
    source_hash TEXT NOT NULL,
    applied_at  TEXT NOT NULL
);

-- Tasks, the sessions that work on them, and who is bound to whom.

CREATE TABLE tasks (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    goal       TEXT NOT NULL,
    summary    TEXT,
    state      TEXT NOT NULL CHECK (state IN ('candidate', 'managed', 'paused', 'done', 'failed')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE sessions (
    id                 TEXT PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    role               TEXT NOT NULL CHECK (role IN ('worker', 'manager')),
    identity_token     TEXT NOT NULL UNIQUE,
    tmux_session       TEXT,
    tmux_pane_id       TEXT,
    codex_session_path TEXT,
    codex_session_id   TEXT,
    pid                INTEGER,
    cwd                TEXT NOT NULL,
    registered_at      TEXT NOT NULL,
    last_heartbeat_at  TEXT,
    state              TEXT NOT NULL CHECK (state IN ('active', 'gone')),
    last_ingest_offset INTEGER
);

CREATE TABLE workers (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL UNIQUE,
    tmux_session     TEXT NOT NULL UNIQUE,
    tmux_pane_id     TEXT,
    identity_token   TEXT NOT NULL UNIQUE,
    cwd              TEXT NOT NULL,
    state            TEXT NOT NULL
        CHECK (state IN ('candidate', 'active', 'stopped', 'missing', 'failed')),
    created_at       TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    last_seen_at     TEXT,
    exit_detected_at TEXT,
    exit_reason      TEXT
);

CREATE TABLE managers (
    id                  TEXT PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    task_id             TEXT NOT NULL REFERENCES tasks (id),
    tmux_session        TEXT NOT NULL UNIQUE,
    tmux_pane_id        TEXT,
    state               TEXT NOT NULL
        CHECK (state IN ('starting', 'ready', 'stopping', 'stopped', 'missing', 'failed')),
    codex_args_json     TEXT NOT NULL CHECK (json_valid(codex_args_json)),
    started_at          TEXT NOT NULL,
    stopped_at          TEXT,
    last_seen_at        TEXT,
    last_capture_sha256 TEXT,
    exit_detected_at    TEXT,
    exit_reason         TEXT
);
CREATE UNIQUE INDEX one_active_manager_per_task
    ON managers (task_id) WHERE state IN ('starting', 'ready', 'stopping');

CREATE TABLE bindings (
    id                 TEXT PRIMARY KEY,
    task_id            TEXT NOT NULL REFERENCES tasks (id),
    worker_id          TEXT REFERENCES workers (id),
    manager_id         TEXT REFERENCES managers (id),
    worker_session_id  TEXT REFERENCES sessions (id),
    manager_session_id TEXT REFERENCES sessions (id),
    state              TEXT NOT NULL CHECK (state IN ('active', 'ending', 'ended', 'invalid')),
    created_at         TEXT NOT NULL,
    ended_at           TEXT
);
CREATE UNIQUE INDEX one_active_binding_per_manager_session
    ON bindings (manager_session_id) WHERE state IN ('active', 'ending');
CREATE UNIQUE INDEX one_active_binding_per_task
    ON bindings (task_id) WHERE state IN ('active', 'ending');
CREATE UNIQUE INDEX one_active_binding_per_worker
    ON bindings (worker_id) WHERE state IN ('active', 'ending');
CREATE UNIQUE INDEX one_active_binding_per_worker_session
    ON bindings (worker_session_id) WHERE state IN ('active', 'ending');

CREATE TABLE budgets (
    task_id     TEXT PRIMARY KEY REFERENCES tasks (id),
    max_nudges  INTEGER NOT NULL CHECK (max_nudges >= 0),
    nudges_used INTEGER NOT NULL DEFAULT 0 CHECK (nudges_used >= 0),
    expires_at  TEXT NOT NULL,
    CHECK (nudges_used <= max_nudges)
);

CREATE TABLE runs (
    id            TEXT PRIMARY KEY,
    task_id       TEXT NOT NULL REFERENCES tasks (id),
    name          TEXT NOT NULL,
    purpose       TEXT,
    status        TEXT NOT NULL CHECK (status IN ('active', 'finished', 'failed', 'abandoned')),
    started_at    TEXT NOT NULL,
    ended_at      TEXT,
    metadata_json TEXT NOT NULL CHECK (json_valid(metadata_json))
);
CREATE UNIQUE INDEX one_active_run_per_task ON runs (task_id) WHERE status = 'active';
CREATE INDEX runs_task_status ON runs (task_id, status, started_at);

-- Commands: side effects that somebody asked for, and every attempt to carry one out.

CREATE TABLE commands (
    id                  TEXT PRIMARY KEY,
    idempotency_key     TEXT NOT NULL UNIQUE,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL,
    task_id             TEXT REFERENCES tasks (id),
    worker_id           TEXT REFERENCES workers (id),
    manager_id          TEXT REFERENCES managers (id),
    correlation_id      TEXT,
    type                TEXT NOT NULL,
    state               TEXT NOT NULL
        CHECK (state IN ('pending', 'attempted', 'succeeded', 'failed', 'blocked')),
    available_at        TEXT,
    claimed_by          TEXT,
    claimed_at          TEXT,
    claim_expires_at    TEXT,
    attempts            INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    max_attempts        INTEGER NOT NULL DEFAULT 1 CHECK (max_attempts > 0),
    required_permission TEXT,
    payload_json        TEXT NOT NULL CHECK (json_valid(payload_json)),
    result_json         TEXT CHECK (result_json IS NULL OR json_valid(result_json)),
    error               TEXT
);
CREATE INDEX commands_claimable ON commands (state, type, available_at, created_at, id);
CREATE INDEX commands_task_state_created ON commands (task_id, state, created_at);

CREATE TABLE command_attempts (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id            TEXT NOT NULL REFERENCES commands (id),
    correlation_id        TEXT NOT NULL,
    dispatcher_id         TEXT NOT NULL,
    started_at            TEXT NOT NULL,
    finished_at           TEXT,
    state                 TEXT NOT NULL
        CHECK (state IN ('running', 'succeeded', 'failed', 'abandoned', 'blocked')),
    result_json           TEXT CHECK (result_json IS NULL OR json_valid(result_json)),
    error                 TEXT,
    side_effect_started   INTEGER NOT NULL DEFAULT 0 CHECK (side_effect_started IN (0, 1)),
    side_effect_completed INTEGER NOT NULL DEFAULT 0 CHECK (side_effect_completed IN (0, 1))
);
CREATE INDEX command_attempts_command_id ON command_attempts (command_id, id);
CREATE INDEX command_attempts_correlation_id ON command_attempts (correlation_id);

-- What was seen: rollout events, terminal captures, observations and legacy statuses.

CREATE TABLE codex_events (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id   TEXT NOT NULL REFERENCES sessions (id),
    timestamp    TEXT NOT NULL,
    type         TEXT NOT NULL,
    subtype      TEXT,
    payload_json TEXT NOT NULL CHECK (json_valid(payload_json)),
    byte_offset  INTEGER NOT NULL,
    ingested_at  TEXT NOT NULL
);
CREATE INDEX codex_events_session_id ON codex_events (session_id, id);

CREATE TABLE terminal_captures (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id         TEXT NOT NULL REFERENCES tasks (id),
    worker_id       TEXT REFERENCES workers (id),
    manager_id      TEXT REFERENCES managers (id),
    role            TEXT NOT NULL CHECK (role IN ('worker', 'manager')),
    tmux_session    TEXT NOT NULL,
    tmux_pane_id    TEXT,
    command_id      TEXT REFERENCES commands (id),
    captured_at     TEXT NOT NULL,
    history_lines   INTEGER NOT NULL,
    content_sha256  TEXT NOT NULL,
    content         TEXT,
    content_path    TEXT,
    byte_count      INTEGER NOT NULL,
    line_count      INTEGER NOT NULL,
    classifier_json TEXT NOT NULL CHECK (json_valid(classifier_json)),
    source          TEXT NOT NULL
);
CREATE INDEX terminal_captures_task_role ON terminal_captures (task_id, role, id);

CREATE TABLE transcript_captures (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id       TEXT NOT NULL REFERENCES workers (id),
    sha256          TEXT NOT NULL,
    content         TEXT,
    captured_at     TEXT NOT NULL,
    changed_at      TEXT NOT NULL,
    history_lines   INTEGER NOT NULL,
    byte_count      INTEGER NOT NULL,
    line_count      INTEGER NOT NULL,
    capture_kind    TEXT NOT NULL
        CHECK (capture_kind IN ('latest', 'changed', 'metadata_only', 'archived')),
    retention_class TEXT NOT NULL CHECK (retention_class IN ('hot', 'warm', 'archive'))
);
CREATE INDEX transcript_captures_worker_id ON transcript_captures (worker_id, id);

CREATE TABLE transcript_segments (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id             TEXT NOT NULL REFERENCES tasks (id),
    role                TEXT NOT NULL CHECK (role IN ('worker', 'manager')),
    source_capture_id   INTEGER NOT NULL REFERENCES terminal_captures (id),
    previous_capture_id INTEGER REFERENCES terminal_captures (id),
    captured_at         TEXT NOT NULL,
    content_sha256      TEXT NOT NULL,
    segment_text        TEXT,
    segment_start_line  INTEGER,
    segment_end_line    INTEGER,
    byte_count          INTEGER NOT NULL,
    line_count          INTEGER NOT NULL,
    retention_class     TEXT NOT NULL CHECK (retention_class IN ('hot', 'warm', 'cold', 'redacted')),
    segment_kind        TEXT NOT NULL
        CHECK (segment_kind IN ('metadata', 'excerpt', 'snapshot', 'segment', 'reset')),
    redacted            INTEGER NOT NULL DEFAULT 0 CHECK (redacted IN (0, 1)),
    created_at          TEXT NOT NULL
);
CREATE INDEX transcript_segments_task_role ON transcript_segments (task_id, role, id);

CREATE TABLE agent_observations (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id           TEXT NOT NULL REFERENCES tasks (id),
    worker_id         TEXT REFERENCES workers (id),
    manager_id        TEXT REFERENCES managers (id),
    role              TEXT NOT NULL CHECK (role IN ('worker', 'manager', 'workerctl')),
    observation_type  TEXT NOT NULL
        CHECK (observation_type IN
            ('status', 'error', 'decision', 'blocker', 'summary', 'command_output', 'health', 'capture')),
    severity          TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'error')),
    source_capture_id INTEGER REFERENCES terminal_captures (id),
    command_id        TEXT REFERENCES commands (id),
    created_at        TEXT NOT NULL,
    message           TEXT NOT NULL,
    payload_json      TEXT NOT NULL CHECK (json_valid(payload_json))
);
CREATE INDEX agent_observations_task_id ON agent_observations (task_id, id);

CREATE TABLE statuses (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    worker_id    TEXT NOT NULL REFERENCES workers (id),
    state        TEXT NOT NULL
        CHECK (state IN ('planning', 'editing', 'running_tests', 'blocked', 'waiting', 'done', 'unknown')),
    current_task TEXT,
    next_action  TEXT,
    blocker      TEXT,
    created_at   TEXT NOT NULL
);
CREATE INDEX statuses_worker_id ON statuses (worker_id, id);

-- What the manager did: one row per cycle, its phases and its decisions.

CREATE TABLE manager_cycles (
    id                    INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id               TEXT NOT NULL REFERENCES tasks (id),
    manager_id            TEXT REFERENCES managers (id),
    started_at            TEXT NOT NULL,
    completed_at          TEXT,
    state                 TEXT NOT NULL CHECK (state IN ('started', 'succeeded', 'failed')),
    health_observation_id INTEGER REFERENCES agent_observations (id),
    manager_capture_id    INTEGER REFERENCES terminal_captures (id),
    worker_capture_id     INTEGER REFERENCES terminal_captures (id),
    status_json           TEXT CHECK (status_json IS NULL OR json_valid(status_json)),
    health_json           TEXT CHECK (health_json IS NULL OR json_valid(health_json)),
    decision              TEXT,
    error                 TEXT
);

CREATE TABLE manager_decisions (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id          TEXT NOT NULL REFERENCES tasks (id),
    manager_id       TEXT REFERENCES managers (id),
    manager_cycle_id INTEGER REFERENCES manager_cycles (id),
    decision         TEXT NOT NULL
        CHECK (decision IN ('wait', 'nudge', 'interrupt', 'escalate', 'stop', 'inspect')),
    reason           TEXT NOT NULL,
    created_at       TEXT NOT NULL,
    payload_json     TEXT NOT NULL CHECK (json_valid(payload_json))
);

CREATE TABLE manager_cycle_spans (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    manager_cycle_id    INTEGER NOT NULL REFERENCES manager_cycles (id),
    task_id             TEXT NOT NULL REFERENCES tasks (id),
    run_id              TEXT REFERENCES runs (id),
    phase               TEXT NOT NULL,
    started_at          TEXT NOT NULL,
    completed_at        TEXT NOT NULL,
    duration_ms         REAL NOT NULL CHECK (duration_ms >= 0),
    state               TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'degraded')),
    attributes_json     TEXT NOT NULL CHECK (json_valid(attributes_json)),
    error_type          TEXT,
    manager_decision_id INTEGER REFERENCES manager_decisions (id),
    command_id          TEXT REFERENCES commands (id)
);
CREATE INDEX manager_cycle_spans_cycle_phase ON manager_cycle_spans (manager_cycle_id, phase, id);
CREATE INDEX manager_cycle_spans_task ON manager_cycle_spans (task_id, id);

-- Routed facts: what a session is to be told. The dedupe key makes each of them unique.

CREATE TABLE routed_notifications (
    id                        INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                   TEXT NOT NULL REFERENCES tasks (id),
    binding_id                TEXT NOT NULL REFERENCES bindings (id),
    correlation_id            TEXT NOT NULL,
    source_session_id         TEXT NOT NULL REFERENCES sessions (id),
    target_session_id         TEXT NOT NULL REFERENCES sessions (id),
    signal_type               TEXT NOT NULL,
    source_event_id           INTEGER REFERENCES codex_events (id),
    source_event_timestamp    TEXT,
    dedupe_key                TEXT NOT NULL UNIQUE,
    command_id                TEXT REFERENCES commands (id),
    created_at                TEXT NOT NULL,
    delivered_at              TEXT,
    consumed_manager_cycle_id INTEGER REFERENCES manager_cycles (id),
    consumed_by_session_id    TEXT REFERENCES sessions (id),
    consumed_at               TEXT,
    delivery_mode             TEXT NOT NULL DEFAULT 'push'
        CHECK (delivery_mode IN ('push', 'pull_required')),
    state                     TEXT NOT NULL
        CHECK (state IN ('pending', 'delivered', 'failed', 'suppressed')),
    claimed_by                TEXT,
    claimed_at                TEXT,
    claim_expires_at          TEXT,
    side_effect_started       INTEGER NOT NULL DEFAULT 0 CHECK (side_effect_started IN (0, 1)),
    side_effect_completed     INTEGER NOT NULL DEFAULT 0 CHECK (side_effect_completed IN (0, 1)),
    payload_json              TEXT NOT NULL CHECK (json_valid(payload_json)),
    error                     TEXT
);
CREATE INDEX routed_notifications_claimable
    ON routed_notifications (state, signal_type, side_effect_started, claim_expires_at, created_at);
CREATE INDEX routed_notifications_consumed_cycle
    ON routed_notifications (consumed_manager_cycle_id);
CREATE UNIQUE INDEX routed_notifications_dedupe_key ON routed_notifications (dedupe_key);
CREATE INDEX routed_notifications_source_event ON routed_notifications (source_event_id);
CREATE INDEX routed_notifications_target_inbox
    ON routed_notifications (target_session_id, consumed_at, state, created_at, id);

-- What was agreed about a task: configuration, criteria, acknowledgements and proposals.

CREATE TABLE manager_configs (
    task_id                  TEXT PRIMARY KEY REFERENCES tasks (id),
    supervision_mode         TEXT NOT NULL CHECK (supervision_mode IN ('light', 'guided', 'strict')),
    objective                TEXT,
    guidelines_json          TEXT NOT NULL CHECK (json_valid(guidelines_json)),
    acceptance_criteria_json TEXT NOT NULL CHECK (json_valid(acceptance_criteria_json)),
    reference_paths_json     TEXT NOT NULL CHECK (json_valid(reference_paths_json)),
    permissions_json         TEXT NOT NULL CHECK (json_valid(permissions_json)),
    tools_json               TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(tools_json)),
    epilogues_json           TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(epilogues_json)),
    nudge_on_completion      TEXT NOT NULL DEFAULT 'ask-operator'
        CHECK (nudge_on_completion IN ('off', 'ask-operator', 'auto-review', 'auto-proceed')),
    require_acks             INTEGER NOT NULL DEFAULT 0 CHECK (require_acks IN (0, 1)),
    revision                 INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0),
    created_at               TEXT NOT NULL,
    updated_at               TEXT NOT NULL
);
CREATE INDEX manager_configs_task_id ON manager_configs (task_id);

CREATE TABLE acceptance_criteria (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id       TEXT NOT NULL REFERENCES tasks (id),
    criterion     TEXT NOT NULL,
    status        TEXT NOT NULL
        CHECK (status IN ('proposed', 'accepted', 'satisfied', 'deferred', 'rejected')),
    source        TEXT NOT NULL
        CHECK (source IN ('user_requested', 'manager_inferred', 'worker_proposed', 'final_audit')),
    proof         TEXT,
    rationale     TEXT,
    evidence_json TEXT NOT NULL CHECK (json_valid(evidence_json)),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
);
CREATE UNIQUE INDEX acceptance_criteria_task_source_criterion
    ON acceptance_criteria (task_id, source, criterion);
CREATE INDEX acceptance_criteria_task_status ON acceptance_criteria (task_id, status, id);

CREATE TABLE task_acknowledgements (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                 TEXT NOT NULL REFERENCES tasks (id),
    binding_id              TEXT REFERENCES bindings (id),
    role                    TEXT NOT NULL CHECK (role IN ('worker', 'manager')),
    payload_json            TEXT NOT NULL CHECK (json_valid(payload_json)),
    revision                INTEGER NOT NULL CHECK (revision > 0),
    manager_config_revision INTEGER
        CHECK (manager_config_revision IS NULL OR manager_config_revision > 0),
    created_at              TEXT NOT NULL,
    correlation_id          TEXT
);
CREATE INDEX task_acknowledgements_task_role_revision
    ON task_acknowledgements (task_id, role, revision DESC, id DESC);

CREATE TABLE worker_handoffs (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id           TEXT NOT NULL REFERENCES tasks (id),
    worker_session_id TEXT REFERENCES sessions (id),
    summary           TEXT NOT NULL,
    next_steps_json   TEXT NOT NULL CHECK (json_valid(next_steps_json)),
    payload_json      TEXT NOT NULL CHECK (json_valid(payload_json)),
    created_at        TEXT NOT NULL
);
CREATE INDEX worker_handoffs_task_id ON worker_handoffs (task_id, id);

CREATE TABLE task_continuations (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id        TEXT NOT NULL REFERENCES tasks (id),
    proposer       TEXT NOT NULL CHECK (proposer IN ('worker', 'manager')),
    payload_json   TEXT NOT NULL CHECK (json_valid(payload_json)),
    revision       INTEGER NOT NULL CHECK (revision > 0),
    created_at     TEXT NOT NULL,
    correlation_id TEXT NOT NULL
);
CREATE INDEX task_continuations_task_role_revision
    ON task_continuations (task_id, proposer, revision DESC, id DESC);

CREATE TABLE continuation_reviews (
    id                      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id                 TEXT NOT NULL REFERENCES tasks (id),
    worker_continuation_id  INTEGER NOT NULL REFERENCES task_continuations (id),
    manager_continuation_id INTEGER NOT NULL REFERENCES task_continuations (id),
    agreement               TEXT NOT NULL CHECK (agreement IN ('match', 'compatible', 'divergent')),
    verdict                 TEXT NOT NULL CHECK (verdict IN ('proceed', 'amend', 'stop')),
    addendum                TEXT,
    rationale               TEXT NOT NULL,
    subagent_run_json       TEXT NOT NULL CHECK (json_valid(subagent_run_json)),
    created_at              TEXT NOT NULL,
    correlation_id          TEXT NOT NULL
);
CREATE INDEX continuation_reviews_task ON continuation_reviews (task_id, id);

CREATE TABLE epilogue_runs (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id        TEXT NOT NULL REFERENCES tasks (id),
    step_name      TEXT NOT NULL,
    state          TEXT NOT NULL
        CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'skipped')),
    started_at     TEXT NOT NULL,
    finished_at    TEXT,
    result_json    TEXT CHECK (result_json IS NULL OR json_valid(result_json)),
    error          TEXT,
    correlation_id TEXT
);
CREATE INDEX epilogue_runs_task_step ON epilogue_runs (task_id, step_name, id);

CREATE TABLE prompts (
    id                   INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id              TEXT REFERENCES tasks (id),
    manager_id           TEXT REFERENCES managers (id),
    kind                 TEXT NOT NULL CHECK (kind IN ('manager', 'worker_contract', 'resume')),
    content              TEXT NOT NULL,
    content_sha256       TEXT NOT NULL,
    generator_version    TEXT NOT NULL,
    source_snapshot_json TEXT NOT NULL CHECK (json_valid(source_snapshot_json)),
    policy_json          TEXT NOT NULL CHECK (json_valid(policy_json)),
    artifact_path        TEXT,
    created_at           TEXT NOT NULL
);

-- The record: an append-only audit log, and telemetry with its full-text index.

CREATE TABLE events (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at     TEXT NOT NULL,
    actor          TEXT NOT NULL,
    command_id     TEXT REFERENCES commands (id),
    correlation_id TEXT,
    task_id        TEXT REFERENCES tasks (id),
    worker_id      TEXT REFERENCES workers (id),
    manager_id     TEXT REFERENCES managers (id),
    type           TEXT NOT NULL,
    payload_json   TEXT NOT NULL CHECK (json_valid(payload_json))
);
CREATE INDEX events_task_id ON events (task_id, id);

CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN
    SELECT raise(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN
    SELECT raise(ABORT, 'events are append-only');
END;

CREATE TABLE telemetry_events (
    id               TEXT PRIMARY KEY,
    run_id           TEXT REFERENCES runs (id),
    task_id          TEXT REFERENCES tasks (id),
    timestamp        TEXT NOT NULL,
    actor            TEXT NOT NULL
        CHECK (actor IN ('dispatch', 'manager', 'worker', 'operator', 'workerctl', 'system')),
    event_type       TEXT NOT NULL,
    severity         TEXT NOT NULL CHECK (severity IN ('debug', 'info', 'warning', 'error')),
    summary          TEXT NOT NULL,
    correlation_json TEXT NOT NULL CHECK (json_valid(correlation_json)),
    attributes_json  TEXT NOT NULL CHECK (json_valid(attributes_json))
);
CREATE INDEX telemetry_events_actor_timestamp ON telemetry_events (actor, timestamp, id);
CREATE INDEX telemetry_events_run_timestamp ON telemetry_events (run_id, timestamp, id);
CREATE INDEX telemetry_events_task_timestamp ON telemetry_events (task_id, timestamp, id);
CREATE INDEX telemetry_events_type_timestamp ON telemetry_events (event_type, timestamp, id);

-- One row per telemetry event, inserted with it.
CREATE VIRTUAL TABLE telemetry_events_fts USING fts5 (
    event_id UNINDEXED,
    task_id UNINDEXED,
    run_id UNINDEXED,
    actor UNINDEXED,
    event_type UNINDEXED,
    summary,
    attributes
);

INSERT INTO schema_migrations (version, applied_at)
VALUES (22, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));

PRAGMA user_version = 22;
