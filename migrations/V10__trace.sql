-- The steps from cause to effect that had no index yet.
CREATE INDEX manager_decisions_cycle ON manager_decisions (manager_cycle_id) WHERE manager_cycle_id IS NOT NULL;
CREATE INDEX commands_decision
    ON commands (json_extract(payload_json, '$.manager_decision_id'))
    WHERE json_extract(payload_json, '$.manager_decision_id') IS NOT NULL;
CREATE INDEX commands_checked_decision
    ON commands (json_extract(payload_json, '$.manager_decision.decision_id'))
    WHERE json_extract(payload_json, '$.manager_decision.decision_id') IS NOT NULL;
CREATE INDEX task_acknowledgements_correlation
    ON task_acknowledgements (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX turn_facts_key ON turn_facts (turn_key);
