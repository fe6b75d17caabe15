//! Rollout files, good and bad, read into a real database.

use std::fs;
use std::path::Path;

use super::testing::{END, END_B, META, SAID, START, World, lines};
use super::{Followed, Standing, follow, read_out, write_held};
use crate::codex::rollout::SessionMeta;
use crate::store::rollout::GetCursor;

#[actix::test]
async fn what_is_new_is_read_once() {
    let world = World::new();
    let text = lines(&[META, START, END]);
    world.write(&text);
    world.expect((3, text.len(), 0)).await;
    world.expect((0, text.len(), 0)).await;
    assert_eq!(world.facts(), ["a completed "]);
    world.add(&lines(&[END_B])[..20]);
    world.expect((0, text.len(), 0)).await;
    world.add(&lines(&[END_B])[20..]);
    world.expect((1, text.len() + END_B.len() + 1, 0)).await;
    assert_eq!(world.facts(), ["a completed ", "b interrupted "]);
}

#[actix::test]
async fn only_somebody_who_asks_leaves_a_trace_of_a_look_at_nothing_new() {
    let world = World::new();
    world.write(lines(&[META]));
    world.ingest().await;
    let before = world.contents();
    world.pass(false).await.unwrap();
    assert_eq!(world.contents(), before);
    world.ingest().await;
    assert_eq!(world.contents().1, before.1 + 1);
}

