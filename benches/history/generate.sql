-- A large history: a thousand tasks, turns of five rollout events each, a notification a turn, and what
-- goes with them. Task `t0` has a tenth of each. Made before this is run: the table `number` (0, 1, …, one
-- row an event), `owner(n)`, the number of the task that the n-th row of a kind belongs to, and `at(n)`,
-- the instant of the n-th event.
PRAGMA foreign_keys = OFF;
BEGIN;
CREATE TEMP VIEW turn AS SELECT i, owner(i) AS of_task, at(i * 5 + 4) AS at FROM number
    WHERE i < (SELECT COUNT(*) FROM number) / 5;
CREATE TEMP VIEW thousand AS SELECT i, at(0) AS at FROM number WHERE i < 1000;

INSERT INTO tasks SELECT 'task-' || i, 't' || i, 'goal ' || i, NULL,
    CASE WHEN i < 50 THEN 'managed' ELSE 'done' END, at, at
FROM thousand;
INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
SELECT 'worker-' || i, 'w' || i, 'worker', 'worker-token-' || i, '/gone/w' || i || '.jsonl', 'thread-w' || i, '/repo', at,
    CASE WHEN i < 50 THEN 'active' ELSE 'gone' END
FROM thousand;
INSERT INTO sessions (id, name, role, identity_token, codex_session_path, codex_session_id, cwd, registered_at, state)
SELECT 'manager-' || i, 'm' || i, 'manager', 'manager-token-' || i, '/gone/m' || i || '.jsonl', 'thread-m' || i, '/repo', at,
    CASE WHEN i < 50 THEN 'active' ELSE 'gone' END
FROM thousand;
INSERT INTO bindings (id, task_id, worker_session_id, manager_session_id, state, created_at)
SELECT 'binding-' || i, 'task-' || i, 'worker-' || i, 'manager-' || i,
    CASE WHEN i < 50 THEN 'active' ELSE 'ended' END, at
FROM thousand;
INSERT INTO runs (id, task_id, name, status, started_at, metadata_json)
SELECT 'run-' || i, 'task-' || i, 'run ' || i, 'active', at, '{}' FROM thousand;
-- A loop run of each task.
INSERT INTO runs (id, task_id, name, purpose, status, started_at, ended_at, metadata_json)
SELECT 'loop-' || i, 'task-' || i, 'loop ' || i, 'ralph_loop', 'finished', at, at, json_object('kind', 'ralph_loop',
    'current_iteration', 1, 'max_iterations', 9, 'required_before_continue', json_array('pr_url'), 'policy_record', json('true'))
FROM thousand;
INSERT INTO acceptance_criteria (task_id, criterion, status, source, evidence_json, created_at, updated_at)
SELECT 'task-' || owner(i), 'criterion ' || i, CASE i % 10 WHEN 0 THEN 'accepted' ELSE 'satisfied' END,
    'user_requested', '{}', at, at
FROM turn WHERE i < 5000;

INSERT INTO codex_events (session_id, timestamp, type, subtype, payload_json, byte_offset, ingested_at)
SELECT 'worker-' || owner(i / 5), at(i), 'event_msg',
    CASE i % 5 WHEN 0 THEN 'task_started' WHEN 4 THEN 'task_complete' ELSE 'token_count' END,
    json_object('type', 'token_count', 'turn_id', 'turn-' || (i / 5), 'text', 'some text of some length'), i * 700, at(i)
FROM number;
INSERT INTO turn_facts (session_id, thread_id, turn_key, outcome, event_id, recorded_at, routed_at)
SELECT 'worker-' || of_task, 'thread-w' || of_task, 'turn-' || i, 'completed', i * 5 + 5, at, at FROM turn;

INSERT INTO commands (id, idempotency_key, created_at, updated_at, task_id, correlation_id, type, state, attempts,
    payload_json, result_json, error)
SELECT 'command-' || i, 'key-' || i, at, at, 'task-' || of_task, 'correlation-' || i,
    CASE WHEN i % 7 = 0 THEN 'continue_iteration' WHEN i % 7 < 3 THEN 'notify_manager' ELSE 'nudge_worker' END,
    CASE i % 101 WHEN 0 THEN 'failed' ELSE 'succeeded' END, 1,
    CASE WHEN i % 7 = 0 THEN json_object('message', 'once more', 'ralph_loop',
        json_object('run_id', 'loop-' || of_task, 'requested_iteration', i % 9)) ELSE '{"message": "go on"}' END,
    '{}', CASE i % 101 WHEN 0 THEN 'the pane is gone' END
FROM turn;
INSERT INTO command_attempts (command_id, correlation_id, dispatcher_id, started_at, finished_at, state)
SELECT id, correlation_id, 'dispatcher', created_at, created_at, state FROM commands;

INSERT INTO manager_cycles (task_id, started_at, completed_at, state, status_json, error)
SELECT 'task-' || owner(i), at(i * 10), at(i * 10), CASE i % 101 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
    json_object('state', 'idle', 'staleness_seconds', 3.5, 'pane_signal', json_object('captured', json('true')),
        'notable_pane_pattern', CASE i % 51 WHEN 0 THEN 'approval_prompt' END),
    CASE i % 101 WHEN 0 THEN 'the rollout is gone' END
