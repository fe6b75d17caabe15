//! Deliveries and interrupts through a pane that does what the test says.

use std::fs;

use serde_json::json;

use super::*;
use crate::actors::guardian::ChildId;
use crate::actors::testing::{FakePane, mourned, no_answer, store};
use crate::codex::app_server::testing::FakeServer;
use crate::domain::command::QueuedCommand;
use crate::domain::transport::TransportKind;
use crate::domain::{FailureKind, OriginHeader, Recipe};
use crate::store::bindings::BoundTask;
use crate::store::dispatch::{Pass, PassOptions, Step};
use crate::store::session_links::{self, Link};
use crate::store::testing::TestDb;
use crate::tmux::TmuxError;

/// A worker in a pane, reached through its actor.
struct Desk {
    db: TestDb,
    bound: BoundTask,
    store: Store,
    pane: FakePane,
    session: Addr<Session>,
}

impl Desk {
    fn new() -> Self {
        let mut db = TestDb::new();
        let bound = db.pair("a");
        db.conn.execute("UPDATE sessions SET tmux_session = name", []).unwrap();
        let (store, pane) = (store(&db), FakePane::default());
        let terminal = pane.terminal();
        let terminals: Terminals = Rc::new(move |_| terminal.clone());
        let (obituary, _) = mourned(ChildId::Session(bound.worker.id.clone()));
        let session =
            Session::new(obituary, bound.worker.id.clone(), store.clone(), terminals, AtWork::default())
                .start();
        Self { db, bound, store, pane, session }
    }

    /// Queues a message for the worker and claims it.
    async fn claim(&mut self, message: &str) -> Push {
        self.db.enqueue(QueuedCommand::NudgeWorker, "a", message);
        let options = PassOptions {
            dispatcher_id: "d-1".into(),
            limit: 1,
            filter: None,
            lease_seconds: 60,
            back_off: false,
        };
        match self.store.write(Pass(options)).await.unwrap().pop() {
            Some(Step::Push(push)) => *push,
            other => panic!("not a push: {other:?}"),
        }
    }

    async fn deliver(&mut self, message: &str) -> Entry {
        let push = self.claim(message).await;
        self.session.send(Deliver(push)).await.unwrap().unwrap()
    }

    fn one(&self, sql: &str) -> String {
        self.db.texts(sql).pop().unwrap()
    }
}

fn captured(name: &str) -> String {
    let panes = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/panes");
    fs::read_to_string(format!("{panes}/{name}.txt")).unwrap()
}

const DELIVERED: &str = "succeeded / succeeded / delivered / sent";
const NOT_SENT: &str = "failed / failed / failed / failed";
const UNKNOWN: &str = "failed / failed / failed / unknown";

#[actix::test]
async fn a_session_that_is_gone_when_its_turn_comes_is_not_typed_into() {
    let mut desk = Desk::new();
    let push = desk.claim("go on").await;
    desk.db.conn.execute("UPDATE sessions SET state = 'gone'", []).unwrap();
    let report = desk.session.send(Deliver(push)).await.unwrap().unwrap();
    assert_eq!((&report["state"], &report["error"]), (&json!("failed"), &json!("session a-w is gone")));
    assert!(desk.pane.state().done.is_empty());
}

#[actix::test]
async fn a_text_is_typed_behind_its_header_and_submitted() {
    for lost_enters in [0, 2] {
        let mut desk = Desk::new();
        desk.pane.state().lost_enters = lost_enters;
        let report = desk.deliver("!go on").await;
        assert_eq!(report["state"], "delivered");
        assert_eq!(report["send_result"]["transport"], "tmux");
        let state = desk.pane.state();
        let (header, text) = OriginHeader::split(&state.submitted[0]).unwrap();
        assert_eq!((header.kind.as_str(), header.from.as_str(), text), ("nudge_worker", "a-m", "!go on"));
        assert_eq!(state.done.len(), 2 + lost_enters, "{:?}", state.done);
        assert_eq!(desk.db.ledger(), DELIVERED);
    }
}

