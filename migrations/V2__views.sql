-- What lets views over large histories end in an index instead of reading whole tables. Extra indexes
-- do not keep agent-conveyor from opening the file.

-- The newest of a task.
CREATE INDEX routed_notifications_task ON routed_notifications (task_id, id);
CREATE INDEX commands_task ON commands (task_id);
CREATE INDEX commands_task_type ON commands (task_id, type);
CREATE INDEX manager_decisions_task ON manager_decisions (task_id, id);
CREATE INDEX bindings_task ON bindings (task_id);
CREATE INDEX task_acknowledgements_task ON task_acknowledgements (task_id, id);
CREATE INDEX terminal_captures_task ON terminal_captures (task_id, id);
CREATE INDEX transcript_segments_task ON transcript_segments (task_id, id);
CREATE INDEX prompts_task ON prompts (task_id, id);

-- Cycles that saw something on a worker's screen.
CREATE INDEX manager_cycles_notable ON manager_cycles (task_id, id)
    WHERE json_extract(status_json, '$.notable_pane_pattern') IS NOT NULL;

-- The chain from cause to effect.
CREATE INDEX routed_notifications_correlation ON routed_notifications (correlation_id);
CREATE INDEX routed_notifications_command ON routed_notifications (command_id);
CREATE INDEX commands_correlation ON commands (correlation_id);
CREATE INDEX events_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX events_command ON events (command_id) WHERE command_id IS NOT NULL;
