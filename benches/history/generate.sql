-- A large history: 1,000 tasks, a million rollout events, 200,000 notifications, and what goes with
-- them. Task `t0` has a tenth of everything. `number` and `moment` are made before this is run.
PRAGMA foreign_keys = OFF;
BEGIN;

INSERT INTO tasks SELECT 'task-' || i, 't' || i, 'goal ' || i, NULL,
    CASE WHEN i < 50 THEN 'managed' ELSE 'done' END, at, at
FROM moment WHERE i < 1000;

INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
SELECT 'worker-' || i, 'w' || i, 'worker', 'worker-token-' || i, '/gone/w' || i || '.jsonl', 'thread-w' || i, '/repo', at,
    CASE WHEN i < 50 THEN 'active' ELSE 'gone' END
FROM moment WHERE i < 1000;
INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
SELECT 'manager-' || i, 'm' || i, 'manager', 'manager-token-' || i, '/gone/m' || i || '.jsonl', 'thread-m' || i, '/repo', at,
    CASE WHEN i < 50 THEN 'active' ELSE 'gone' END
FROM moment WHERE i < 1000;
INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
SELECT 'binding-' || i, 'task-' || i, 'worker-' || i, 'manager-' || i,
    CASE WHEN i < 50 THEN 'active' ELSE 'ended' END, at
FROM moment WHERE i < 1000;
INSERT INTO runs (id, task_id, name, status, started_at, metadata_json)
SELECT 'run-' || i, 'task-' || of_task, 'loop ' || i, CASE WHEN i < 1000 THEN 'active' ELSE 'finished' END, at, '{}'
FROM moment WHERE i < 1000 OR i % 10 = 0 AND i < 5000;

INSERT INTO codex_events (session_id, timestamp, type, subtype, payload_json, byte_offset, ingested_at)
SELECT 'worker-' || of_task, at, 'event_msg',
    CASE i % 5 WHEN 0 THEN 'task_started' WHEN 4 THEN 'task_complete' ELSE 'token_count' END,
    json_object('type', 'token_count', 'turn_id', 'turn-' || (i / 5), 'text', 'some text of some length'), i * 700, at
FROM moment;

INSERT INTO turn_facts (session_id, thread_id, turn_key, outcome, event_id, recorded_at, routed_at)
SELECT 'worker-' || of_task, 'thread-w' || of_task, 'turn-' || i, 'completed', i + 1, at, at
FROM moment WHERE i % 10 IN (0, 4);

INSERT INTO commands (id, idempotency_key, created_at, updated_at, task_id, correlation_id, type, state, attempts,
    payload_json, result_json)
SELECT 'command-' || i, 'key-' || i, at, at, 'task-' || of_task, 'correlation-' || i, 'nudge_worker',
    'succeeded', 1, '{"message": "go on"}', '{}'
FROM moment WHERE i % 10 IN (0, 5);
INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, finished_at, state)
SELECT id, correlation_id, 'dispatcher', created_at, created_at, 'succeeded' FROM commands;

INSERT INTO manager_cycles (task_id, started_at, completed_at, state, status_json, decision)
SELECT 'task-' || of_task, at, at, 'succeeded', '{"notable_pane_pattern": null}', 'wait'
FROM moment WHERE i % 20 IN (0, 7);
INSERT INTO manager_decisions (task_id, manager_cycle_id, decision, reason, created_at, payload_json)
SELECT task_id, id, 'wait', 'it works', started_at, '{}' FROM manager_cycles;

INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id,
    signal_type, dedupe_key, created_at, delivered_at, consumed_at, delivery_mode, state, payload_json)
SELECT 'task-' || of_task, 'binding-' || of_task, 'correlation-' || i, 'worker-' || of_task, 'manager-' || of_task,
    'worker_task_complete', 'dedupe-' || i, at, at, CASE WHEN i % 1000 < 950 THEN at END, 'pull_required', 'delivered',
    json_object('message', 'the worker has ended a turn')
FROM moment WHERE i % 10 IN (0, 4);
INSERT INTO deliveries (notification_id, source, target_session_id, transport, state, fence, correlation_id,
    claimed_at, sent_at, settled_at, receipt_json)
SELECT id, 'notification', target_session_id, 'mailbox', CASE WHEN consumed_at IS NULL THEN 'sent' ELSE 'observed' END,
    1, correlation_id, created_at, created_at, consumed_at, CASE WHEN consumed_at IS NOT NULL THEN '{}' END
FROM routed_notifications;

INSERT INTO events (created_at, actor, correlation_id, task_id, type, payload_json)
SELECT at, 'operator', 'correlation-' || i, 'task-' || of_task, 'session_nudged', '{"success": true}'
FROM moment WHERE i % 10 IN (0, 5);

INSERT INTO telemetry_events (id, run_id, task_id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
SELECT 'telemetry-' || i, CASE WHEN i < 1000 THEN 'run-' || i END, 'task-' || of_task, at, 'dispatch',
    CASE i % 4 WHEN 0 THEN 'dispatch_signal_detected' WHEN 1 THEN 'dispatch_inbox_consumed'
        WHEN 2 THEN 'dispatch_command_succeeded' ELSE 'dispatch_command_failed' END,
    CASE i % 4 WHEN 3 THEN 'error' ELSE 'info' END,
    'a worker ended a turn ' || i, '{"correlation_id": "correlation-' || i || '"}', '{"signal_type": "worker_task_complete"}'
FROM moment WHERE i % 5 IN (0, 1);
INSERT INTO telemetry_events_fts (event_id, task_id, run_id, actor, event_type, summary, attributes)
SELECT id, task_id, run_id, actor, event_type, summary, attributes_json FROM telemetry_events;

INSERT INTO terminal_captures (task_id, role, tmux_session, captured_at, history_lines, content_sha256, content,
    byte_count, line_count, classifier_json, source)
SELECT 'task-' || of_task, 'worker', 'w', at, 100, 'sha-' || i, 'a screen', 8, 1, '{}', 'cycle'
FROM moment WHERE i % 100 IN (0, 3);
INSERT INTO transcript_segments (task_id, role, source_capture_id, captured_at, content_sha256, segment_text,
    byte_count, line_count, retention_class, segment_kind, created_at)
SELECT task_id, role, id, captured_at, content_sha256, content, 8, 1, 'hot', 'segment', captured_at FROM terminal_captures;

INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
SELECT 'task-' || (i % 1000), 'criterion ' || i, 'satisfied', 'user_requested', '{}', at, at
FROM moment WHERE i < 5000;

COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
