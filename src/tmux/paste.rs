//! Text and keys, typed into a pane.
//!
//! Typing has three steps so that the caller can record what is about to happen between them:
//! [`TmuxServer::load_text`] changes nothing in the pane, [`TmuxServer::paste`] types, and
//! [`TmuxServer::submit`] presses Enter, again if the program in the pane missed it.

use tmux_interface::{CopyMode, DeleteBuffer, IfShell, LoadBuffer, SendKeys, TmuxCommand};
use uuid::Uuid;

use super::pane::describe;
use super::text::typeable;
use super::{KeyName, Pane, PaneId, Target, TmuxError, TmuxServer};

/// Text that lies in the tmux server, ready for one pane.
#[derive(Debug)]
#[must_use = "the text stays in the server until it is pasted or discarded"]
pub struct LoadedText {
    buffer: String,
    pane: PaneId,
}

impl LoadedText {
    /// Text that lies in no server, for a stand-in of one.
    #[cfg(test)]
    pub(crate) fn nowhere(pane: PaneId) -> Self {
        Self { buffer: String::new(), pane }
    }

    /// The pane the text is meant for. Use it for every further step, since a session's active
    /// pane can change.
    pub fn pane(&self) -> PaneId {
        self.pane
    }
}

impl TmuxServer {
    /// Checks that the target accepts input and puts the text, made [`typeable`], into a buffer of
    /// the server. An error means that nothing was typed and nothing will be.
    pub fn load_text(&self, target: &Target, text: &str) -> Result<LoadedText, TmuxError> {
        if text.is_empty() {
            return Err(TmuxError::Invalid { what: "text", value: String::new(), problem: "is empty" });
        }
        let pane = self.pane(target)?.accepting_input()?.id;
        let loaded = LoadedText { buffer: format!("conveyor-{}", Uuid::new_v4().simple()), pane };
        let load = LoadBuffer::new().buffer_name(loaded.buffer.as_str()).path("-").build();
        self.run_with_input(&[load], Some(&typeable(text)))?;
        Ok(loaded)
    }

    /// Types loaded text into its pane as one bracketed paste, without Enter.
    ///
    /// If the effect is unknown the buffer may stay in the server; after any other error it is gone.
    pub fn paste(&self, loaded: LoadedText) -> Result<(), TmuxError> {
        let outcome = self.run(&[paste_unless_dead(&loaded)]).and_then(|printed| {
            // Only the branch for a pane that takes no input prints something.
            if printed.is_empty() {
                return Ok(());
            }
            let pane = Pane::read(printed.trim_end_matches('\n'), &loaded.pane.into())?;
            pane.accepting_input().map(drop)
        });
        if outcome.as_ref().is_err_and(|error| !error.effect_unknown()) {
            // The error at hand says more than a failure to clean up.
            let _ = self.discard(loaded);
        }
        outcome
    }

    /// Forgets loaded text without typing it.
    pub fn discard(&self, loaded: LoadedText) -> Result<(), TmuxError> {
        self.run(&[DeleteBuffer::new().buffer_name(loaded.buffer).build()]).map(drop)
    }

    /// Presses Enter.
    pub fn submit(&self, target: &Target) -> Result<(), TmuxError> {
        self.send_key(target, &KeyName::enter())
    }

    /// Presses one key. If somebody is scrolling in the pane, scrolling ends first: the key would
    /// otherwise act on the scroll-back instead of the program.
    pub fn send_key(&self, target: &Target, key: &KeyName) -> Result<(), TmuxError> {
        let leave_scrolling = CopyMode::new().cancel().target_pane(target.to_string()).build();
        let press = SendKeys::new().target_pane(target.to_string()).key(key.as_str()).build();
        let printed = self.run(&[describe(target), leave_scrolling, press])?;
        Pane::read(printed.trim_end_matches('\n'), target)?.accepting_input().map(drop)
    }
}

