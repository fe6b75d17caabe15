//! What a pane is and shows.

use std::path::PathBuf;
use std::str::FromStr;

use tmux_interface::{CapturePane, ListPanes, SetOption, TmuxCommand};

use super::{PaneId, SessionName, Target, TmuxError, TmuxServer};

/// How much scroll-back a capture takes unless asked otherwise.
pub const DEFAULT_HISTORY_LINES: u32 = 200;

/// The printed symbol for the unit separator: tmux passes it through, and no field contains it.
const SEPARATOR: char = '\u{241f}';

const SHELLS: [&str; 19] = [
    "ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "loksh", "mksh", "nu", "oksh", "pwsh", "rbash",
    "rksh", "sh", "tcsh", "xonsh", "yash", "zsh",
];

const FIELDS: [&str; 11] = [
    "pane_id",
    "session_name",
    "session_attached",
    "pane_pid",
    "pane_tty",
    "pane_dead",
    "pane_dead_status",
    "pane_in_mode",
    "pane_input_off",
    "pane_current_command",
    "pane_title",
];

/// A pane at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pane {
    /// Its id.
    pub id: PaneId,
    /// The name of its session.
    pub session: String,
    /// How many clients are attached to its session.
    pub attached_clients: u32,
    /// The process that was started in it.
    pub pid: u32,
    /// The terminal device that it reads, such as `/dev/pts/3`.
    pub tty: PathBuf,
    /// Whether that process has exited and only its last screen is left.
    pub dead: bool,
    /// The exit status of a dead pane's process. `None` when a signal ended it, and as long as tmux
    /// has not noticed the exit, which with 3.3a can be until another program exits.
    pub exit_status: Option<i32>,
    /// Whether a person is scrolling in it or a tmux menu covers it.
    pub in_mode: bool,
    /// Whether its input is switched off.
    pub input_off: bool,
    /// The program in the foreground, such as `codex` or `node`.
    pub program: String,
    /// The title the program gave it, or the host name.
    pub title: String,
}

/// A pane and the text on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaneView {
    /// The pane at the instant of the capture.
    pub pane: Pane,
    /// The scroll-back asked for and the screen, without trailing blank lines.
    pub text: String,
    /// How many lines of the screen are blank after that.
    pub blank_lines: usize,
}

impl PaneView {
    /// The scroll-back and the whole screen, each line with its end, as tmux prints it.
    pub fn whole(&self) -> String {
        let last_line_ends = usize::from(!self.text.is_empty());
        self.text.clone() + &"\n".repeat(self.blank_lines + last_line_ends)
    }
}

impl TmuxServer {
    /// The pane a target means right now.
    ///
    /// # Errors
    /// [`TmuxError::NoSession`] when there is no such pane, [`TmuxError::NoServer`] when there is no
    /// server; likewise for every call here that takes a target.
    pub fn pane(&self, target: &Target) -> Result<Pane, TmuxError> {
        self.view(target, 0).map(|view| view.pane)
    }

    /// The pane a target means, with its title and text, all of one instant.
    ///
    /// `history_lines` of scroll-back come before the visible screen.
    pub fn view(&self, target: &Target, history_lines: u32) -> Result<PaneView, TmuxError> {
        let printed = self.run(&[describe(target), capture(target, history_lines)])?;
        let (description, text) = printed.split_once('\n').unwrap_or((&printed, ""));
        let pane = Pane::read(description, target)?;
        let lines = text.lines().count();
        let text = without_blank_end(text);
        let blank_lines = lines - text.lines().count();
        Ok(PaneView { pane, text, blank_lines })
    }

    /// The text of a pane: `history_lines` of scroll-back and the visible screen, without trailing
    /// blank lines.
    pub fn capture(&self, target: &Target, history_lines: u32) -> Result<String, TmuxError> {
        Ok(without_blank_end(&self.run(&[capture(target, history_lines)])?))
    }

