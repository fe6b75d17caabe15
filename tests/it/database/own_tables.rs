//! States that must not exist cannot be stored.

use rusqlite::Connection;

use super::fresh;

const PEOPLE: &str = "
    INSERT INTO tasks (id, name, goal, state, created_at, updated_at)
    VALUES ('task-1', 't1', 'Ship it', 'managed', 't', 't');
    INSERT INTO sessions (id, name, role, identity_token, cwd, registered_at, state)
    VALUES ('w', 'w1', 'worker', 'token-w', '/', 't', 'active'),
           ('m', 'm1', 'manager', 'token-m', '/', 't', 'active');
    INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
    VALUES ('b', 'task-1', 'w', 'm', 'active', 't');
    INSERT INTO codex_events (id, session_id, timestamp, type, payload_json, byte_offset, ingested_at)
    VALUES (1, 'w', 't', 'event_msg', '{}', 0, 't');
    INSERT INTO routed_notifications
        (id, task_id, binding_id, correlation_id, source_session_id, target_session_id, signal_type,
         dedupe_key, created_at, state, payload_json)
    VALUES (1, 'task-1', 'b', 'c', 'w', 'm', 's', 'k', 't', 'pending', '{}');
    INSERT INTO commands
        (id, idempotency_key, created_at, updated_at, type, state, payload_json)
    VALUES ('cmd', 'cmd', 't', 't', 'nudge_worker', 'pending', '{}');
";

/// A database with one bound pair, one event, one notification and one command, and a base row of
/// which each case changes a few columns.
struct Table {
    conn: Connection,
    name: &'static str,
    base: &'static [(&'static str, &'static str)],
    _dir: tempfile::TempDir,
}

impl Table {
    fn new(name: &'static str, base: &'static [(&'static str, &'static str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let conn = fresh(dir.path());
        conn.execute_batch(PEOPLE).unwrap();
        Self { conn, name, base, _dir: dir }
    }

    /// Inserts the base row with `changes` (column, SQL value) into the table, and keeps it.
    fn insert(&self, changes: &[(&str, &str)]) -> rusqlite::Result<usize> {
        let kept =
            self.base.iter().filter(|(column, _)| changes.iter().all(|(changed, _)| changed != column));
        let (columns, values): (Vec<&str>, Vec<&str>) = kept.chain(changes).copied().unzip();
        let sql =
            format!("INSERT INTO {} ({}) VALUES ({})", self.name, columns.join(", "), values.join(", "));
        self.conn.execute(&sql, [])
    }

    fn accepts(&self, changes: &[(&str, &str)]) {
        self.insert(changes).unwrap_or_else(|error| panic!("{} {changes:?}: {error}", self.name));
        self.conn.execute(&format!("DELETE FROM {}", self.name), []).unwrap();
    }

    fn refuses(&self, changes: &[(&str, &str)]) {
        let error = self.insert(changes).expect_err(&format!("{} {changes:?}", self.name));
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation), "{error}");
    }
}

#[test]
fn a_turn_ends_once() {
    let facts = Table::new(
        "turn_facts",
        &[
            ("session_id", "'w'"),
            ("thread_id", "'thread'"),
            ("turn_key", "'turn-1'"),
            ("outcome", "'completed'"),
            ("recorded_at", "'t'"),
        ],
    );
    facts.accepts(&[("event_id", "1")]);
    facts.accepts(&[("outcome", "'failed'"), ("error_json", "'{}'")]);
    facts.refuses(&[("outcome", "'started'")]);
    facts.refuses(&[("error_json", "'{}'")]);
    facts.refuses(&[("outcome", "'failed'"), ("error_json", "'{bad'")]);
    facts.refuses(&[("session_id", "'nobody'")]);
    facts.refuses(&[("event_id", "2")]);

    facts.insert(&[]).unwrap();
    facts.refuses(&[("outcome", "'interrupted'")]);
    facts.insert(&[("turn_key", "'turn-2'")]).unwrap();
}