#[actix::test]
async fn a_screen_that_takes_no_message_is_reported_and_not_typed_into() {
    async fn check(prepare: impl FnOnce(&FakePane), class: &str, says: &str) {
        let mut desk = Desk::new();
        prepare(&desk.pane);
        let report = desk.deliver("go on").await;
        assert_eq!((&report["state"], &report["side_effect_started"]), (&json!("failed"), &json!(false)));
        assert!(report["error"].as_str().unwrap().contains(says), "{report:?}");
        assert_eq!(desk.pane.state().done, [""; 0], "{says}");
        assert_eq!(desk.db.ledger(), NOT_SENT);
        assert_eq!(desk.one("SELECT COALESCE(pane_class, '') FROM deliveries"), class);
    }
    let shows = |name: &'static str| move |pane: &FakePane| pane.state().screen = Some(captured(name));
    check(shows("approval-exec"), "blocked:approval", "takes no message (blocked:approval)").await;
    check(shows("trust-screen"), "blocked:trust", "takes no message").await;
    check(shows("update-notice"), "blocked:update", "takes no message").await;
    check(shows("daemon-died"), "dead:server", "nobody works behind").await;
    check(|pane| pane.state().draft = "half a tho".into(), "idle", "a draft stands typed but not submitted")
        .await;
    check(|pane| pane.state().dead = true, "idle", "has exited").await;
    check(|pane| pane.state().program = Some("bash"), "idle", "would run the text").await;
    check(|pane| pane.state().gone = true, "", "no tmux server").await;
}

#[actix::test]
async fn a_message_of_ours_that_was_left_typed_is_submitted_before_the_next_one() {
    let mut desk = Desk::new();
    let left = "[conveyor nudge_worker from=a-m id=dispatch-1]\ngo on";
    desk.pane.state().draft = left.into();
    let report = desk.deliver("and then").await;
    assert_eq!(report["state"], json!("delivered"), "{report:?}");
    let submitted = desk.pane.state().submitted.clone();
    assert_eq!(submitted.len(), 2);
    assert_eq!(submitted[0], left);
    assert!(submitted[1].ends_with("and then"), "{submitted:?}");
}

#[actix::test]
async fn behind_a_message_of_ours_that_cannot_be_submitted_nothing_is_typed() {
    async fn check(prepare: impl FnOnce(&FakePane), enters: usize) {
        let mut desk = Desk::new();
        desk.pane.state().draft = "[conveyor nudge_worker from=a-m id=dispatch-1]\ngo on".into();
        prepare(&desk.pane);
        let report = desk.deliver("and then").await;
        assert_eq!(report["state"], json!("failed"), "{report:?}");
        assert_eq!(desk.pane.state().done, vec!["press Enter"; enters]);
        assert_eq!(desk.db.ledger(), NOT_SENT);
    }
    check(|pane| pane.state().lost_enters = usize::MAX, 4).await;
    check(|pane| pane.state().unseen_after_enter = true, 1).await;
    check(|pane| pane.state().title = "[ ! ] Action Required | repo".into(), 0).await;
    check(|pane| pane.state().program = Some("bash"), 0).await;
}

