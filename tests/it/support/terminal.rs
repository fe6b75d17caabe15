//! A Codex session that a person started in a terminal, and types into.

use super::wait::{PATIENCE, poll, wait_for};
use super::{World, model::Request};
use std::path::Path;
use std::time::Duration;

/// How long an Enter may take to become a request before it is pressed again.
const ENTER_TAKES: Duration = Duration::from_secs(3);

/// A Codex that owns its thread, in a tmux session.
pub(crate) struct Terminal<'a> {
    world: &'a World,
    target: String,
}

impl<'a> Terminal<'a> {
    /// Starts `codex --no-daemon` with `flags` in the new tmux session `name`, in `directory`, and
    /// waits for its composer.
    pub(crate) fn start(world: &'a World, name: &str, directory: &Path, flags: &str) -> Self {
        let codex = format!("exec codex --no-daemon {flags}");
        let directory = directory.to_str().unwrap();
        let size = ["-x", "120", "-y", "40"];
        let session = ["new-session", "-d", "-s", name, "-c", directory];
        world.tmux(&[&session[..], &size, &[&codex]].concat(), "").ok();
        let terminal = Self::of(world, name);
        terminal.shows("for agents");
        terminal
    }

    /// The Codex that runs in the tmux session `name`.
    pub(crate) fn of(world: &'a World, name: &str) -> Self {
        Self { world, target: format!("={name}:") }
    }

    /// Waits until the screen contains `text`.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) {
        wait_for(text, PATIENCE, || self.screen().contains(text).then_some(()));
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.world.pane(&self.target)
    }

    /// Presses a key, by the name tmux has for it.
    pub(crate) fn press(&self, key: &str) {
        self.world.tmux(&["send-keys", "-t", &self.target, key], "").ok();
    }

    /// Pastes a text and presses Enter until the model is asked about it, because a starved Codex
    /// takes an early Enter for a part of the paste.
    #[track_caller]
    pub(crate) fn submit(&self, text: &str) {
        self.world.tmux(&["load-buffer", "-"], text).ok();
        self.world.tmux(&["paste-buffer", "-d", "-p", "-t", &self.target], "").ok();
        self.shows(text);
        wait_for("the request", PATIENCE, || {
            self.press("Enter");
            poll(ENTER_TAKES, || self.request(text))
        });
    }

    fn request(&self, text: &str) -> Option<Request> {
        self.world.model().requests().into_iter().find(|request| request.user == text)
    }
}