#[test]
fn a_cursor_never_stands_before_the_file() {
    let cursors = Table::new(
        "rollout_cursors",
        &[("session_id", "'w'"), ("rollout_path", "'/r.jsonl'"), ("offset", "0"), ("updated_at", "'t'")],
    );
    cursors.accepts(&[("offset", "4096"), ("last_ordinal", "3"), ("open_turn_key", "'turn-1'")]);
    cursors.refuses(&[("offset", "-1")]);
    cursors.refuses(&[("last_ordinal", "-1")]);
    cursors.refuses(&[("skipped_lines", "-1")]);
    cursors.refuses(&[("session_id", "NULL")]);
}

#[test]
fn a_private_server_has_a_socket() {
    let links = Table::new(
        "session_links",
        &[("session_id", "'w'"), ("recipe", "'embedded'"), ("updated_at", "'t'")],
    );
    links.accepts(&[]);
    links.accepts(&[("recipe", "'private_server'"), ("app_server_socket", "'/s'"), ("app_server_pid", "7")]);
    links.refuses(&[("recipe", "'private_server'")]);
    links.refuses(&[("app_server_pid", "7")]);
    links.refuses(&[("tui_pid", "0")]);
    links.refuses(&[("recipe", "'guess'")]);
    links.refuses(&[("mcp", "2")]);
}

#[test]
fn a_delivery_carries_the_times_and_evidence_of_its_state() {
    let deliveries = Table::new(
        "deliveries",
        &[
            ("notification_id", "1"),
            ("source", "'notification'"),
            ("target_session_id", "'m'"),
            ("transport", "'tmux'"),
            ("state", "'claimed'"),
            ("fence", "1"),
            ("claimed_at", "'t'"),
        ],
    );
    deliveries.accepts(&[]);
    deliveries.accepts(&[("transport", "NULL")]);
    deliveries.accepts(&[("state", "'started'"), ("started_at", "'t'")]);
    deliveries.accepts(&[("state", "'unknown'"), ("started_at", "'t'")]);
    deliveries.accepts(&[("state", "'sent'"), ("started_at", "'t'"), ("sent_at", "'t'")]);
    deliveries.accepts(&[("state", "'sent'"), ("transport", "'mailbox'"), ("sent_at", "'t'")]);
    deliveries.accepts(&[("state", "'failed'"), ("settled_at", "'t'"), ("error", "'no pane'")]);
    let observed = [("state", "'observed'"), ("started_at", "'t'"), ("settled_at", "'t'")];
    deliveries.accepts(&[observed.as_slice(), &[("receipt_event_id", "1")]].concat());
    deliveries.accepts(&[observed.as_slice(), &[("receipt_json", "'{}'")]].concat());

    // An effect is recorded before it is begun.
    deliveries.refuses(&[("state", "'started'")]);
    deliveries.refuses(&[("state", "'unknown'")]);
    deliveries.refuses(&[("state", "'sent'"), ("sent_at", "'t'")]);
    deliveries.refuses(&[("started_at", "'t'")]);
    // Sending has a time, which is kept when a person finds that it did not arrive.
    deliveries.refuses(&[("state", "'sent'"), ("started_at", "'t'")]);
    deliveries.refuses(&[("sent_at", "'t'")]);
    deliveries.accepts(&[
        ("state", "'failed'"),
        ("started_at", "'t'"),
        ("sent_at", "'t'"),
        ("settled_at", "'t'"),
        ("error", "'x'"),
    ]);
    deliveries.refuses(&[("state", "'failed'"), ("settled_at", "'t'")]);
    // Only evidence makes it observed, and evidence always does.
    deliveries.refuses(&observed);
    deliveries.refuses(&[
        ("state", "'sent'"),
        ("started_at", "'t'"),
        ("sent_at", "'t'"),
        ("receipt_json", "'{}'"),
    ]);
    deliveries.refuses(&[("state", "'observed'"), ("started_at", "'t'"), ("receipt_json", "'{}'")]);
    deliveries.refuses(&[("state", "'unknown'"), ("started_at", "'t'"), ("settled_at", "'t'")]);
    // It says where it came from and how it goes.
    deliveries.refuses(&[("notification_id", "NULL")]);
    deliveries.refuses(&[("source", "'command'")]);
    deliveries.refuses(&[("attempt_id", "1")]);
    deliveries.refuses(&[("state", "'started'"), ("started_at", "'t'"), ("transport", "NULL")]);
    deliveries.refuses(&[("transport", "'pigeon'")]);
    deliveries.refuses(&[("body_bytes", "3")]);
    deliveries.refuses(&[("fence", "0")]);
}