#[actix::test]
async fn a_text_that_stands_typed_but_not_submitted_is_unknown() {
    async fn check(prepare: impl FnOnce(&FakePane), says: &str, enters: usize) {
        let mut desk = Desk::new();
        prepare(&desk.pane);
        let report = desk.deliver("go on").await;
        assert_eq!((&report["state"], &report["side_effect_started"]), (&json!("unknown"), &json!(true)));
        assert!(report["error"].as_str().unwrap().contains(says), "{report:?}");
        assert_eq!(desk.pane.state().done.len(), 1 + enters, "{says}");
        assert_eq!(desk.pane.state().submitted, [""; 0]);
        assert_eq!(desk.db.ledger(), UNKNOWN);
    }
    check(|pane| pane.state().lost_enters = usize::MAX, "typed but not submitted in tmux session a-w", 4)
        .await;
    let approval = |pane: &FakePane| pane.state().screen_after_paste = Some(captured("approval-exec"));
    check(approval, "Enter was not pressed", 0).await;
    check(|pane| pane.state().program_after_paste = Some("bash"), "Enter was not pressed: the shell bash", 0)
        .await;
    check(|pane| pane.state().paste_error = Some(no_answer), "gave no answer", 0).await;
    let goes_dark = |pane: &FakePane| {
        pane.state().lost_enters = usize::MAX;
        pane.state().unseen_after_enter = true;
    };
    check(goes_dark, "could not be seen", 1).await;
}

#[actix::test]
async fn the_pane_that_was_typed_into_is_looked_at_whichever_is_active_then() {
    let mut desk = Desk::new();
    desk.pane.state().lost_enters = 1;
    desk.pane.state().other_after_paste = Some("a person's own shell");
    assert_eq!(desk.deliver("go on").await["state"], "delivered");
    assert_eq!(desk.pane.state().submitted.len(), 1);
    assert_eq!(desk.pane.state().done.len(), 3);
}

#[actix::test]
async fn in_place_of_a_recorded_pane_that_is_gone_only_a_codex_is_told() {
    async fn check(pane: &str, screen: Option<&str>, state: &str) {
        let mut desk = Desk::new();
        desk.db.conn.execute("UPDATE sessions SET tmux_pane_id = ?1", [pane]).unwrap();
        desk.pane.state().screen = screen.map(str::to_owned);
        let report = desk.deliver("go on").await;
        assert_eq!(report["state"], state, "{pane} {screen:?}: {report:?}");
        assert_eq!(desk.pane.state().done.is_empty(), state == "failed", "{pane} {screen:?}");
    }
    check("%1", None, "delivered").await;
    check("%1", Some("another program"), "delivered").await;
    check("%9", None, "delivered").await;
    check("%9", Some("another program"), "failed").await;
}

#[actix::test]
async fn a_paste_that_tmux_refuses_has_sent_nothing() {
    let mut desk = Desk::new();
    desk.pane.state().paste_error = Some(|| TmuxError::NoSession { target: "%1".into() });
    let report = desk.deliver("go on").await;
    assert_eq!((&report["state"], &report["side_effect_started"]), (&json!("failed"), &json!(true)));
    assert_eq!(desk.db.ledger(), NOT_SENT);
}