    /// All panes of all sessions; none when there is no server.
    pub fn panes(&self) -> Result<Vec<Pane>, TmuxError> {
        match self.list_panes(ListPanes::new().all()) {
            Err(error) if error.server_absent() => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// All panes of one session.
    pub fn session_panes(&self, session: &SessionName) -> Result<Vec<Pane>, TmuxError> {
        self.list_panes(ListPanes::new().session().target(session.exact()))
    }

    /// Keeps the pane and its last screen when its program exits, or stops keeping it. A pane that
    /// is dead already stays.
    pub fn keep_dead_pane(&self, target: &Target, keep: bool) -> Result<(), TmuxError> {
        self.run(&[remain_on_exit(target.to_string(), keep)]).map(drop)
    }

    fn list_panes(&self, command: ListPanes<'_>) -> Result<Vec<Pane>, TmuxError> {
        let printed = self.run(&[command.format(format()).build()])?;
        printed.lines().map(Pane::parse).collect()
    }
}

/// Whether this is the name of a shell, as tmux or a process table has it.
pub fn is_shell(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    SHELLS.contains(&name.trim_start_matches('-'))
}

impl Pane {
    /// Whether a shell waits in the foreground, as after the end of a Codex that a person started
    /// from it. It would run typed text as commands.
    pub fn shows_shell(&self) -> bool {
        is_shell(&self.program)
    }

    /// Reads the answer about one target. tmux describes a target that does not exist as nothing.
    pub(super) fn read(description: &str, target: &Target) -> Result<Self, TmuxError> {
        if description.starts_with(SEPARATOR) {
            return Err(TmuxError::NoSession { target: target.to_string() });
        }
        Self::parse(description)
    }

    /// Reads one line of [`format`].
    pub(super) fn parse(description: &str) -> Result<Self, TmuxError> {
        Self::from_fields(description).ok_or_else(|| TmuxError::Failed {
            command: "list-panes".to_owned(),
            stderr: format!("unexpected description of a pane: {description:?}"),
        })
    }

    fn from_fields(description: &str) -> Option<Self> {
        let fields: Vec<&str> = description.splitn(FIELDS.len(), SEPARATOR).collect();
        let [id, session, attached, pid, tty, dead, status, in_mode, input_off, program, title] =
            fields.try_into().ok()?;
        Some(Self {
            id: PaneId::from_str(id).ok()?,
            session: session.to_owned(),
            attached_clients: attached.parse().ok()?,
            pid: pid.parse().ok()?,
            tty: tty.into(),
            dead: dead == "1",
            exit_status: status.parse().ok(),
            // tmux counts the modes that lie over each other.
            in_mode: in_mode != "0",
            input_off: input_off == "1",
            program: program.to_owned(),
            title: title.to_owned(),
        })
    }

    /// Refuses a pane that would swallow input.
    pub(super) fn accepting_input(self) -> Result<Self, TmuxError> {
        let reason = match (self.dead, self.input_off) {
            (true, _) => "its program has exited",
            (false, true) => "its input is switched off (`tmux select-pane -e` switches it on)",
            (false, false) => return Ok(self),
        };
        Err(TmuxError::NoInput { target: self.id.to_string(), reason })
    }
}

/// The format whose expansion [`Pane::parse`] reads.
pub(super) fn format() -> String {
    FIELDS.map(|field| format!("#{{{field}}}")).join(&SEPARATOR.to_string())
}

/// Prints the description of a pane. Needs another command beside it that fails if the target does
/// not exist: this one prints what it can find.
pub(super) fn describe(target: &Target) -> TmuxCommand<'static> {
    let mut command = TmuxCommand::with_name("display-message");
    command.push_flag("-p").push_option("-t", target.to_string()).push_param(format());
    command
}

/// Decides whether a pane outlives its program.
pub(super) fn remain_on_exit(target: String, keep: bool) -> TmuxCommand<'static> {
    let value = if keep { "on" } else { "off" };
    SetOption::new().pane().target_pane(target).option("remain-on-exit").value(value).build()
}

fn capture(target: &Target, history_lines: u32) -> TmuxCommand<'static> {
    CapturePane::new()
        .stdout()
        .target_pane(target.to_string())
        .start_line(format!("-{history_lines}"))
        .build()
}

