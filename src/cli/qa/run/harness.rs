//! What every harness works with: the program's own command lines, and what was seen.

use std::path::PathBuf;

use clap::FromArgMatches;
use serde_json::{Map, Value, json};

use super::check::Check;
use crate::actors::paths::Paths;
use crate::actors::{Caller, Request};
use crate::cli::connection::Connection;
use crate::cli::{Cli, Command, command_line};
use crate::domain::Failure;
use crate::domain::shell::quoted;

/// A runtime to put to the test, and what came of it so far.
pub(super) struct Harness {
    connection: Connection,
    paths: Paths,
    program: &'static str,
    dispatcher_id: String,
    /// Where artifacts belong.
    pub(super) directory: PathBuf,
    /// What was looked at.
    pub(super) checks: Vec<Check>,
    /// The tasks that were made.
    pub(super) tasks: Vec<String>,
    /// The files that were made, by what they are.
    pub(super) artifacts: Map<String, Value>,
    /// What else belongs in the receipt.
    pub(super) facts: Map<String, Value>,
    /// The command lines that were carried out.
    pub(super) lines: Vec<String>,
}

/// A loop to ask for passes of.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) task: String,
    pub(super) run: String,
    /// What `create-disposable-binding` answered of it.
    pub(super) made: Value,
}

impl Harness {
    pub(super) fn new(
        paths: Paths,
        caller: Caller,
        program: &'static str,
        dispatcher_id: String,
        directory: PathBuf,
    ) -> Result<Self, Failure> {
        let artifacts = Map::from_iter([("database".to_owned(), json!(paths.database))]);
        let connection = Connection::open(paths.clone(), caller)?;
        Ok(Self {
            connection,
            paths,
            program,
            dispatcher_id,
            directory,
            checks: Vec::new(),
            tasks: Vec::new(),
            artifacts,
            facts: Map::new(),
            lines: Vec::new(),
        })
    }

    /// Carries out a command line and gives its answer.
    ///
    /// # Errors
    /// The command's own refusal or failure.
    pub(super) fn call(&mut self, words: &[&str]) -> Result<Value, Failure> {
        let line: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        self.lines.push(format!("{} {}", self.program, line.join(" ")));
        self.connection.serve(request(self.program, words)?)
    }

    /// Carries out a command line that must be refused; gives the refusal, or what was answered instead.
    pub(super) fn refusal(&mut self, words: &[&str]) -> Value {
        match self.call(words) {
            Ok(answer) => json!({"answer": answer, "refused": false}),
            Err(failure) => json!({"failure": failure, "refused": true}),
        }
    }