#[actix::test]
async fn texts_follow_each_other_and_never_mix() {
    let mut desk = Desk::new();
    desk.pane.state().lost_enters = 1;
    let pushes = [desk.claim("one").await, desk.claim("two").await, desk.claim("three").await];
    let sends = pushes.map(|push| desk.session.send(Deliver(push)));
    for report in futures_util::future::join_all(sends).await {
        assert_eq!(report.unwrap().unwrap()["state"], "delivered");
    }
    let state = desk.pane.state();
    let texts: Vec<&str> = state.submitted.iter().map(|text| OriginHeader::split(text).unwrap().1).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

#[actix::test]
async fn whoever_lost_the_claim_types_nothing() {
    let mut desk = Desk::new();
    desk.pane.state().draft = "[conveyor nudge_worker from=a-m id=dispatch-1]\ngo on".into();
    let push = desk.claim("go on").await;
    desk.db
        .conn
        .execute("UPDATE deliveries SET state = 'failed', error = 'lost', settled_at = 'now'", [])
        .unwrap();
    let report = desk.session.send(Deliver(push)).await.unwrap().unwrap();
    assert_eq!(report["state"], "failed");
    assert_eq!(desk.pane.state().done, [""; 0]);
}

#[actix::test]
async fn a_session_without_its_app_server_is_reached_through_its_terminal() {
    let mut desk = Desk::new();
    let link = Link {
        app_server_socket: Some("/tmp/no-such-directory/app-server.sock".into()),
        transports: vec![TransportKind::AppServer, TransportKind::Tmux],
        ..Link::new(Recipe::PrivateServer)
    };
    session_links::put(&desk.db.conn, &desk.bound.worker.id, &link).unwrap();
    desk.db.conn.execute("UPDATE sessions SET codex_session_id = id", []).unwrap();
    assert_eq!(desk.deliver("go on").await["state"], "delivered");
    assert_eq!(desk.one("SELECT transport || ' ' || state FROM deliveries"), "tmux sent");
    assert_eq!(desk.pane.state().submitted.len(), 1);
}

#[actix::test]
async fn a_direct_nudge_goes_the_same_way_and_without_a_way_is_refused() {
    let desk = Desk::new();
    let nudge = |desk: &Desk| {
        let session_id = desk.bound.worker.id.clone();
        desk.session.send(Nudge { session_id, text: "psst".into(), from_thread: None })
    };
    assert_eq!(nudge(&desk).await.unwrap().unwrap()["state"], "delivered");
    assert!(desk.pane.state().submitted[0].ends_with("\npsst"));
    desk.db.conn.execute("UPDATE sessions SET tmux_session = NULL", []).unwrap();
    let refused = nudge(&desk).await.unwrap().unwrap_err();
    assert!(refused.message.contains("no terminal"), "{refused}");
    assert_eq!(desk.db.number("SELECT count(*) FROM deliveries"), 1);
}

#[actix::test]
async fn a_nudge_whose_result_cannot_be_recorded_says_that_it_may_have_been_sent() {
    async fn check(pane_is_gone: bool, state: &str, says: &str) {
        let desk = Desk::new();
        desk.pane.state().gone = pane_is_gone;
        let fails = format!(
            "CREATE TRIGGER full BEFORE UPDATE ON deliveries WHEN NEW.state = '{state}'
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        );
        desk.db.conn.execute_batch(&fails).unwrap();
        let session_id = desk.bound.worker.id.clone();
        let nudge = Nudge { session_id, text: "psst".into(), from_thread: None };
        let failure = desk.session.send(nudge).await.unwrap().unwrap_err();
        assert!(
            failure.message.starts_with(says) && failure.message.contains("the disk is full"),
            "{failure}"
        );
        assert_eq!(desk.pane.state().submitted.len(), usize::from(!pane_is_gone));
        let hinted = failure.hints.iter().any(|hint| hint.contains("it is delivery 1 of"));
        assert_eq!(hinted, !pane_is_gone, "{:?}", failure.hints);
    }
    check(false, "sent", "the text may have been sent").await;
    check(true, "failed", "the text was not sent").await;
}

/// Interrupts the worker in the pane of `desk`; gives what was pressed, or why nothing was.
async fn interrupted(desk: &Desk, key: Option<&str>, force: bool) -> Result<String, String> {
    let key = key.map(|key| key.parse().unwrap());
    let interrupt = Interrupt { session_id: desk.bound.worker.id.clone(), key, force, dry_run: false };
    let outcome = desk.session.send(interrupt).await.unwrap();
    let pressed = desk.pane.state().done.clone();
    match outcome {
        Ok(interrupted) => {
            assert_eq!(pressed, [format!("press {}", interrupted.by)]);
            Ok(interrupted.by)
        }
        Err(refused) => {
            assert_eq!(pressed, [""; 0]);
            Err(refused.message)
        }
    }
}

#[actix::test]
async fn an_interrupt_presses_what_harms_nothing() {
    async fn check(screen: Option<&str>, key: Option<&str>, force: bool, expect: Result<&str, &str>) {
        let desk = Desk::new();
        desk.pane.state().screen = screen.map(captured);
        match (interrupted(&desk, key, force).await, expect) {
            (Ok(pressed), Ok(key)) => assert_eq!(pressed, key),
            (Err(refused), Err(says)) => assert!(refused.contains(says), "{refused}"),
            (outcome, expect) => panic!("{outcome:?} instead of {expect:?}"),
        }
    }
    check(Some("working-tool"), None, false, Ok("Escape")).await;
    check(Some("working-tool"), Some("C-c"), false, Ok("C-c")).await;
    check(None, None, false, Ok("Escape")).await;
    check(None, Some("C-c"), false, Err("no running turn (idle), and C-c would end")).await;
    check(None, Some("C-c"), true, Ok("C-c")).await;
    check(Some("trust-screen"), Some("C-c"), false, Err("no running turn (blocked:trust)")).await;
}

#[actix::test]
async fn a_screen_that_is_not_known_may_be_a_newer_codex() {
    async fn check(program: &'static str, thread: Option<&str>, recipe: Recipe, expect: &str) {
        let desk = Desk::new();
        desk.pane.state().screen = Some("something new".into());
        desk.pane.state().program = Some(program);
        session_links::put(&desk.db.conn, &desk.bound.worker.id, &Link::new(recipe)).unwrap();
        desk.db.conn.execute("UPDATE sessions SET codex_session_id = id || ?1", [thread]).unwrap();
        assert_eq!(interrupted(&desk, None, false).await.as_deref(), Ok(expect), "{program} {thread:?}");
        desk.pane.state().done.clear();
        let named = interrupted(&desk, Some("C-c"), false).await;
        assert_eq!(named.is_ok(), expect == "C-c", "{program} {thread:?}: {named:?}");
    }
    check("codex", None, Recipe::Given, "Escape").await;
    check("node", None, Recipe::Given, "Escape").await;
    check("renamed", Some("t"), Recipe::Given, "Escape").await;
    check("sh", Some("t"), Recipe::Embedded, "Escape").await;
    check("sh", Some("t"), Recipe::Given, "C-c").await;
    check("python3", None, Recipe::Given, "C-c").await;
}

#[actix::test]
async fn a_pane_that_cannot_be_looked_at_is_not_interrupted() {
    let desk = Desk::new();
    desk.pane.state().unseen = true;
    for key in [None, Some("C-c"), Some("Escape")] {
        let refused = interrupted(&desk, key, true).await.unwrap_err();
        assert!(refused.contains("no answer"), "{refused}");
    }
}

#[actix::test]
async fn an_interrupt_that_the_app_server_may_have_made_is_not_made_again_with_a_key() {
    async fn check(refused: bool, pressed: &[&str]) {
        let desk = Desk::new();
        let server = FakeServer::listen();
        let link = Link {
            app_server_socket: Some(server.socket.to_str().unwrap().into()),
            ..Link::new(Recipe::PrivateServer)
        };
        session_links::put(&desk.db.conn, &desk.bound.worker.id, &link).unwrap();
        desk.db.conn.execute("UPDATE sessions SET codex_session_id = id", []).unwrap();
        let answering = async {
            let mut peer = server.accept().await;
            let turns = json!({"data": [{"id": "turn-1", "status": "inProgress"}]});
            peer.answer("thread/turns/list", turns).await;
            let call = peer.next().await;
            assert_eq!(call["method"], "turn/interrupt");
            if refused {
                let error = json!({"code": -32600, "message": "no such turn"});
                peer.say(json!({"id": call["id"], "error": error})).await;
            } else {
                peer.hang_up().await;
            }
        };
        let session_id = desk.bound.worker.id.clone();
        let interrupt = Interrupt { session_id, key: None, force: false, dry_run: false };
        let (outcome, ()) = tokio::join!(desk.session.send(interrupt), answering);
        let outcome = outcome.unwrap();
        assert_eq!(desk.pane.state().done, pressed, "{outcome:?}");
        if !refused {
            assert_eq!(outcome.unwrap_err().kind, FailureKind::Unknown);
        }
    }
    check(true, &["press Escape"]).await;
    check(false, &[]).await;
}
