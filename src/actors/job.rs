//! Running a command that somebody else chose: with a time limit, its output captured up to a limit,
//! and nothing of it left behind. No shell is involved.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, PipeReader};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

use super::told_to_end::told_to_end;

/// How long what is left in the pipes is waited for once the command has ended: something that left
/// its process group may hold them open for ever.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// A command to run.
pub struct Job {
    /// The command. Its standard streams and its process group are set here.
    pub command: Command,
    /// What it reads.
    pub input: Vec<u8>,
    /// How long it may run.
    pub limit: Duration,
    /// Bytes of output that are kept.
    pub keep: usize,
    /// Whether what it writes as errors is part of its output, in the order in which it was written.
    pub merge_errors: bool,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was killed: its time was up.
    TimedOut,
    /// It was killed: this process was told to end.
    Interrupted,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// How.
    pub end: End,
    /// How long it took.
    pub took: Duration,
    /// What it wrote.
    pub output: Captured,
    /// What it wrote as errors, when that is not part of the output.
    pub errors: Captured,
}

/// What came out of a pipe.
#[derive(Debug, Default)]
pub struct Captured {
    /// Its beginning.
    pub kept: Vec<u8>,
    /// How much it was.
    pub total: u64,
}

impl Captured {
    /// What was kept, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.kept).into_owned()
    }
}

impl Job {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When it could not be started: nothing happened.
    pub async fn run(mut self) -> io::Result<Done> {
        let (output, writer) = io::pipe()?;
        let (errors, error_writer) = match self.merge_errors {
            true => (None, Stdio::from(writer.try_clone()?)),
            false => {
                let (errors, writer) = io::pipe()?;
                (Some(errors), Stdio::from(writer))
            }
        };
        self.command.stdin(Stdio::piped()).stdout(writer).stderr(error_writer);
        self.command.process_group(0).kill_on_drop(true);
        let begun = Instant::now();
        let child = self.command.spawn()?;
        let group = Group::of(&child);
        // The command holds writing ends; with them the pipes would never end.
        drop(self.command);
        let mut pipes =
            Pipes { output: Drain::of(Some(output), self.keep)?, errors: Drain::of(errors, self.keep)? };
        let end = watch(child, group, self.input, self.limit, &mut pipes).await?;
        let took = begun.elapsed();
        let _ = tokio::time::timeout(LEFTOVERS, pipes.drain()).await;
        Ok(Done { end, took, output: pipes.output.captured, errors: pipes.errors.captured })
    }
}

/// Waits for the command, while its pipes are served, and ends all it has started.
async fn watch(
    mut child: Child,
    group: Group,
    input: Vec<u8>,
    limit: Duration,
    pipes: &mut Pipes,
) -> io::Result<End> {
    let mut stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin.take() {
            // A command need not read what it is given.
            let _ = stdin.write_all(&input).await;
        }
        pending::<Infallible>().await
    };
    let end = tokio::select! {
        status = child.wait() => End::Exited(status?),
        () = tokio::time::sleep(limit) => End::TimedOut,
        () = told_to_end() => End::Interrupted,
        never = feed => match never {},
        never = pipes.drain_for_ever() => match never {},
    };
    // Also after an end of its own accord: what it left running in its group has no owner.
    drop(group);
    if !matches!(end, End::Exited(_)) {
        child.wait().await?;
    }
    Ok(end)
}

/// The processes of a command. What is left of them ends with this, also when nobody waits for the command
/// any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

struct Pipes {
    output: Drain,
    errors: Drain,
}

impl Pipes {
    async fn drain(&mut self) {
        tokio::join!(self.output.empty(), self.errors.empty());
    }

    async fn drain_for_ever(&mut self) -> Infallible {
        self.drain().await;
        pending().await
    }
}

/// One pipe, read to its end whatever is kept, so that the command never waits for a reader.
struct Drain {
    pipe: Option<pipe::Receiver>,
    captured: Captured,
    keep: usize,
}

impl Drain {
    fn of(pipe: Option<PipeReader>, keep: usize) -> io::Result<Self> {
        let pipe = pipe.map(|pipe| pipe::Receiver::from_owned_fd(pipe.into())).transpose()?;
        Ok(Self { pipe, captured: Captured::default(), keep })
    }

    async fn empty(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            // What cannot be read any more has come to its end.
            let _ = read_to_end(pipe, &mut self.captured, self.keep).await;
            self.pipe = None;
        }
    }
}

async fn read_to_end(
    pipe: &mut (impl AsyncRead + Unpin),
    captured: &mut Captured,
    keep: usize,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = pipe.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let room = keep.saturating_sub(captured.kept.len()).min(count);
        captured.kept.extend_from_slice(&buffer[..room]);
        captured.total += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::testing::eventually;

    fn job(script: &str) -> Job {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Job { command, input: Vec::new(), limit: Duration::from_secs(60), keep: 1000, merge_errors: true }
    }

    #[tokio::test]
    async fn what_a_command_writes_is_kept_in_order_up_to_a_limit() {
        let done = job("echo one; echo two >&2; echo three; exit 3").run().await.unwrap();
        assert_eq!(done.output.text(), "one\ntwo\nthree\n");
        assert!(matches!(done.end, End::Exited(status) if status.code() == Some(3)));

        let mut much = job("head -c 1000000 /dev/zero; echo no >&2");
        much.merge_errors = false;
        let done = much.run().await.unwrap();
        assert_eq!((done.output.kept.len(), done.output.total), (1000, 1_000_000));
        assert_eq!(done.errors.text(), "no\n");
    }

    #[tokio::test]
    async fn a_command_reads_its_input_or_does_not() {
        let mut reads = job("cat");
        reads.input = b"hello".to_vec();
        assert_eq!(reads.run().await.unwrap().output.text(), "hello");
        let mut ignores = job("true");
        ignores.input = vec![b'x'; 1_000_000];
        assert!(matches!(ignores.run().await.unwrap().end, End::Exited(status) if status.success()));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_what_it_started() {
        let mut hangs = job("sleep 1000 & echo $!; wait");
        // Time enough to say which child it has, wherever there is little of it.
        hangs.limit = Duration::from_secs(3);
        let done = hangs.run().await.unwrap();
        assert_eq!(done.end, End::TimedOut);
        gone(&done.output.text()).await;
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_any_more_ends_with_what_it_started() {
        let root = tempfile::tempdir().unwrap();
        let said = root.path().join("child");
        let waits = job(&format!("sleep 1000 & echo $! > {}; wait", said.display()));
        let child = || std::fs::read_to_string(&said).unwrap_or_default();
        tokio::select! {
            done = waits.run() => panic!("it ended: {done:?}"),
            () = eventually("its child", || child().ends_with('\n')) => {}
        }
        gone(&child()).await;
    }

    async fn gone(process: &str) {
        let process = Pid::from_raw(process.trim().parse().unwrap()).unwrap();
        eventually("the end of its child", || rustix::process::test_kill_process(process).is_err()).await;
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_not_started() {
        let mut missing = job("");
        missing.command = Command::new("/nonexistent");
        assert_eq!(missing.run().await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