#[test]
fn a_notification_has_one_delivery_that_did_not_fail() {
    let deliveries = Table::new(
        "deliveries",
        &[
            ("notification_id", "1"),
            ("source", "'notification'"),
            ("target_session_id", "'m'"),
            ("transport", "'tmux'"),
            ("state", "'failed'"),
            ("fence", "1"),
            ("claimed_at", "'t'"),
            ("settled_at", "'t'"),
            ("error", "'no pane'"),
        ],
    );
    let unknown = [
        ("state", "'unknown'"),
        ("started_at", "'t'"),
        ("settled_at", "NULL"),
        ("client_message_id", "'id'"),
    ];
    deliveries.insert(&[]).unwrap();
    deliveries.insert(&unknown).unwrap();
    deliveries.refuses(&[("state", "'claimed'"), ("settled_at", "NULL")]);
    deliveries.insert(&[]).unwrap();
    deliveries.refuses(&[("client_message_id", "'id'")]);
}

#[test]
fn a_lease_has_a_holder_and_an_acknowledgement_a_time() {
    let leases = Table::new(
        "notification_leases",
        &[
            ("notification_id", "1"),
            ("fence", "1"),
            ("holder_session_id", "'m'"),
            ("leased_at", "'t'"),
            ("expires_at", "'t'"),
            ("state", "'leased'"),
        ],
    );
    leases.accepts(&[]);
    leases.accepts(&[("state", "'released'"), ("holder_session_id", "NULL"), ("hand_outs", "2")]);
    leases.accepts(&[("state", "'dead_letter'")]);
    leases.accepts(&[("state", "'acknowledged'"), ("ack_at", "'t'"), ("ack_status", "'done'")]);
    leases.refuses(&[("holder_session_id", "NULL")]);
    leases.refuses(&[("state", "'acknowledged'")]);
    leases.refuses(&[("ack_at", "'t'")]);
    leases.refuses(&[("ack_status", "'done'")]);
    leases.refuses(&[("hand_outs", "0")]);
    leases.refuses(&[("fence", "0")]);
    leases.refuses(&[("notification_id", "2")]);
}

#[test]
fn a_heartbeat_has_a_process() {
    let beats = Table::new(
        "dispatcher_heartbeats",
        &[("dispatcher_id", "'d'"), ("pid", "7"), ("started_at", "'t'"), ("beat_at", "'t'")],
    );
    beats.accepts(&[("iteration", "12")]);
    beats.refuses(&[("pid", "0")]);
    beats.refuses(&[("iteration", "-1")]);
}

#[test]
fn evidence_passes_with_exit_code_zero_and_is_about_one_thing() {
    let evidence = Table::new(
        "executed_evidence",
        &[
            ("task_id", "'task-1'"),
            ("argv_json", "'[\"true\"]'"),
            ("directory", "'/'"),
            ("time_limit_seconds", "60"),
            ("state", "'running'"),
            ("started_at", "'t'"),
        ],
    );
    let ended = [("state", "'passed'"), ("ended_at", "'t'"), ("exit_code", "0")];
    evidence.accepts(&[]);
    evidence.accepts(&ended);
    evidence.accepts(&[("worktree", "'/w'"), ("git_dirty", "1"), ("tree_before", "'a'")]);
    evidence.refuses(&[("ended_at", "'t'")]);
    evidence.refuses(&[("state", "'passed'"), ("ended_at", "'t'")]);
    evidence.refuses(&[("state", "'passed'"), ("ended_at", "'t'"), ("exit_code", "1")]);
    evidence.refuses(&[("state", "'done'"), ("ended_at", "'t'")]);
    evidence.refuses(&[("argv_json", "'{bad'")]);
    evidence.refuses(&[("iteration", "1")]);
    evidence.refuses(&[("output_path", "'/x'")]);
    evidence.refuses(&[("worktree", "'/w'")]);
    evidence.refuses(&[("time_limit_seconds", "0")]);
}
