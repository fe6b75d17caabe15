//! What a Codex terminal shows, from a capture of its screen.
//!
//! Built on where things stand, as Codex 0.169 draws them: the composer with its status and footer
//! lines at the bottom, the progress line above it, dialogs in the composer's place. The transcript
//! in between is the model's and the user's text and is read only for the marks at its end.

mod class;
mod composer;
mod dialog;
mod transcript;

pub use class::{Block, Death, PaneClass};

use composer::Composer;
use transcript::Ending;

/// Classifies a screen as `tmux capture-pane -p` gives it, without colours; by the pane's title, too, where
/// that is known. Codex puts a spinner or a call for action there.
pub fn classify(screen: &str, title: Option<&str>) -> PaneClass {
    let lines: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
    if let Some(composer) = Composer::find(&lines) {
        let ending = transcript::ending(&lines[..composer.first_row]);
        return classify_ending(&ending, title);
    }
    if let Some(block) = dialog::find(&lines) {
        return PaneClass::Blocked(block);
    }
    if has_exit_message(&lines) { PaneClass::Dead(Death::Exited) } else { PaneClass::Unknown }
}

fn classify_ending(ending: &Ending, title: Option<&str>) -> PaneClass {
    let title = title.map(TitleSign::of);
    match ending {
        Ending::ServerLost => PaneClass::Dead(Death::Server),
        Ending::Retrying => PaneClass::WorkingRetrying,
        _ if title == Some(TitleSign::ActionRequired) => PaneClass::Blocked(Block::Modal),
        Ending::Running => PaneClass::Working,
        _ if title == Some(TitleSign::Spinner) => PaneClass::Working,
        Ending::Unclosed if title.is_none() => PaneClass::Working,
        Ending::Error => PaneClass::IdleError,
        Ending::Unclosed | Ending::Rest => PaneClass::Idle,
    }
}

/// Whether a program of this name may be Codex: its own, or the `node` that starts it and stays in front.
pub fn may_be_codex(program: &str) -> bool {
    program.starts_with("codex") || program == "node"
}

