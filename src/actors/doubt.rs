//! Deliveries that were sent and are not seen to arrive: after a while nobody knows.

use std::time::Duration;

use actix::prelude::*;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::hands::Hands;
use super::pane_class::classify_view;
use super::session::Session;
use crate::codex::pane::{PaneClass, composer_text};
use crate::domain::{Failure, OriginHeader};
use crate::store::Store;
use crate::store::deliveries::{AbandonNudges, DoubtDelivery, OverdueDeliveries, Unseen};
use crate::tmux::PaneView;

/// How long a sent text may stay unseen. Codex takes one in within a second, its queue within ten;
/// a starved machine needed a minute.
const PATIENCE: SignedDuration = SignedDuration::from_secs(120);

/// Between two looks for overdue deliveries.
const SWEEP: Duration = Duration::from_secs(2);

/// Looks at what is seen of the target of an unseen delivery, and records that nobody knows whether
/// it arrived. Gives whether that was still so.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<bool, Failure>")]
pub struct Doubt(pub Unseen);

/// Doubts whatever is overdue, for as long as the runtime lives.
pub(super) async fn sweep(store: Store, sessions: Recipient<Doubt>) {
    loop {
        if let Err(failure) = sweep_once(&store, &sessions).await {
            tracing::warn!(%failure, "failed to look for overdue deliveries; trying again");
        }
        tokio::time::sleep(SWEEP).await;
    }
}

async fn sweep_once(store: &Store, sessions: &Recipient<Doubt>) -> Result<(), Failure> {
    let before = Timestamp::now() - PATIENCE;
    let overdue = store.read(OverdueDeliveries { before }).await?;
    if overdue.abandoned_nudges {
        store.write(AbandonNudges { claimed_before: before }).await?;
    }
    let doubts = overdue.unseen.into_iter().map(|unseen| sessions.send(Doubt(unseen)));
    for outcome in join_all(doubts).await {
        // An actor that is gone is asked again at the next look.
        if let Ok(Err(failure)) = outcome {
            tracing::warn!(%failure, "failed to record a doubt; trying again");
        }
    }
    Ok(())
}

impl Handler<Doubt> for Session {
    type Result = ResponseFuture<Result<bool, Failure>>;

    fn handle(&mut self, Doubt(unseen): Doubt, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(async move |hands| hands.doubt(unseen).await)
    }
}

impl Hands {
    async fn doubt(&self, unseen: Unseen) -> Result<bool, Failure> {
        let seen = self.seen_of(&unseen).await?;
        let error = format!(
            "sent by {} and not seen to arrive within {} s; {}",
            unseen.transport,
            PATIENCE.as_secs(),
            seen.text
        );
        let doubt = DoubtDelivery { unseen, error, pane_class: seen.class.map(|class| class.to_string()) };
        Ok(self.store.write(doubt).await?)
    }

    async fn seen_of(&self, unseen: &Unseen) -> Result<Seen, Failure> {
        let linked = self.linked().await?;
        let Some(tmux_session) = &linked.session.tmux_session else {
            return Ok(Seen::nothing("the session has no terminal to look at"));
        };
        Ok(match self.see(&linked, 0).await {
            Ok((_, view)) => Seen::on(&view, tmux_session, unseen.id),
            Err(error) => Seen::nothing(&format!("its terminal could not be read: {error}")),
        })
    }
}

/// What is seen of a delivery's target.
struct Seen {
    text: String,
    class: Option<PaneClass>,
}

impl Seen {
    fn nothing(why: &str) -> Self {
        Self { text: why.to_owned(), class: None }
    }

    fn on(view: &PaneView, tmux_session: &str, delivery: i64) -> Self {
        let class = classify_view(view);
        let draft = composer_text(&view.text).unwrap_or_default();
        let text = if is_ours(&draft, delivery) {
            format!("the text stands typed but not submitted in tmux session {tmux_session}")
        } else {
            format!("tmux session {tmux_session} shows: {class}")
        };
        Self { text, class: Some(class) }
    }
}

/// Whether a draft begins with the header of the text that `delivery` sent. The composer may have
/// wrapped it.
fn is_ours(draft: &str, delivery: i64) -> bool {
    let unwrapped: String = draft.split_whitespace().collect();
    OriginHeader::begins(draft) && unwrapped.contains(&format!("n={delivery}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::paths::Paths;
    use crate::actors::runtime::{Mode, Runtime};
    use crate::actors::testing::pane;
    use crate::store::Topic;
    use crate::store::testing::TestDb;
    use crate::tmux::Pane;

    #[test]
    fn a_draft_is_ours_by_its_header() {
        fn check(draft: &str, expect: bool) {
            assert_eq!(is_ours(draft, 12), expect, "{draft:?}");
        }
        check("[conveyor nudge from=m id=dispatch-6f1c n=12]\ngo on", true);
        check("[conveyor nudge from=m id=dispatch-6f1c n=1\n  2]\n  go on", true);
        check("[conveyor nudge from=m id=dispatch-6f1c n=112]\ngo on", false);
        check("about n=12]", false);
        check("", false);
    }

    fn shows(draft: &str) -> PaneView {
        PaneView {
            pane: Pane { title: "project".into(), ..pane("codex") },
            text: format!("› go\n\n• done\n\n  Worked for 7s\n\n› {draft}\n\n  model · /w\n"),
            blank_lines: 0,
        }
    }

    #[test]
    fn what_is_seen_is_a_typed_text_or_the_class_of_the_screen() {
        let typed = shows("[conveyor nudge from=m id=dispatch-6f1c n=12]\n  go on");
        let seen = Seen::on(&typed, "w", 12);
        assert!(seen.text.contains("stands typed but not submitted"), "{}", seen.text);
        let seen = Seen::on(&typed, "w", 13);
        assert_eq!((seen.text.as_str(), seen.class), ("tmux session w shows: idle", Some(PaneClass::Idle)));
    }

    #[actix::test]
    async fn a_supervisor_doubts_what_was_sent_long_ago_and_not_seen() {
        let mut db = TestDb::new();
        let bound = db.pair("t1");
        db.conn.execute("UPDATE sessions SET codex_session_path = '/nowhere'", []).unwrap();
        db.conn
            .execute(
                "INSERT INTO deliveries (source, target_session_id, transport, state, fence, claimed_at, started_at, sent_at)
                 VALUES ('nudge', ?1, 'app_server', 'sent', 1, ?2, ?2, ?2)",
                (&bound.worker.id, "2026-01-01T00:00:00.000Z"),
            )
            .unwrap();
        let paths = Paths::of(db.path().parent().unwrap(), Some(db.path().to_owned()));
        let runtime = Runtime::start(paths, Mode::Supervisor { dispatcher_id: "test".into() }).unwrap();
        let mut deliveries = runtime.hub().store.watch(Topic::Deliveries);
        let unknown = "SELECT error FROM deliveries WHERE state = 'unknown'";
        let become_unknown = async {
            while db.texts(unknown).is_empty() {
                deliveries.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(30), become_unknown).await.unwrap();
        assert_eq!(
            db.texts(unknown),
            [
                "sent by app_server and not seen to arrive within 120 s; the session has no terminal to look at"
            ]
        );
        runtime.stop().await;
    }
}