fn without_blank_end(text: &str) -> String {
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{TestServer, session_name, wait_for};
    use super::*;

    #[test]
    fn a_description_is_read_field_by_field() {
        let line = "%4␟my work␟2␟4711␟/dev/pts/3␟1␟3␟0␟0␟tmux: client␟[ ! ] Action␟Required | x";
        let pane = Pane::parse(line).unwrap();
        assert_eq!(pane.id.to_string(), "%4");
        assert_eq!(pane.session, "my work");
        assert_eq!((pane.attached_clients, pane.pid), (2, 4711));
        assert_eq!(pane.tty, PathBuf::from("/dev/pts/3"));
        assert_eq!((pane.dead, pane.exit_status), (true, Some(3)));
        assert_eq!(pane.program, "tmux: client");
        assert_eq!(pane.title, "[ ! ] Action␟Required | x");
        assert!(matches!(Pane::parse("%4␟a"), Err(TmuxError::Failed { .. })));
    }

    #[test]
    fn a_shell_is_told_from_a_program() {
        let check = |program: &str, expect: bool| {
            let pane = Pane::parse(&format!("%4␟a␟0␟1␟/dev/pts/3␟0␟␟0␟0␟{program}␟title")).unwrap();
            assert_eq!(pane.shows_shell(), expect, "{program}");
        };
        check("bash", true);
        check("-zsh", true);
        check("codex", false);
        check("node", false);
        check("bashful", false);
    }

    #[test]
    fn a_view_shows_title_process_and_text_of_one_instant() {
        let server = TestServer::new();
        let script = r#"printf '\033]2;\342\240\213 work | dir\007'; seq 100; printf 'é 漢\tlast'; exec cat"#;
        let started = server.start("a", &["sh", "-c", script]);
        let target = Target::from(started.id);
        let view = wait_for("the program to print", || {
            Some(server.view(&target, 200).unwrap()).filter(|view| view.text.ends_with("last"))
        });
        assert_eq!(view.pane.title, "⠋ work | dir");
        assert_eq!((view.pane.id, view.pane.pid), (started.id, started.pid));
        assert_eq!((view.whole(), view.blank_lines), (format!("{}\n", view.text), 0));
        assert_eq!((view.pane.session.as_str(), view.pane.attached_clients), ("a", 0));
        assert!(!view.pane.dead && !view.pane.in_mode && !view.pane.input_off);
        assert!(view.text.starts_with("1\n2\n"), "{}", view.text);
        assert!(view.text.ends_with("100\né 漢    last"), "{}", view.text);

        let screen = server.capture(&target, 0).unwrap();
        assert!(screen.lines().count() <= 48 && !screen.starts_with("1\n"), "{screen}");
    }

    #[test]
    fn every_kind_of_target_finds_its_pane_and_no_other() {
        let server = TestServer::new();
        let first = server.start("a", &["cat"]);
        let second = server.start("ab", &["cat"]);
        let check = |target: &str, expect: Option<PaneId>| {
            let found = server.pane(&target.parse().unwrap());
            match expect {
                Some(id) => assert_eq!(found.unwrap().id, id, "{target}"),
                None => {
                    assert!(matches!(found, Err(TmuxError::NoSession { .. })), "{target}: {found:?}");
                    let view = server.view(&target.parse().unwrap(), 0);
                    assert!(matches!(view, Err(TmuxError::NoSession { .. })), "{target}: {view:?}");
                }
            }
        };
        check("a", Some(first.id));
        check("ab", Some(second.id));
        check(&first.id.to_string(), Some(first.id));
        check(&format!("a:{}", first.id), Some(first.id));
        check("ab:0.0", Some(second.id));
        check("ab:0", Some(second.id));
        check("b", None);
        check("a*", None);
        check("%99", None);
        check(&format!("a:{}", second.id), None);
        check("a:7", None);
        check("a:0.7", None);
    }

    #[test]
    fn panes_are_listed_per_session_and_in_all() {
        let server = TestServer::new();
        assert_eq!(server.panes().unwrap(), []);
        let first = server.start("a", &["cat"]);
        let second = server.start("b", &["cat"]);
        let ids = |panes: Vec<Pane>| panes.into_iter().map(|pane| pane.id).collect::<Vec<_>>();
        assert_eq!(ids(server.panes().unwrap()), [first.id, second.id]);
        assert_eq!(ids(server.session_panes(&session_name("b")).unwrap()), [second.id]);
        let missing = server.session_panes(&session_name("c"));
        assert!(matches!(missing, Err(TmuxError::NoSession { .. })), "{missing:?}");
    }

    #[test]
    fn a_pane_is_kept_only_as_long_as_asked() {
        let server = TestServer::new();
        let other = server.start("other", &["cat"]);
        let mut options = server.options("a", &["cat"]);
        options.keep_dead_pane = true;
        let pane = server.new_session(&options).unwrap();
        let target = Target::from(pane.id);
        server.keep_dead_pane(&target, false).unwrap();
        server.send_key(&target, &"C-d".parse().unwrap()).unwrap();
        let left =
            wait_for("the session to end", || Some(server.panes().unwrap()).filter(|left| left.len() == 1));
        assert_eq!(left[0].id, other.id);
    }
}
