//! A window of the user's own terminal program that shows a session.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{SessionName, TmuxServer};
use crate::domain::words::words;

words! {
    /// Which terminal program opens the window.
    TerminalApp {
        /// Whichever there is.
        Auto = "auto",
        /// Ghostty.
        Ghostty = "ghostty",
        /// The system's own: Terminal on macOS, elsewhere `$TERMINAL` or `x-terminal-emulator`.
        Terminal = "terminal",
    }
}

/// Debian's name for the terminal program that the user prefers.
const PREFERRED: &str = "x-terminal-emulator";

/// Has Terminal type a command made of the arguments, each quoted by AppleScript itself.
const TYPE_IN_TERMINAL: [&str; 10] = [
    "on run argv",
    "set typed to \"exec\"",
    "repeat with given in argv",
    "set typed to typed & \" \" & quoted form of (contents of given)",
    "end repeat",
    "tell application \"Terminal\"",
    "activate",
    "do script typed",
    "end tell",
    "end run",
];

/// What a machine has to open a window with.
pub struct Desk<'a> {
    /// It is a Mac.
    pub macos: bool,
    /// Ghostty is installed as an application of macOS.
    pub ghostty_app: bool,
    /// There is a screen to show windows on.
    pub display: bool,
    /// The terminal program that the user has named.
    pub terminal: Option<String>,
    /// Finds a program by its name or path.
    pub find: &'a dyn Fn(&Path) -> Option<PathBuf>,
}

/// Why no window can be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoWindow {
    /// There is no screen.
    #[error("there is no display here: neither DISPLAY nor WAYLAND_DISPLAY is set")]
    NoDisplay,
    /// There is no terminal program.
    #[error("no terminal program was found: {0}")]
    NoProgram(String),
}

/// A window that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The terminal program, as people call it.
    pub program: String,
    /// What opens it. No shell sees these words.
    pub argv: Vec<OsString>,
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("macos", &self.macos)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

impl Desk<'_> {
    /// The window in which `shown`, a program and its arguments, would run.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn window(&self, app: TerminalApp, shown: Vec<OsString>) -> Result<Window, NoWindow> {
        if self.macos {
            return Ok(self.mac_window(app, shown));
        }
        if !self.display {
            return Err(NoWindow::NoDisplay);
        }
        let program = self.program(app)?;
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let before = words_before(&name).iter().map(OsString::from);
        let argv = [program.into_os_string()].into_iter().chain(before).chain(shown).collect();
        Ok(Window { program: name, argv })
    }

    fn mac_window(&self, app: TerminalApp, shown: Vec<OsString>) -> Window {
        let ghostty = app == TerminalApp::Ghostty || (app == TerminalApp::Auto && self.ghostty_app);
        let (program, mut argv): (_, Vec<OsString>) = if ghostty {
            ("Ghostty", ["open", "-na", "Ghostty", "--args", "-e"].map(OsString::from).to_vec())
        } else {
            let lines = TYPE_IN_TERMINAL.iter().flat_map(|line| ["-e", *line]);
            ("Terminal", ["osascript"].into_iter().chain(lines).map(OsString::from).collect())
        };
        argv.extend(shown);
        Window { program: program.to_owned(), argv }
    }

    fn program(&self, app: TerminalApp) -> Result<PathBuf, NoWindow> {
        let find = |name: &str| (self.find)(Path::new(name)).ok_or_else(|| name.to_owned());
        let found = match (app, self.terminal.as_deref()) {
            (TerminalApp::Ghostty, _) => find("ghostty"),
            (_, Some(named)) => find(named)
                .or_else(|_| find(PREFERRED))
                .map_err(|_| format!("{named} (TERMINAL), {PREFERRED}")),
            (_, None) => find(PREFERRED).map_err(|_| format!("{PREFERRED}; TERMINAL is not set")),
        };
        found.map_err(NoWindow::NoProgram)
    }
}

/// What stands before the program to run: most take `-e`, some only one word after it.
fn words_before(terminal: &str) -> &'static [&'static str] {
    match terminal {
        "gnome-terminal" | "kgx" | "ptyxis" => &["--"],
        "mate-terminal" | "xfce4-terminal" => &["-x"],
        "wezterm" => &["start", "--"],
        _ => &["-e"],
    }
}

