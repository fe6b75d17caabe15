//! The terminal: raw mode, the thread that reads keys, and drawing.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::keys::{Key, KeyReader};
use super::screen::{Screen, Size};

const BRACKETED_PASTE_ON: &str = "\x1b[?2004h";
const BRACKETED_PASTE_OFF: &str = "\x1b[?2004l";
const CLEAR: &str = "\x1b[2J";

/// The size of a terminal that does not tell.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// The stand-in in this process's terminal. Prompts are taken at any time, also while a turn runs;
/// they wait their turn.
#[derive(Debug)]
pub struct StandIn {
    screen: Shared,
    prompts: Receiver<String>,
    /// How the terminal was before.
    before: Termios,
}

impl StandIn {
    /// Takes over the terminal on standard input and output, as a session `name` that works in
    /// `cwd`.
    ///
    /// # Errors
    /// When standard input is no terminal, or cannot be written to.
    pub fn open(name: &str, cwd: &Path) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let screen = Shared(Arc::new(Mutex::new(Screen::new(name, cwd))));
        let (sender, prompts) = mpsc::channel();
        let stand_in = Self { screen: screen.clone(), prompts, before };
        write(&format!("{BRACKETED_PASTE_ON}{CLEAR}"))?;
        screen.change(|_| ())?;
        thread::spawn(move || read_keys(&screen, &sender));
        Ok(stand_in)
    }

    /// Waits for the next prompt. `None` when the user is done, or the terminal is gone.
    pub fn next_prompt(&self) -> Option<String> {
        self.prompts.recv().ok()
    }

    /// Shows that a turn begins.
    ///
    /// # Errors
    /// When the terminal is gone; likewise for everything that is shown.
    pub fn begin_turn(&self, prompt: &str) -> io::Result<()> {
        self.screen.change(|screen| screen.begin_turn(prompt))
    }

    /// Shows what the session says.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn say(&self, text: &str) -> io::Result<()> {
        self.screen.change(|screen| screen.say(text))
    }

    /// Shows that the session has run a command, and what came out.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn ran(&self, command: &str, result: &str) -> io::Result<()> {
        self.screen.change(|screen| screen.ran(command, result))
    }

    /// Shows that the turn has ended.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn end_turn(&self) -> io::Result<()> {
        let clock = jiff::Zoned::now().strftime("%H:%M").to_string();
        self.screen.change(|screen| screen.end_turn(&clock))
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to put right.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        let _ = write(BRACKETED_PASTE_OFF);
    }
}

/// The screen, changed by the keys and by the session.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Screen>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change and draws the screen, before anybody makes another.
    fn change<T>(&self, change: impl FnOnce(&mut Screen) -> T) -> io::Result<T> {
        let mut screen = self.lock();
        let changed = change(&mut screen);
        draw(&screen)?;
        Ok(changed)
    }
}

fn draw(screen: &Screen) -> io::Result<()> {
    let lines = screen.lines(size());
    // Each line over the old one: whoever looks in between sees no empty screen.
    let rows: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
    write(&format!("\x1b]2;{}\x07\x1b[H{}\x1b[J", screen.title(), rows.join("\r\n")))
}

fn size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            Size { rows: size.ws_row.into(), columns: size.ws_col.into() }
        }
        _ => USUAL,
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Reads until the terminal is gone, the user quits, or nobody takes prompts any more.
fn read_keys(screen: &Shared, prompts: &Sender<String>) {
    let (mut reader, mut bytes) = (KeyReader::default(), [0; 4096]);
    while let Ok(read @ 1..) = io::stdin().lock().read(&mut bytes) {
        for key in reader.feed(&bytes[..read]) {
            if !press(key, screen, prompts) {
                return;
            }
        }
    }
}

/// `false` when it is over.
fn press(key: Key, screen: &Shared, prompts: &Sender<String>) -> bool {
    let submitted = screen.change(|screen| match &key {
        Key::Text(text) => {
            screen.type_in(text);
            None
        }
        Key::Backspace => {
            screen.take_back();
            None
        }
        Key::Enter => Some(screen.submit()).filter(|prompt| !prompt.trim().is_empty()),
        Key::Quit => None,
    });
    match submitted {
        _ if key == Key::Quit => false,
        Ok(Some(prompt)) => prompts.send(prompt).is_ok(),
        Ok(None) => true,
        Err(_) => false,
    }
}
