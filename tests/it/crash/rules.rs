//! What must hold when everything has come to rest, whatever was killed before.

use super::scene::{End, Scene};
use crate::supervisor::{open, texts};
use std::collections::{BTreeMap, BTreeSet};

/// Holds the database to what was really done.
pub(super) fn hold(scene: &Scene) {
    facts_are_what_ended(scene);
    each_fact_and_message_is_announced_once(scene);
    pushes_are_not_repeated(scene);
    what_is_not_known_to_have_arrived_is_shown(scene);
    items_are_settled_once(scene);
    assert_eq!(texts(&scene.world, "PRAGMA integrity_check"), ["ok"]);
}

fn rows(scene: &Scene, sql: &str) -> Vec<Vec<String>> {
    let database = open(&scene.world);
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| {
        (0..columns)
            .map(|column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default))
            .collect()
    };
    statement.query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
}

/// No turn's end is lost, none is invented, none is there twice.
fn facts_are_what_ended(scene: &Scene) {
    let sql = "SELECT thread_id, turn_key, outcome FROM turn_facts
               WHERE session_id IN (SELECT worker_session_id FROM bindings)";
    let facts = rows(scene, sql).into_iter().map(|row| (row[0].clone(), row[1].clone(), row[2].clone()));
    let mut facts: Vec<_> = facts.collect();
    let told = |End { thread, turn, outcome }: &End| (thread.clone(), turn.clone(), (*outcome).to_owned());
    let mut ends: Vec<_> = scene.ends.iter().map(told).collect();
    facts.sort();
    ends.sort();
    assert_eq!(facts, ends);
}

fn each_fact_and_message_is_announced_once(scene: &Scene) {
    let sql = "SELECT f.turn_key, CAST(count(n.id) AS TEXT) FROM turn_facts f
               LEFT JOIN routed_notifications n ON n.source_event_id = f.event_id AND n.command_id IS NULL
               WHERE f.session_id IN (SELECT worker_session_id FROM bindings)
               GROUP BY f.id HAVING count(n.id) <> 1";
    assert_eq!(rows(scene, sql), Vec::<Vec<String>>::new(), "notifications of facts");
    let keys: Vec<String> =
        texts(&scene.world, "SELECT idempotency_key FROM commands ORDER BY idempotency_key");
    assert_eq!(keys, scene.queued.iter().cloned().collect::<Vec<_>>());
    let sql = "SELECT c.id, CAST(count(n.id) AS TEXT) FROM commands c
               LEFT JOIN routed_notifications n ON n.command_id = c.id AND n.state = 'delivered'
               GROUP BY c.id HAVING count(n.id) > 1";
    assert_eq!(rows(scene, sql), Vec::<Vec<String>>::new(), "notifications of messages");
}

/// Of the deliveries of one thing at most one left, and it left once.
fn pushes_are_not_repeated(scene: &Scene) {
    let received = scene.codex.session().received.clone();
    let ids: BTreeSet<&String> = received.iter().collect();
    assert_eq!(ids.len(), received.len(), "a message was sent twice: {received:?}");
    let sql = "SELECT d.client_message_id, d.state, COALESCE(c.id, n.dedupe_key, 'nudge ' || d.id), CAST(d.id AS TEXT) FROM deliveries d
               LEFT JOIN routed_notifications n ON n.id = d.notification_id LEFT JOIN commands c ON c.id = n.command_id";
    let mut left = BTreeMap::<String, Vec<String>>::new();
    for row in rows(scene, sql) {
        let [id, state, subject, delivery] = <[String; 4]>::try_from(row).unwrap();
        let did_leave = received.contains(&id);
        if did_leave {
            assert_eq!(state, "observed", "delivery {delivery} arrived");
            left.entry(subject).or_default().push(delivery);
        } else {
            assert!(
                state != "observed" || id.is_empty() || is_mailbox(scene, &delivery),
                "delivery {delivery} is invented"
            );
        }
    }
    assert_eq!(left.values().map(Vec::len).sum::<usize>(), received.len(), "something left without a record");
    let twice: Vec<_> = left.iter().filter(|(_, deliveries)| deliveries.len() > 1).collect();
    assert!(twice.is_empty(), "pushed more than once: {twice:?}");
}

fn is_mailbox(scene: &Scene, delivery: &str) -> bool {
    let sql = format!("SELECT transport FROM deliveries WHERE id = {delivery}");
    texts(&scene.world, &sql) == ["mailbox"]
}

/// What was announced has arrived, or is shown as unknown.
fn what_is_not_known_to_have_arrived_is_shown(scene: &Scene) {
    let listed = scene.world.conveyor(&["deliveries", "--state", "unknown", "--limit", "100000", "--json"]);
    let listed = listed.ok().json();
    let shown: BTreeSet<i64> =
        listed.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    let unknown = texts(&scene.world, "SELECT CAST(id AS TEXT) FROM deliveries WHERE state = 'unknown'");
    assert_eq!(shown, unknown.iter().map(|id| id.parse().unwrap()).collect());
    let sql = "SELECT CAST(n.id AS TEXT), n.state FROM routed_notifications n
               WHERE n.command_id IS NULL AND n.state <> 'suppressed' AND NOT EXISTS (SELECT 1 FROM deliveries d
                   WHERE d.notification_id = n.id AND d.state IN ('observed', 'unknown'))";
    assert_eq!(rows(scene, sql), Vec::<Vec<String>>::new(), "facts that nobody got");
    let sql = "SELECT c.idempotency_key, c.state FROM commands c
               WHERE (c.state <> 'failed' OR c.error IS NULL) AND NOT EXISTS (SELECT 1 FROM deliveries d
                   WHERE d.command_id = c.id AND d.state IN ('observed', 'unknown'))";
    assert_eq!(rows(scene, sql), Vec::<Vec<String>>::new(), "messages that nobody got, and nobody knows it");
}

/// Whoever was told that an item is settled is the only one who was.
fn items_are_settled_once(scene: &Scene) {
    let once: BTreeSet<i64> = scene.acknowledged.iter().copied().collect();
    assert_eq!(once.len(), scene.acknowledged.len(), "settled twice: {:?}", scene.acknowledged);
    let sql =
        "SELECT CAST(n.id AS TEXT) FROM routed_notifications n JOIN sessions s ON s.id = n.target_session_id
               WHERE s.name = 'polled-manager' AND n.state = 'delivered' AND n.consumed_at IS NULL";
    assert_eq!(texts(&scene.world, sql), Vec::<String>::new(), "left in the mailbox");
}