    /// A task name that nobody has yet.
    pub(super) fn new_task(&mut self, what: &str) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let task = format!("qa-{what}-{}", &id[..8]);
        self.tasks.push(task.clone());
        task
    }

    /// A pair without terminals, bound to a new task, with a loop policy.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new_loop(&mut self, what: &str, policy: &[&str]) -> Result<Loop, Failure> {
        let task = self.new_task(what);
        let made = self.call(&[&["create-disposable-binding", &task], policy].concat())?;
        let run = made["run"]["id"].as_str().unwrap_or_default().to_owned();
        Ok(Loop { task, run, made })
    }

    /// Records plain evidence for the first pass.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) fn record(&mut self, of: &Loop, kind: &str, more: &[&str]) -> Result<Value, Failure> {
        let line = [
            "loop-evidence",
            "add",
            &of.task,
            "--loop-run",
            &of.run,
            "--iteration",
            "1",
            "--evidence-type",
            kind,
        ];
        self.call(&[&line, more].concat())
    }

    /// Records an adversarial check of the first pass.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) fn challenge(
        &mut self,
        of: &Loop,
        failure_mode: &str,
        more: &[&str],
    ) -> Result<Value, Failure> {
        let line =
            ["loop-evidence", "adversarial-check", &of.task, "--loop-run", &of.run, "--iteration", "1"];
        let told = [
            "--failure-mode",
            failure_mode,
            "--check",
            "The harness asked for the next pass",
            "--result",
            "It was blocked",
        ];
        self.call(&[&line[..], &told, more].concat())
    }

    /// Asks for the second pass, lets Dispatch decide, and looks at the worker's inbox.
    ///
    /// # Errors
    /// When one of the three cannot be done.
    pub(super) fn ask(&mut self, name: &'static str, of: &Loop) -> Result<Check, Failure> {
        let command = self.call(&[
            "enqueue-continue-iteration",
            &of.task,
            "--loop-run",
            &of.run,
            "--requested-iteration",
            "2",
            "--message",
            "Go on with the second pass",
        ])?;
        let dispatcher_id = self.dispatcher_id.clone();
        let pass = ["dispatch", "--once", "--type", "continue_iteration", "--dispatcher-id", &dispatcher_id];
        let dispatched = self.call(&pass)?;
        let mut processed = dispatched["processed"].as_array().into_iter().flatten();
        let ours = processed.find(|item| item["command_id"] == command["command_id"]);
        let inbox = self.call(&["worker-inbox", &of.task])?;
        let items = inbox["items"].as_array().map_or(0, Vec::len);
        let audit = self.call(&["audit", &of.task])?;
        let routed = audit["routed_notifications"].as_array().map_or(0, Vec::len);
        Ok(Check::new(name)
            .saw("dispatch", ours.cloned().unwrap_or_default())
            .saw("command", command)
            .saw("routed_notifications_count", routed)
            .saw("worker_inbox", inbox)
            .saw("worker_inbox_count", items))
    }

    /// Asks for the second pass, which must not reach the worker.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub(super) fn blocked(
        &mut self,
        name: &'static str,
        of: &Loop,
        reason: &str,
        missing: &[&str],
    ) -> Result<(), Failure> {
        let check = self.ask(name, of)?;
        self.checks.push(
            check
                .expect("/dispatch/state", "blocked")
                .expect("/dispatch/reason", reason)
                .expect("/dispatch/missing_evidence", missing.to_vec())
                .expect("/dispatch/side_effect_started", false)
                .expect("/dispatch/target_worker_notified", false)
                .expect("/routed_notifications_count", 0)
                .expect("/worker_inbox_count", 0),
        );
        Ok(())
    }

    /// Asks for the second pass, which must reach the worker together with the policy.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub(super) fn delivered(&mut self, name: &'static str, of: &Loop) -> Result<(), Failure> {
        let check = self.ask(name, of)?;
        self.checks.push(
            check
                .expect("/dispatch/state", "pull_required")
                .expect("/dispatch/missing_evidence", Vec::<String>::new())
                .expect("/routed_notifications_count", 1)
                .expect("/worker_inbox_count", 1)
                .expect("/worker_inbox/items/0/payload/ralph_loop/requested_iteration", 2)
                .expect("/worker_inbox/items/0/payload/loop_policy/run_id", of.run.clone()),
        );
        Ok(())
    }

    pub(super) fn passed(&self) -> bool {
        self.checks.iter().all(Check::passed)
    }

    /// Command lines by which a person sees what happened.
    pub(super) fn replay_commands(&self) -> Vec<String> {
        let database = quoted(&self.paths.database.to_string_lossy());
        let looks = ["audit", "commands --attempts --task"];
        let lines =
            |task: &String| looks.map(|look| format!("{} --path {database} {look} {task}", self.program));
        self.tasks.iter().flat_map(lines).collect()
    }
}

/// The call that a command line makes.
fn request(program: &'static str, words: &[&str]) -> Result<Request, Failure> {
    let words = std::iter::once(program).chain(words.iter().copied());
    let cli =
        command_line(program).try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches));
    match cli.map(|cli| cli.command) {
        Ok(Some(Command::Call(request))) => Ok(*request),
        Ok(Some(Command::LoopEvidence(args))) => Ok(args.verb.into()),
        Ok(other) => Err(Failure::internal(format!("a harness cannot carry out {other:?}"))),
        Err(error) => Err(Failure::internal(format!("a harness gave a wrong command line: {error}"))),
    }
}
