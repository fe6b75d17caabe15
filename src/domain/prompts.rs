//! What a session is told when it starts, in as few words as will do.

use super::legacy::WorkerState;
use super::shell::quoted;

/// How a session calls this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hands<'a> {
    /// As shell commands, beginning with these words.
    Shell(&'a str),
    /// As tools of the MCP server `conveyor`: Codex's sandbox keeps commands from everything else.
    Tools,
}

/// An acknowledgement to fill in.
const ACK: &str = r#"{"goal_restatement": "…", "open_questions": [], "ready_to_start": true}"#;

/// The value of an argument that is either there or not.
const TRUE: &str = "true";

impl Hands<'_> {
    /// How this session gives a command. The name of an argument with a flag begins with `--`.
    fn call(self, command: &str, arguments: &[(&str, &str)]) -> String {
        match self {
            Self::Shell(program) => {
                let words: Vec<String> = arguments.iter().map(|(name, value)| words(name, value)).collect();
                format!("`{program} {command} {}`", words.join(" "))
            }
            Self::Tools => {
                let fields: Vec<String> =
                    arguments.iter().map(|(name, value)| format!("{}: {value}", underscored(name))).collect();
                format!("the tool `{}` ({})", underscored(command), fields.join(", "))
            }
        }
    }
}

fn words(name: &str, value: &str) -> String {
    match (name.starts_with("--"), value) {
        (true, TRUE) => name.to_owned(),
        (true, value) => format!("{name} {}", quoted(value)),
        (false, value) => quoted(value),
    }
}

fn underscored(name: &str) -> String {
    name.trim_start_matches("--").replace('-', "_")
}

/// What a manager is told.
#[derive(Debug, Clone, Copy)]
pub struct ManagerBriefing<'a> {
    /// How it calls this program.
    pub hands: Hands<'a>,
    /// Its own name.
    pub manager: &'a str,
    /// The worker it supervises.
    pub worker: Option<&'a str>,
    /// The task's name.
    pub task: Option<&'a str>,
    /// What the task is for.
    pub goal: Option<&'a str>,
    /// The task's supervision contract is on record.
    pub configured: bool,
    /// Nothing is pushed to it: it has to ask.
    pub polls: bool,
}

/// The first prompt of a manager.
pub fn manager(briefing: &ManagerBriefing<'_>) -> String {
    let worker =
        briefing.worker.map_or("a worker session".to_owned(), |name| format!("the worker session {name}"));
    let task = briefing.task.map(|task| format!("Task: {task}\n")).unwrap_or_default();
    let goal = briefing.goal.map(|goal| format!("Goal: {goal}\n")).unwrap_or_default();
    let rest = match (briefing.task, briefing.worker) {
        (Some(task), Some(worker)) => supervise(briefing, task, worker),
        _ => ask_first(briefing),
    };
    format!(
        "You are {}, the manager of a supervised pair of coding sessions: {worker} does the work, you watch it and \
         steer it. Do none of the work yourself.\n\n{task}{goal}\n{rest}",
        briefing.manager
    )
}

fn supervise(briefing: &ManagerBriefing<'_>, task: &str, worker: &str) -> String {
    let call = |command: &str, arguments: &[(&str, &str)]| briefing.hands.call(command, arguments);
    let contract = if briefing.configured {
        format!(
            "What to hold the worker to and what you may do is on record: {}",
            call("manager-config", &[("task", task)])
        )
    } else {
        format!(
            "Ask the person what to hold the worker to and what you may do, unless you were told. The questions: {}. \
             The flags of that command record the answers",
            call("manager-config", &[("task", task), ("--questions", TRUE)])
        )
    };
    let news = if briefing.polls {
        format!(
            "Nothing is sent to you. To hear that the worker has ended a turn, ask with {}, again and again until \
             the task is done. After each answer, look again.",
            call("manager-inbox", &waiting_for(task))
        )
    } else {
        "When the worker ends a turn you are told here. Then look again. In between, end your own turn: do not \
         wait, do not poll."
            .to_owned()
    };
    format!(
        "{contract}.\n\
         Put on record what you understood: {}. What the worker understood: {}.\n\
         Then look: {}. It answers with the worker's state, its last message and what is still open.\n\n\
         {news}\n\n\
         After each look, decide:\n\
         - The worker should go on, or do something else: {}\n\
         - A turn of it goes wrong: {}\n\
         - Something must hold before it is done, so it is a criterion: {}\n\
         - A criterion is seen to hold: {}\n\
         - The goal is met, and you have seen the proof: {}\n\
         - Otherwise leave it alone.\n\n\
         What the worker says about its own work is a claim, not proof. Should the task not be bound to you yet: {}",
        call("manager-ack", &[("task", task), ("--payload-json", ACK)]),
        call("worker-ack", &[("task", task)]),
        call("cycle", &[("task", task)]),
        call("session-nudge", &[("name", worker), ("text", "what to do next")]),
        call("session-interrupt", &[("name", worker)]),
        call("criteria", &criterion(task)),
        call("criteria", &shown_to_hold(briefing.hands, task)),
        call("finish-task", &[("task", task), ("--reason", "what proves it")]),
        call("bind", &[("--task", task), ("--worker", worker), ("--manager", briefing.manager)]),
    )
}