impl Window {
    /// Opens it. It outlives this process.
    ///
    /// # Errors
    /// When its program cannot be started.
    pub fn open(&self) -> io::Result<Child> {
        let (program, arguments) = self.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Command::new(program)
            .args(arguments)
            // Inside another session tmux would refuse; the person asked for this one.
            .env_remove("TMUX")
            .env_remove("TMUX_PANE")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }
}

impl TmuxServer {
    /// The program and its arguments that show a session in the terminal they run in.
    pub fn attach_words(&self, session: &SessionName) -> Vec<OsString> {
        let mut words =
            vec![self.program.clone().into_os_string(), "-S".into(), self.socket.clone().into_os_string()];
        words.extend(["attach-session", "-t"].map(OsString::from));
        words.push(format!("={session}").into());
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "=codex-a'; touch stolen; \"$(id)";

    fn desk<'a>(terminal: Option<&str>, find: &'a dyn Fn(&Path) -> Option<PathBuf>) -> Desk<'a> {
        Desk { macos: false, ghostty_app: false, display: true, terminal: terminal.map(str::to_owned), find }
    }

    fn words(window: &Window) -> Vec<String> {
        window.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn each_terminal_program_is_given_words() {
        let everything = |name: &Path| Some(Path::new("/bin").join(name));
        let check = |terminal: Option<&str>, app: TerminalApp, expect: &[&str]| {
            let window =
                desk(terminal, &everything).window(app, vec!["tmux".into(), HOSTILE.into()]).unwrap();
            assert_eq!(words(&window), [expect, &["tmux", HOSTILE]].concat(), "{terminal:?} {app}");
        };
        check(Some("alacritty"), TerminalApp::Auto, &["/bin/alacritty", "-e"]);
        check(Some("gnome-terminal"), TerminalApp::Terminal, &["/bin/gnome-terminal", "--"]);
        check(Some("xfce4-terminal"), TerminalApp::Auto, &["/bin/xfce4-terminal", "-x"]);
        check(Some("wezterm"), TerminalApp::Auto, &["/bin/wezterm", "start", "--"]);
        check(Some("xterm"), TerminalApp::Ghostty, &["/bin/ghostty", "-e"]);
        check(None, TerminalApp::Auto, &["/bin/x-terminal-emulator", "-e"]);
    }

    #[test]
    fn without_a_screen_or_a_program_there_is_no_window() {
        let nothing = |_: &Path| None;
        let check = |desk: Desk<'_>, app: TerminalApp, expect: &str| {
            let problem = desk.window(app, vec!["tmux".into()]).unwrap_err().to_string();
            assert!(problem.contains(expect), "{problem}");
        };
        check(Desk { display: false, ..desk(None, &nothing) }, TerminalApp::Auto, "DISPLAY");
        check(desk(None, &nothing), TerminalApp::Auto, "TERMINAL is not set");
        check(desk(Some("kitty"), &nothing), TerminalApp::Terminal, "kitty (TERMINAL)");
        check(desk(Some("kitty"), &nothing), TerminalApp::Ghostty, "ghostty");
        let only_preferred = |name: &Path| (name == Path::new(PREFERRED)).then(|| name.to_owned());
        let window = desk(Some("kitty"), &only_preferred).window(TerminalApp::Auto, Vec::new()).unwrap();
        assert_eq!(window.program, PREFERRED);
    }

    #[test]
    fn a_macs_terminal_gets_names_as_arguments_of_its_script() {
        let nothing = |_: &Path| None;
        let mac =
            |ghostty_app: bool| Desk { macos: true, ghostty_app, display: false, ..desk(None, &nothing) };
        let check = |ghostty_app: bool, app: TerminalApp, program: &str, first: &str| {
            let window = mac(ghostty_app).window(app, vec!["tmux".into(), HOSTILE.into()]).unwrap();
            let words = words(&window);
            assert_eq!((&*window.program, &*words[0]), (program, first));
            assert_eq!(words.iter().filter(|word| word.contains("stolen")).collect::<Vec<_>>(), [HOSTILE]);
        };
        check(false, TerminalApp::Auto, "Terminal", "osascript");
        check(true, TerminalApp::Auto, "Ghostty", "open");
        check(true, TerminalApp::Terminal, "Terminal", "osascript");
        check(false, TerminalApp::Ghostty, "Ghostty", "open");
    }
}
