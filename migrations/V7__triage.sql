-- What lets the views of failures and metrics end in an index.

-- Cycles by time, by how they went, and by whether they saw the worker's screen.
CREATE INDEX manager_cycles_started ON manager_cycles (started_at, state);
CREATE INDEX manager_cycles_state ON manager_cycles (state, started_at);
CREATE INDEX manager_cycles_pane
    ON manager_cycles (json_extract(status_json, '$.pane_signal.captured'), state, started_at);

CREATE INDEX commands_created ON commands (created_at);
CREATE INDEX commands_state_created ON commands (state, created_at);
CREATE INDEX command_attempts_started ON command_attempts (started_at);
CREATE INDEX acceptance_criteria_status ON acceptance_criteria (status, id);
CREATE INDEX sessions_state ON sessions (state);
CREATE INDEX tasks_state ON tasks (state);

-- Texts that are kept, and how long they are.
CREATE INDEX terminal_captures_kept ON terminal_captures (task_id, byte_count) WHERE content IS NOT NULL;
CREATE INDEX transcript_segments_kept ON transcript_segments (task_id, byte_count)
    WHERE segment_text IS NOT NULL;
CREATE INDEX transcript_captures_kept ON transcript_captures (worker_id, byte_count) WHERE content IS NOT NULL;

-- Reads of rollouts that skipped lines or failed.
CREATE INDEX telemetry_events_skipped ON telemetry_events (timestamp)
    WHERE event_type = 'codex_events_ingested' AND json_extract(attributes_json, '$.skipped_lines') > 0;

-- Exports of tasks.
CREATE INDEX events_exports ON events (created_at) WHERE type = 'task_exported';