/// A criterion of the manager's own.
fn criterion(task: &str) -> [(&str, &str); 4] {
    [("task", task), ("--add", TRUE), ("--criterion", "what must hold"), ("--source", "manager_inferred")]
}

/// Best by a command that is run and kept as evidence. No tool runs commands outside the sandbox.
fn shown_to_hold<'a>(hands: Hands<'_>, task: &'a str) -> Vec<(&'a str, &'a str)> {
    let first = [("task", task), ("--satisfy", "1")];
    match hands {
        Hands::Shell(_) => {
            let run = [("--run", TRUE), ("--", TRUE), ("command", "make"), ("argument", "test")];
            [&first[..], &run].concat()
        }
        Hands::Tools => [&first[..], &[("--proof", "what shows it")]].concat(),
    }
}

fn ask_first(briefing: &ManagerBriefing<'_>) -> String {
    let missing = match (briefing.task, briefing.worker) {
        (None, None) => "which task is to be supervised, what its goal is, and which worker session does it",
        (None, Some(_)) => "which task is to be supervised and what its goal is",
        (Some(_), _) => "which worker session does it",
    };
    let task = briefing.task.unwrap_or("TASK");
    let worker = briefing.worker.unwrap_or("WORKER");
    let call = |command: &str, arguments: &[(&str, &str)]| briefing.hands.call(command, arguments);
    format!(
        "Before you begin, ask the person {missing}.\n\
         - What there is: {} and {}\n\
         - A new task: {}\n\
         - Tie the pair together: {}\n\
         - Then look at the worker: {}",
        call("tasks", &[("--active", TRUE)]),
        call("sessions", &[("--role", "worker")]),
        call("tasks", &[("--create", task), ("--goal", "what it is for")]),
        call("bind", &[("--task", task), ("--worker", worker), ("--manager", briefing.manager)]),
        call("cycle", &[("task", task)]),
    )
}

/// The arguments of an inbox that is waited for.
fn waiting_for(task: &str) -> [(&str, &str); 4] {
    [("task", task), ("--consume-next", TRUE), ("--wait", TRUE), ("--timeout", "300")]
}

/// What a worker is told beside its task.
#[derive(Debug, Clone, Copy)]
pub struct WorkerBriefing<'a> {
    /// How it calls this program.
    pub hands: Hands<'a>,
    /// The task it may be asked about, when there is one.
    pub task: Option<&'a str>,
    /// Nothing is pushed to it: it has to ask.
    pub polls: bool,
}

/// The first prompt of a worker: the person's own words and, for a worker to which nothing is sent,
/// how it hears of more. None when there is nothing to say.
pub fn worker(words: Option<&str>, briefing: &WorkerBriefing<'_>) -> Option<String> {
    let words = words.map(str::trim).filter(|words| !words.is_empty());
    if !briefing.polls {
        return words.map(str::to_owned);
    }
    let task = briefing.task.unwrap_or("TASK");
    let polling = format!(
        "You are supervised, and nothing is sent to you. When you have done what was asked, hear what is next \
         with {}, again and again until you are told that the task is done.",
        briefing.hands.call("worker-inbox", &waiting_for(task))
    );
    Some(match words {
        Some(words) => format!("{words}\n\n{polling}"),
        None => polling,
    })
}