/// What stands typed but not submitted in the composer: empty when nothing does, `None` when the
/// screen shows no composer. Lines are joined by newlines whether typed or wrapped; a `!` in front
/// means that Enter would run the rest as a shell command.
pub fn composer_text(screen: &str) -> Option<String> {
    let lines: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
    Composer::find(&lines).map(|composer| composer.draft)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TitleSign {
    Spinner,
    ActionRequired,
    Plain,
}

impl TitleSign {
    fn of(title: &str) -> Self {
        let is_braille = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        if title.trim_start().starts_with(is_braille) {
            Self::Spinner
        } else if title.starts_with('[') && title.contains("] Action Required") {
            Self::ActionRequired
        } else {
            Self::Plain
        }
    }
}

fn has_exit_message(lines: &[&str]) -> bool {
    lines.windows(2).any(|pair| {
        pair[0].starts_with("To continue this session, run")
            && pair[1].trim_start().starts_with("codex resume ")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Capture {
        class: String,
    }

    fn captures() -> Vec<(String, Capture, String)> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/panes");
        let index: BTreeMap<String, Capture> =
            serde_json::from_str(&fs::read_to_string(dir.join("INDEX.json")).unwrap()).unwrap();
        let read = |name: &str| fs::read_to_string(dir.join(name).with_extension("txt")).unwrap();
        index.into_iter().map(|(name, capture)| (name.clone(), capture, read(&name))).collect()
    }

    /// Captures that show something else than the index says.
    fn shown_class(name: &str, indexed: &str) -> String {
        match name {
            // Taken before the question about the worktree was answered: the same bytes as
            // `new-worktree-prompt`.
            "after-new" => "blocked:modal",
            // The first moments of a retry look like any work.
            "retrying-500" | "retrying-disconnect" => "working",
            _ => indexed,
        }
        .to_owned()
    }

    #[test]
    fn every_capture_has_its_class() {
        let captures = captures();
        assert!(captures.len() >= 60, "{}", captures.len());
        for (name, capture, screen) in captures {
            let class = classify(&screen, None).to_string();
            assert_eq!(class, shown_class(&name, &capture.class), "{name}");
        }
    }

    #[test]
    fn a_composer_is_seen_exactly_where_text_can_be_typed() {
        for (name, capture, screen) in captures() {
            let draft = match name.as_str() {
                "after-new" => None,
                _ if capture.class.starts_with("blocked:") || capture.class == "dead:exited" => None,
                "composer-text-while-running" => Some("steer text while running"),
                _ => Some(""),
            };
            assert_eq!(composer_text(&screen).as_deref(), draft, "{name}");
        }
    }

    fn class_with_title(name: &str, title: &str) -> String {
        let (_, _, screen) = captures().into_iter().find(|(found, ..)| found == name).unwrap();
        classify(&screen, Some(title)).to_string()
    }

    #[test]
    fn the_title_tells_what_the_screen_does_not() {
        assert_eq!(class_with_title("idle-after-turn", "⠋ Mock title | project"), "working");
        assert_eq!(class_with_title("idle-after-turn", "Mock title | project"), "idle");
        assert_eq!(class_with_title("idle-after-turn", "[ ! ] Action Required | project"), "blocked:modal");
        assert_eq!(class_with_title("working-streaming", "⠋ Mock title | project"), "working");
        assert_eq!(class_with_title("working-streaming", "Mock title | project"), "idle");
        assert_eq!(class_with_title("working-tool", "Mock title | project"), "working");
        assert_eq!(class_with_title("error-500", "⠼ Mock title | project"), "working");
        assert_eq!(class_with_title("approval-exec", "[ . ] Action Required | project"), "blocked:approval");
        assert_eq!(class_with_title("retrying-401", "⠼ Mock title | project"), "working:retrying");
        assert_eq!(class_with_title("exit-screen-after-turn", "⠼ Mock title | project"), "dead:exited");
    }

    fn check(screen: &str, class: &str, draft: Option<&str>) {
        assert_eq!(classify(screen, None).to_string(), class, "{screen}");
        assert_eq!(composer_text(screen).as_deref(), draft, "{screen}");
    }

    const STATUS: &str = "  mock default · /w · Mock title";
    const DONE: &str = "› go\n\n• done\n\n  Worked for 7s • 02:30\n";

    #[test]
    fn a_draft_at_rest_has_no_footer() {
        check(&format!("{DONE}\n› draft text\n\n{STATUS}\n"), "idle", Some("draft text"));
        check(&format!("{DONE}\n› one\n\n  three\n\n{STATUS}\n"), "idle", Some("one\n\nthree"));
        check(&format!("{DONE}\n› 1. numbered\n\n{STATUS}\n"), "idle", Some("1. numbered"));
        check(&format!("{DONE}\n! echo hi\n\n{STATUS}\n           Shell mode\n"), "idle", Some("!echo hi"));
        check(&format!("{DONE}\n!\n\n{STATUS}\n           Shell mode\n"), "idle", Some("!"));
        let browsing = "  Browsing transcript · ↑↓/jk scroll · esc back";
        check(&format!("{DONE}\n› Ask Codex to do anything\n\n{STATUS}\n{browsing}"), "idle", Some(""));
    }

    #[test]
    fn a_narrow_screen_is_read_too() {
        let idle = "feedback if something\nwent wrong\n\n› Ask Codex to do anyth\n\n  mock default · /tmp/p…\n  ← for agents ⚠ 1 · f2";
        check(idle, "idle", Some(""));
        let working = "› hang 2\n\n• Working (2s • esc to …\n\n› Ask Codex to do anyth\n\n  mock default · /tmp/p…\n  ← for agents ⚠ 1 · f2";
        check(working, "working", Some(""));
        let sticky =
            "› go\n■ Conversation interrupted -\nuse /feedback\n\n› Ask\n\n  m · /tmp…\n  ← for agents";
        check(sticky, "idle", Some(""));
    }

    #[test]
    fn popups_over_the_composer_leave_it_usable() {
        let popup = format!("{DONE}\n› /model  choose what model\n  /vim    toggle\n\n› /mo\n\n{STATUS}\n");
        check(&popup, "idle", Some("/mo"));
    }

    #[test]
    fn text_is_streaming_when_nothing_closes_the_turn() {
        let composer = format!("\n› Ask Codex to do anything\n\n{STATUS}\n  ← for agents · ? for shortcuts");
        check(&format!("{DONE}\n› go on\n{composer}"), "working", Some(""));
        check(&format!("{DONE}\n› go on\n\n• so far\n\n  and on\n{composer}"), "working", Some(""));
        check(&format!("{DONE}\n• Model changed to mock medium.\n{composer}"), "idle", Some(""));
    }

    #[test]
    fn dialogs_without_a_known_title_still_block() {
        check(
            &format!("{DONE}\n  Select Model\n\n› 1. A\n  2. B\n↓\n  enter select · esc back"),
            "blocked:modal",
            None,
        );
        check(&format!("{DONE}\n  Something\n\n  r raw · q/esc close"), "blocked:overlay", None);
        let quoted =
            "› go\n\n• Update available · and more\n\n  Pick one\n\n› 1. A\n\n  enter select · esc back";
        check(quoted, "blocked:modal", None);
    }

    #[test]
    fn other_programs_are_unknown() {
        for screen in [
            "",
            "\n\n",
            "user@host:~$ ls\nCargo.toml",
            "Press enter to confirm",
            "OpenAI Codex\n›",
            "1. one\n2. two",
        ] {
            check(screen, "unknown", None);
        }
    }

    proptest! {
        #[test]
        fn any_screen_is_accepted(screen in any::<String>(), title in any::<String>()) {
            let class = classify(&screen, Some(&title));
            prop_assert!(!(class.takes_input() && class.blocks_paste()));
            composer_text(&screen);
        }

        #[test]
        fn any_mixture_of_captured_lines_is_accepted(rows in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40)) {
            let all: Vec<String> = captures().into_iter().map(|(_, _, screen)| screen).collect();
            let lines: Vec<&str> = all.iter().flat_map(|screen| screen.lines()).collect();
            let screen: Vec<&str> = rows.iter().map(|row| lines[row.index(lines.len())]).collect();
            let screen = screen.join("\n");
            let class = classify(&screen, None);
            prop_assert_eq!(class.takes_input() || class == PaneClass::Dead(Death::Server), composer_text(&screen).is_some());
        }
    }
}