FROM number WHERE i < (SELECT COUNT(*) FROM number) / 10;
INSERT INTO manager_cycle_spans (manager_cycle_id, task_id, phase, started_at, completed_at, duration_ms, state, attributes_json)
SELECT c.id, c.task_id, phase.value, c.started_at, c.started_at, 1, 'succeeded', '{}'
FROM manager_cycles c, json_each('["start_cycle", "ingest_rollout", "infer_worker_state", "capture_pane_signal",
    "load_manager_context", "persist_cycle_row"]') phase;
INSERT INTO manager_decisions (task_id, manager_cycle_id, decision, reason, created_at, payload_json)
SELECT task_id, id, 'wait', 'it works', started_at, '{}' FROM manager_cycles;

-- Of every twenty turns in a row, ten told by a fact and ten by a command.
INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id,
    signal_type, source_event_id, dedupe_key, command_id, created_at, delivered_at, consumed_at, delivery_mode, state, payload_json)
SELECT 'task-' || of_task, 'binding-' || of_task, 'correlation-' || i, 'worker-' || of_task, 'manager-' || of_task,
    'worker_task_complete', i * 5 + 5, 'dedupe-' || i, NULL, at, at, CASE WHEN i % 97 > 4 THEN at END,
    'pull_required', 'delivered', '{"message": "the worker has ended a turn"}'
FROM turn WHERE i / 10 % 2 = 0;
INSERT INTO routed_notifications (task_id, binding_id, correlation_id, source_session_id, target_session_id,
    signal_type, dedupe_key, command_id, created_at, delivered_at, consumed_at, delivery_mode, state, payload_json)
SELECT 'task-' || of_task, 'binding-' || of_task, 'correlation-' || i, 'manager-' || of_task, 'worker-' || of_task,
    'nudge_worker', 'dedupe-' || i, 'command-' || i, at, at, CASE WHEN i % 97 > 4 THEN at END,
    'pull_required', 'delivered', '{"message": "go on"}'
FROM turn WHERE i / 10 % 2 = 1;
INSERT INTO deliveries (notification_id, task_id, command_id, source, target_session_id, transport, state, fence,
    correlation_id, claimed_at, sent_at, settled_at, receipt_json)
SELECT id, task_id, command_id, CASE WHEN command_id IS NULL THEN 'notification' ELSE 'command' END, target_session_id, 'mailbox',
    CASE WHEN consumed_at IS NULL THEN 'sent' ELSE 'observed' END,
    1, correlation_id, created_at, created_at, consumed_at, CASE WHEN consumed_at IS NOT NULL THEN '{}' END
FROM routed_notifications ORDER BY created_at;

INSERT INTO events (created_at, actor, correlation_id, task_id, type, payload_json)
SELECT at, 'operator', 'correlation-' || i, 'task-' || of_task, 'session_nudged', '{"success": true}' FROM turn;

-- Two a turn.
INSERT INTO telemetry_events (id, run_id, task_id, timestamp, actor, event_type, severity, summary, correlation_json, attributes_json)
SELECT 'telemetry-' || i, CASE WHEN owner(i / 2) < 50 THEN 'loop-' || owner(i / 2) END, 'task-' || owner(i / 2), at(i / 2 * 5), 'dispatch',
    CASE i % 4 WHEN 0 THEN 'dispatch_signal_detected' WHEN 1 THEN 'dispatch_inbox_consumed'
        WHEN 2 THEN 'dispatch_command_succeeded' ELSE 'dispatch_command_attempted' END,
    CASE i % 101 WHEN 0 THEN 'error' ELSE 'info' END,
    'a worker ended a turn ' || i, '{"correlation_id": "correlation-' || (i / 2) || '"}', '{"signal_type": "worker_task_complete"}'
FROM number WHERE i < (SELECT COUNT(*) FROM number) / 5 * 2;
INSERT INTO telemetry_events_fts (event_id, task_id, run_id, actor, event_type, summary, attributes)
SELECT id, task_id, run_id, actor, event_type, summary, attributes_json FROM telemetry_events;

INSERT INTO terminal_captures (task_id, role, tmux_session, captured_at, history_lines, content_sha256, content,
    byte_count, line_count, classifier_json, source)
SELECT 'task-' || owner(i / 10), 'worker', 'w', at, 100, 'sha-' || i, 'a screen', 8, 1, '{}', 'cycle'
FROM turn WHERE i % 10 = 3;
INSERT INTO transcript_segments (task_id, role, source_capture_id, captured_at, content_sha256, segment_text,
    byte_count, line_count, retention_class, segment_kind, created_at)
SELECT task_id, role, id, captured_at, content_sha256, content, 8, 1, 'hot', 'segment', captured_at FROM terminal_captures;

-- As the transactions of the program count what they tell.
INSERT INTO telemetry_days
SELECT day, task_id, actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
FROM telemetry_uncounted GROUP BY 1, 2, 3, 4, 5;
INSERT INTO telemetry_totals
SELECT day, actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
FROM telemetry_uncounted GROUP BY 1, 2, 3, 4;
UPDATE telemetry_counted SET place = (SELECT MAX(rowid) FROM telemetry_events);

COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