/// The states that a worker may say it is in, for its contract.
fn states() -> String {
    let known = WorkerState::ALL.iter().filter(|state| **state != WorkerState::Unknown);
    known.map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}

/// What a worker with a directory of files is held to. `words` are the person's own.
pub fn contract(hands: Hands<'_>, name: &str, words: Option<&str>) -> String {
    let task = words.map_or_else(
        || "There is no task yet: say that you are ready, and wait until you are told what to do.".to_owned(),
        |words| format!("Your task:\n\n{words}"),
    );
    let stands = [("--current-task", "what you work on"), ("--next-action", "what comes next")];
    let says = |state: WorkerState, more: &[(&str, &str)]| {
        let who = [("name", name), ("--state", state.as_str())];
        hands.call("update-status", &[&who[..], &stands, more].concat())
    };
    format!(
        "You are the worker {name}. {task}\n\n\
         Others see how you stand by what you write down. Do so when you begin, whenever it changes, and when you are \
         done: {}. The states are {}. When you cannot go on, say what keeps you: {}. Then wait to be told.",
        says(WorkerState::Editing, &[]),
        states(),
        says(WorkerState::Blocked, &[("--blocker", "what keeps you")]),
    )
}

/// The task of a worker that only shows that everything works.
pub const TRIAL: &str = "This is a trial. Change no file and run no other command: only write down, once, that you are \
    done, with `trial` for what you work on. Then stop.";

/// The first prompt of a session that nobody supervises yet. `session` is its tmux session.
pub fn plain(program: &str, session: &str) -> String {
    let hands = Hands::Shell(program);
    let register = |role: &str| {
        hands.call(&format!("register-{role}"), &[("--name", session), ("--tmux-session", session)])
    };
    format!(
        "You run in the tmux session {session}, and nobody supervises you yet. Wait for the person. If they want \
         you to be supervised, register yourself with {}; if they want you to supervise, with {}. Both \
         recognise you by the thread you run in. Do nothing else now but say that you are ready.",
        register("worker"),
        register("manager"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const FULL: ManagerBriefing<'_> = ManagerBriefing {
        hands: Hands::Shell("conveyor"),
        manager: "m1",
        worker: Some("w1"),
        task: Some("t1"),
        goal: Some("Ship it"),
        configured: true,
        polls: false,
    };

    #[test]
    fn a_manager_with_everything_at_hand() {
        assert_snapshot!(manager(&FULL));
    }

    #[test]
    fn a_manager_in_a_sandbox() {
        assert_snapshot!(manager(&ManagerBriefing { hands: Hands::Tools, ..FULL }));
    }

    #[test]
    fn a_manager_that_polls_and_has_no_contract_yet() {
        let task = Some("it's the second");
        assert_snapshot!(manager(&ManagerBriefing {
            task,
            goal: None,
            configured: false,
            polls: true,
            ..FULL
        }));
    }

    #[test]
    fn a_manager_that_knows_nothing_yet() {
        assert_snapshot!(manager(&ManagerBriefing { worker: None, task: None, goal: None, ..FULL }));
    }

    #[test]
    fn a_worker_is_told_its_task_in_the_persons_words() {
        let briefing = WorkerBriefing { hands: Hands::Shell("conveyor"), task: None, polls: false };
        let check = |words: Option<&str>, expect: Option<&str>| {
            assert_eq!(worker(words, &briefing).as_deref(), expect, "{words:?}");
        };
        check(Some("Refactor auth\n"), Some("Refactor auth"));
        check(Some("  "), None);
        check(None, None);
    }

    #[test]
    fn a_worker_that_polls() {
        let briefing = WorkerBriefing { hands: Hands::Tools, task: Some("t1"), polls: true };
        assert_snapshot!(worker(Some("Refactor auth"), &briefing).unwrap());
    }

    #[test]
    fn a_worker_with_a_directory_of_files() {
        assert_snapshot!(contract(Hands::Shell("conveyor"), "w1", Some("Refactor auth")));
    }

    #[test]
    fn a_worker_with_a_directory_of_files_in_a_sandbox() {
        assert_snapshot!(contract(Hands::Tools, "w1", None));
    }

    #[test]
    fn a_session_that_nobody_supervises() {
        assert_snapshot!(plain("conveyor --path '/a b/x.db'", "plain1"));
    }
}