/// One server-side step, for tmux 3.3a crashes, with every session in it, when text is pasted into
/// a pane whose program has exited. Scrolling ends first: tmux does not bracket a paste into a pane
/// that shows its scroll-back.
fn paste_unless_dead(loaded: &LoadedText) -> TmuxCommand<'_> {
    let (buffer, pane) = (&loaded.buffer, loaded.pane);
    let describe = describe(&pane.into());
    // The arguments have no quotes in them: ids, a hexadecimal name, and our own format.
    let describe: Vec<String> = describe.to_vec().iter().map(|argument| format!("'{argument}'")).collect();
    let mut command = IfShell::new()
        .not_execute()
        .target_pane(pane.to_string())
        .shell_command("#{||:#{pane_dead},#{pane_input_off}}")
        .command(describe.join(" "))
        .build();
    command.push_param(format!("copy-mode -q -t '{pane}' ; paste-buffer -d -p -r -b '{buffer}' -t '{pane}'"));
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Pid, Signal, kill_process};

    use super::super::testing::{Sink, TestServer, wait_for};
    use super::*;

    const PASTE_BEGIN: &str = "\u{1b}[200~";
    const PASTE_END: &str = "\u{1b}[201~";

    fn type_text(server: &TmuxServer, sink: &Sink, text: &str) {
        let loaded = server.load_text(&sink.target, text).unwrap();
        server.paste(loaded).unwrap();
        server.submit(&sink.target).unwrap();
    }

    fn buffers(server: &TmuxServer) -> String {
        server.run(&[TmuxCommand::with_name("list-buffers")]).unwrap()
    }

    #[test]
    fn text_arrives_byte_for_byte_as_one_paste_and_one_enter() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        let long_line = "0123456789abcdef ".repeat(6_400);
        let many_lines = "line é 漢字\n".repeat(9_000);
        let texts = [
            "-leading dash",
            "trailing semicolon;",
            ";",
            "\\;",
            "Enter",
            "C-c",
            "several\nlines\n\nand a last\n",
            "tab\tand spaces  ",
            "é 漢字 🦀 e\u{301}",
            "$(touch x) `ls` #{pane_id} #(ls) %1 'single' \"double\" \\n",
            "!ls /clear @file ~ {brace}",
            &long_line,
            &many_lines,
        ];
        let mut expect = String::new();
        for text in texts {
            type_text(&server, &sink, text);
            expect.push_str(&format!("{PASTE_BEGIN}{text}{PASTE_END}\r"));
            let received = sink.received_up_to(&expect);
            assert!(received == expect, "{} bytes received for {:.40?}", received.len(), text);
        }
        assert_eq!(buffers(&server), "");
    }

    #[test]
    fn text_cannot_end_the_paste_and_press_keys() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        type_text(&server, &sink, "a\u{1b}[201~\r!ls\r\n");
        let received = sink.received_up_to(&format!("{PASTE_END}\r"));
        assert_eq!(received, format!("{PASTE_BEGIN}a␛[201~\n!ls\n{PASTE_END}\r"));
    }

    #[test]
    fn loaded_text_is_not_typed_before_it_is_pasted() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        let first = server.load_text(&sink.target, "first").unwrap();
        let second = server.load_text(&sink.target, "second").unwrap();
        assert_eq!(Target::from(first.pane()), sink.target);
        server.discard(first).unwrap();
        server.paste(second).unwrap();
        assert_eq!(sink.received_up_to(PASTE_END), format!("{PASTE_BEGIN}second{PASTE_END}"));
        assert_eq!(buffers(&server), "");
    }

    #[test]
    fn text_for_nowhere_is_refused() {
        let server = TestServer::new();
        let target: Target = "a".parse().unwrap();
        let error = server.load_text(&target, "x").unwrap_err();
        assert!(matches!(error, TmuxError::NoServer { .. }), "{error}");
        server.start("ab", &["cat"]);
        let error = server.load_text(&target, "x").unwrap_err();
        assert!(matches!(&error, TmuxError::NoSession { target } if target == "a"), "{error}");
        let error = server.load_text(&"ab".parse().unwrap(), "").unwrap_err();
        assert!(matches!(error, TmuxError::Invalid { .. }), "{error}");
    }

    #[test]
    fn a_pane_that_goes_away_before_the_paste_leaves_no_buffer() {
        let server = TestServer::new();
        server.start("other", &["cat"]);
        let sink = server.start_sink("a");
        let loaded = server.load_text(&sink.target, "secret").unwrap();
        server.kill_session(&super::super::testing::session_name("a")).unwrap();
        let error = server.paste(loaded).unwrap_err();
        assert!(matches!(error, TmuxError::NoSession { .. }), "{error}");
        assert_eq!(buffers(&server), "");
    }

    #[test]
    fn a_program_that_exits_before_the_paste_is_reported_and_the_server_lives() {
        let server = TestServer::new();
        let mut options = server.options("a", &["sh", "-c", "read line"]);
        options.keep_dead_pane = true;
        let target = Target::from(server.new_session(&options).unwrap().id);
        let loaded = server.load_text(&target, "late").unwrap();
        server.submit(&target).unwrap();
        wait_for("the program to exit", || server.pane(&target).unwrap().dead.then_some(()));

        let error = server.paste(loaded).unwrap_err();
        assert!(matches!(error, TmuxError::NoInput { .. }), "{error}");
        let error = server.submit(&target).unwrap_err();
        assert!(matches!(error, TmuxError::NoInput { .. }), "{error}");
        let error = server.load_text(&target, "later").unwrap_err();
        assert!(matches!(error, TmuxError::NoInput { .. }), "{error}");
        assert!(server.pane(&target).unwrap().dead);
        assert_eq!(buffers(&server), "");
    }

    #[test]
    fn a_pane_with_its_input_off_is_reported() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        let loaded = server.load_text(&sink.target, "x").unwrap();
        let mut switch_off = TmuxCommand::with_name("select-pane");
        switch_off.push_flag("-d").push_option("-t", sink.target.to_string());
        server.run(&[switch_off]).unwrap();
        let error = server.paste(loaded).unwrap_err();
        assert!(error.to_string().contains("switched off"), "{error}");
        assert!(server.submit(&sink.target).is_err());
    }

    #[test]
    fn keys_reach_the_program_while_somebody_scrolls() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        server.run(&[CopyMode::new().target_pane(sink.target.to_string()).build()]).unwrap();
        assert!(server.pane(&sink.target).unwrap().in_mode);
        type_text(&server, &sink, "text");
        assert_eq!(sink.received_up_to("\r"), format!("{PASTE_BEGIN}text{PASTE_END}\r"));
        assert!(!server.pane(&sink.target).unwrap().in_mode);
    }

    #[test]
    fn every_key_name_is_one_tmux_knows() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        let mut expect = String::new();
        for (key, bytes) in [
            ("Enter", "\r"),
            ("Escape", "\u{1b}"),
            ("C-c", "\u{3}"),
            ("Tab", "\t"),
            ("y", "y"),
            ("-", "-"),
            (";", ";"),
            ("M-;", "\u{1b};"),
            ("#", "#"),
            ("Up", "\u{1b}[A"),
            ("C-d", "\u{4}"),
        ] {
            server.send_key(&sink.target, &key.parse().unwrap()).unwrap();
            expect.push_str(bytes);
        }
        server.send_key(&sink.target, &"Space".parse().unwrap()).unwrap();
        assert_eq!(sink.received_up_to(" "), expect + " ");

        // A name that tmux did not know would arrive as its letters.
        for name in super::super::key::NAMED {
            server.send_key(&sink.target, &name.parse().unwrap()).unwrap();
            let received = {
                server.send_key(&sink.target, &"|".parse().unwrap()).unwrap();
                sink.received_up_to("|")
            };
            assert!(!received.contains(name), "{name}");
        }
    }

    /// Stops a process until the value goes away.
    struct Stopped(Pid);

    impl Stopped {
        fn server(server: &TmuxServer) -> Self {
            let mut ask = TmuxCommand::with_name("display-message");
            ask.push_flag("-p").push_param("#{pid}");
            let pid = server.run(&[ask]).unwrap().trim().parse().unwrap();
            let pid = Pid::from_raw(pid).unwrap();
            kill_process(pid, Signal::STOP).unwrap();
            Self(pid)
        }
    }

    impl Drop for Stopped {
        fn drop(&mut self) {
            kill_process(self.0, Signal::CONT).unwrap();
        }
    }

    #[test]
    fn a_deadline_that_passes_means_unknown_for_the_text_may_still_arrive() {
        let server = TestServer::new();
        let sink = server.start_sink("a");
        let hurried = server.clone().with_deadline(Duration::from_millis(100));
        let loaded = server.load_text(&sink.target, "late").unwrap();
        let stopped = Stopped::server(&server);
        let error = hurried.paste(loaded).unwrap_err();
        assert!(matches!(error, TmuxError::TimedOut { .. }), "{error}");
        assert!(error.effect_unknown());
        let error = hurried.view(&sink.target, 0).unwrap_err();
        assert!(matches!(error, TmuxError::TimedOut { .. }), "{error}");
        #[cfg(target_os = "linux")]
        assert_eq!(processes_of(&server), 1, "only the server is left");
        drop(stopped);
        assert_eq!(sink.received_up_to(PASTE_END), format!("{PASTE_BEGIN}late{PASTE_END}"));
    }

    /// How many processes have the server's socket on their command line.
    #[cfg(target_os = "linux")]
    fn processes_of(server: &TmuxServer) -> usize {
        let socket = server.socket().to_str().unwrap().to_owned();
        let processes = procfs::process::all_processes().unwrap();
        let command_lines = processes.filter_map(|process| process.ok()?.cmdline().ok());
        command_lines.filter(|arguments| arguments.contains(&socket)).count()
    }
}