#[actix::test]
async fn bad_lines_are_skipped_and_counted() {
    let world = World::new();
    let good = lines(&[META, "{broken", "[1]", "", r#"{"type":5}"#, START]);
    world.write(format!("{good}garbage\n\u{1}\u{2}\n"));
    world.expect((2, good.len(), 6)).await;
    world.expect((0, good.len(), 2)).await;
    world.add(lines(&[END]));
    world.expect((1, good.len() + "garbage\n\u{1}\u{2}\n".len() + END.len() + 1, 2)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn more_garbage_than_fits_a_batch_is_passed_over() {
    let world = World::new();
    let garbage = "no json\n".repeat(5000);
    let text = format!("{META}\n{garbage}{END}\n");
    world.write(&text);
    world.expect((2, text.len(), 5000)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn bytes_that_are_no_utf8_do_not_hide_the_end_of_a_turn() {
    let world = World::new();
    let end = END.replace("done", "d\u{1}ne").into_bytes();
    let end: Vec<u8> = end.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    world.write([lines(&[META, START]).as_bytes(), &end, b"\n"].concat());
    world.expect((3, META.len() + START.len() + end.len() + 3, 0)).await;
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn a_fifty_megabyte_line_is_read() {
    let world = World::new();
    let huge = format!(
        r#"{{"type":"response_item","payload":{{"type":"message","text":"{}"}}}}"#,
        "a".repeat(50 << 20)
    );
    let text = lines(&[META, START, &huge, END]);
    world.write(&text);
    world.expect((4, text.len(), 0)).await;
    let left = "SELECT payload_json ->> '$.left_in_rollout_bytes' FROM codex_events WHERE id = 3";
    assert!(world.look.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap() > 50 << 20);
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn a_rollout_that_cannot_be_read_on_is_a_clear_error_that_changes_nothing() {
    let world = World::new();
    world.expect_failure("does not exist").await;
    world.write("");
    world.expect((0, 0, 0)).await;
    world.write("{\"type\":\"session_me");
    world.expect((0, 0, 0)).await;
    world.write(lines(&[START]));
    world.expect_failure("not session_meta").await;
    world.write(lines(&["garbage", META]));
    world.expect_failure("not session_meta").await;
    world.write(lines(&[&META.replace("thread-1", "thread-2")]));
    world.expect_failure("records thread thread-2, not thread-1").await;

    let text = lines(&[META, START, END]);
    world.write(&text);
    world.expect((3, text.len(), 0)).await;
    world.write(&text[..text.len() - 4]);
    world.expect_failure("fewer than").await;
    world.write(text.replace('\n', " ") + "more\n");
    world.expect_failure("was replaced").await;
    world.write(text.replace("thread-1", "thread-9"));
    world.expect_failure("records thread thread-9").await;
    fs::remove_file(&world.rollout).unwrap();
    world.expect_failure("does not exist").await;
    fs::create_dir(&world.rollout).unwrap();
    world.expect_failure("not a regular file").await;
}

#[actix::test]
async fn a_later_registration_reads_a_rotated_rollout_from_its_start() {
    let world = World::new();
    world.write(lines(&[META, START, END]));
    world.ingest().await;
    let rotated = lines(&[&META.replace("thread-1", "thread-2"), END_B]);
    world.write(&rotated);
    world.register("thread-2");
    world.expect((2, rotated.len(), 0)).await;
    assert_eq!(world.facts(), ["a completed ", "b interrupted "]);
}

#[actix::test]
async fn a_fork_that_repeats_the_turns_of_its_parent_tells_only_its_own() {
    let forked = r#"{"type":"session_meta","payload":{"id":"thread-2","forked_from_id":"thread-1"}}"#;
    let silent = r#"{"type":"session_meta","payload":{"id":"thread-2"}}"#;
    for fork in [lines(&[forked, START, END]), lines(&[silent, META, START, END])] {
        let fork = fork + &lines(&[END_B]);
        for child_first in [false, true] {
            let world = World::new();
            let copy = world.rollout.with_file_name("fork.jsonl");
            fs::write(&copy, &fork).unwrap();
            world.write(lines(&[META, START, END]));
            let first = if child_first { (&copy, "thread-2") } else { (&world.rollout, "thread-1") };
            world.move_to(first.0, first.1);
            world.ingest().await;
            world.move_to(&world.rollout, "thread-1");
            world.ingest().await;
            world.move_to(&copy, "thread-2");
            world.ingest().await;
            assert_eq!(world.facts(), ["a completed ", "b interrupted "], "{fork}");
        }
    }
}

#[actix::test]
async fn what_is_left_of_a_rollout_is_read_before_it_is_left_if_it_can_be() {
    let world = World::new();
    world.write(lines(&[META, START, END]));
    read_out(&world.store, "session-1").await.unwrap();
    assert_eq!(world.facts(), ["a completed "]);
    world.write("");
    read_out(&world.store, "session-1").await.unwrap();
    world.look.execute_batch("UPDATE sessions SET codex_session_path = NULL").unwrap();
    read_out(&world.store, "session-1").await.unwrap();
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn many_readers_of_one_rollout_take_each_line_once() {
    let world = World::new();
    let turns: Vec<String> = (0..3000).map(|n| END.replace("\"a\"", &format!("\"{n}\""))).collect();
    world.write(format!("{META}\n{}\n", turns.join("\n")));
    let reads = futures_util::future::join_all((0..8).map(|_| world.ingest())).await;
    assert_eq!(reads.iter().map(|read| read.new_events).sum::<u64>(), 3001);
    assert_eq!(world.contents().0, 3001);
    assert_eq!(world.facts().len(), 3000);
}

#[actix::test]
async fn facts_are_the_same_whether_a_rollout_is_read_at_once_or_while_it_grows() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rollouts");
    let check = async |name: &str, expect: &[&str]| {
        let fixture = fixtures.join(name).with_extension("jsonl");
        let thread = SessionMeta::read(&fixture).unwrap().id;
        let text = fs::read_to_string(&fixture).unwrap();
        let (whole, growing) = (World::new(), World::new());
        whole.register(&thread);
        whole.write(&text);
        whole.ingest().await;
        growing.register(&thread);
        for line in text.split_inclusive('\n') {
            growing.add(line);
            growing.pass(false).await.unwrap();
        }
        assert_eq!(growing.facts(), whole.facts(), "{name}");
        assert_eq!(growing.contents().0, whole.contents().0, "{name}");
        for (fact, outcome) in whole.facts().iter().zip(expect) {
            assert!(fact.contains(outcome), "{name}: {fact}");
        }
        assert_eq!(whole.facts().len(), expect.len(), "{name}");
    };
    check("error-usage-limit", &["failed You’ve hit your usage limit"]).await;
    check("interrupted-tool-esc", &["completed", "completed", "completed", "interrupted", "interrupted"])
        .await;
    check("killed-mid-turn-resumed", &["failed the session's process stopped", "completed"]).await;
    check("steer-and-tab-queue", &["completed", "completed"]).await;
    check("tool-running", &[]).await;
}

impl World {
    async fn stored(&self) -> Standing {
        Standing::stored(self.store.read(GetCursor("w1".into())).await.unwrap())
    }

    async fn follow(&self, standing: Standing) -> Standing {
        follow(&self.store, standing).await.unwrap().standing
    }

    fn events(&self) -> i64 {
        self.contents().0
    }
}

#[actix::test]
async fn what_nobody_waits_for_is_held_back_until_there_is_news() {
    let world = World::new();
    world.write(lines(&[META, SAID]));
    let standing = world.follow(world.stored().await).await;
    world.add(SAID);
    let standing = world.follow(standing).await;
    world.add("\n");
    let standing = world.follow(standing).await;
    assert!(standing.holds());
    assert_eq!((world.events(), world.contents().2), (0, None));
    for (line, events) in [(START, 4), (END, 5)] {
        world.add(lines(&[line]));
        assert!(!world.follow(world.stored().await).await.holds());
        assert_eq!(world.events(), events);
    }
    assert_eq!(world.facts(), ["a completed "]);
}

#[actix::test]
async fn news_takes_with_it_what_was_held_back() {
    let world = World::new();
    world.write(lines(&[META, START, SAID]));
    let standing = world.follow(world.stored().await).await;
    world.add(lines(&[SAID]));
    let standing = world.follow(standing).await;
    assert!(standing.holds());
    world.add(lines(&[END]));
    assert!(!world.follow(standing).await.holds());
    assert_eq!((world.events(), world.facts()), (5, vec!["a completed ".to_owned()]));
}

#[actix::test]
async fn what_was_held_back_is_written_when_asked_for_and_many_lines_are_not_held() {
    let world = World::new();
    world.write(lines(&[META]));
    let standing = world.follow(world.stored().await).await;
    let Followed { standing, moved_on } = write_held(&world.store, standing).await.unwrap();
    assert_eq!((world.events(), standing.holds(), moved_on), (1, false, true));
    world.add(lines(&[SAID; super::MOST_HELD]));
    let standing = world.follow(standing).await;
    assert_eq!((world.events(), standing.holds()), (1, true));
    world.add(lines(&[SAID]));
    assert!(!world.follow(standing).await.holds());
    assert_eq!(world.events(), super::MOST_HELD as i64 + 2);
}

#[actix::test]
async fn what_another_reader_has_taken_meanwhile_is_not_doubled() {
    let world = World::new();
    world.write(lines(&[META, SAID]));
    let standing = world.follow(world.stored().await).await;
    world.ingest().await;
    world.add(lines(&[SAID]));
    let standing = world.follow(standing).await;
    let standing = write_held(&world.store, standing).await.unwrap().standing;
    assert_eq!(world.events(), 2);
    let standing = world.follow(standing).await;
    write_held(&world.store, standing).await.unwrap();
    assert_eq!(world.events(), 3);
}

#[actix::test]
async fn what_was_held_back_stays_when_the_rollout_breaks() {
    let world = World::new();
    world.write(lines(&[META, SAID]));
    let standing = world.follow(world.stored().await).await;
    world.write("");
    follow(&world.store, standing).await.unwrap_err();
    assert_eq!(world.events(), 2);
}
