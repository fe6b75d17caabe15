//! The command line: parse, make the call, show the reply. One file a command that shows text.

mod approvals;
mod audit;
mod classify;
mod commands;
mod completions;
mod connection;
mod contract;
mod create;
mod criteria;
mod deliveries;
mod demo;
mod dispatch;
mod disposable;
mod doctor;
mod epilogue;
mod evidence;
mod inbox;
mod input;
mod json_only;
mod legacy;
mod loop_evidence;
mod loop_status;
mod loops;
mod man;
mod manager_config;
mod mcp;
mod open;
mod output;
mod pair;
mod parse;
mod passthrough;
mod progress;
#[cfg(test)]
mod prompts;
mod qa;
mod replay;
mod run;
mod sandboxed_exec;
mod show;
mod skills;
mod stop;
mod table;
mod tasks;
mod telemetry;
mod top;
mod trace;
mod transcripts;
mod wait;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::actors::paths::Paths;
use crate::actors::{Caller, Request, calls};
use crate::domain::Failure;
use crate::{fault, for_each_call};

use connection::Connection;
use output::Output;
use parse::{command_line, parse};
use show::Show;

/// Let one AI coding session supervise another
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, help_template = HELP_TEMPLATE)]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Everywhere {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Use this database file instead of the state root's
    #[arg(long, global = true, value_name = "DB")]
    path: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Call(Box<Request>),
    LoopEvidence(loop_evidence::LoopEvidenceArgs),
    Doctor(doctor::DoctorArgs),
    DoctorSelf(doctor::DoctorSelfArgs),
    InstallSkills(skills::InstallSkillsArgs),
    QaPlan(qa::QaPlanArgs),
    QaRun(qa::QaRunArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Mcp(mcp::McpArgs),
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    #[command(hide = true)]
    DemoKeeper(demo::DemoKeeperArgs),
    #[command(hide = true)]
    DemoSession(demo::DemoSessionArgs),
    #[command(hide = true)]
    SandboxedExec(sandboxed_exec::SandboxedExecArgs),
}

const HELP_TEMPLATE: &str = "usage: {usage}\n\n{about-with-newline}\n{all-args}{after-help}";

/// The names this program may go by.
const PROGRAM_NAMES: [&str; 2] = ["conveyor", "workerctl"];

/// Runs the program: parses the process's arguments, serves the command, and says how it went.
pub fn main() -> ExitCode {
    let program = program_name();
    let cli = match parse(program, std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let path = cli.everywhere.path.clone();
    match fault::check_plan().and_then(|()| run(cli, program)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::print_failure(program, &failure, path.as_deref());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// `$CONVEYOR_CLI_PROG`, else the name the process was started by, else `conveyor`.
fn program_name() -> &'static str {
    let started_as = std::env::args_os().next().map(PathBuf::from);
    let started_as = started_as
        .as_deref()
        .and_then(|path| path.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    let named = std::env::var("CONVEYOR_CLI_PROG").ok();
    let mut candidates = [named, started_as].into_iter().flatten();
    candidates
        .find_map(|name| PROGRAM_NAMES.into_iter().find(|known| *known == name))
        .unwrap_or(PROGRAM_NAMES[0])
}

fn run(cli: Cli, program: &'static str) -> Result<u8, Failure> {
    let Some(command) = cli.command else {
        output::print(command_line(program).render_help().ansi().to_string().trim_end())?;
        return Ok(0);
    };
    let caller = connection::caller(program)?;
    let Everywhere { json, path } = cli.everywhere;
    let names_database = path.is_some();
    let paths = Paths::resolve(&caller.cwd, path.as_deref());
    if names_database {
        refuse_lost_path(&paths.database)?;
    }
    let mut output = Output::new(json);
    match command {
        Command::Call(request) => call(*request, &paths, caller, &mut output),
        Command::LoopEvidence(args) => call(args.verb.into(), &paths, caller, &mut output),
        Command::Doctor(args) => doctor::doctor(&args, &paths, &caller.cwd),
        Command::DoctorSelf(args) => doctor::doctor_self(&args, &caller),
        Command::Completions(args) => completions::run(&args, program, &mut output),
        Command::Man(args) => man::run(&args, program, &mut output),
        Command::InstallSkills(args) => skills::install(&args, &caller, &mut output),
        Command::QaRun(args) => {
            let named = names_database.then_some(paths);
            qa::run(&args, named, &caller, program, &mut output)
        }
        Command::QaPlan(args) => qa::plan(&args, program, &mut output),
        Command::Mcp(args) => mcp::run(&args, paths, caller),
        Command::Run(args) => run::run(&args, &paths, &mut output),
        Command::Demo(args) => demo::run(&args, names_database, &mut output),
        Command::DemoKeeper(args) => demo::keep(&args),
        Command::DemoSession(args) => demo::play_session(&args),
        Command::SandboxedExec(args) => sandboxed_exec::run(args),
    }
}

/// The directory of a database that somebody names is made when it is missing, the one around it is
/// not: then the path is mistyped.
fn refuse_lost_path(database: &Path) -> Result<(), Failure> {
    let around = database.parent().and_then(Path::parent);
    match around.filter(|directory| !directory.is_dir()) {
        None => Ok(()),
        Some(directory) => Err(Failure::not_found(format!(
            "there is no database {}: {} does not exist",
            database.display(),
            directory.display()
        ))
        .hint("check --path, or make the directory first")),
    }
}

fn call(request: Request, paths: &Paths, caller: Caller, output: &mut Output) -> Result<u8, Failure> {
    if let Request::Top(args) = &request
        && top::is_watched(args, output)
    {
        return top::watch(args, paths, &caller);
    }
    progress::show();
    let mut connection = Connection::open(paths.clone(), caller)?.telling();
    match request {
        Request::Dispatch(args) => dispatch::run(&mut connection, &args, output),
        Request::Replay(args) if args.follow => replay::follow(&mut connection, &args, output),
        Request::Pair(args) => pair::run(&mut connection, &args, paths, output),
        request => {
            let request = audit::meant(evidence::meant(deliveries::meant(request)));
            let request = calls::legacy_acts::meant(request, paths)?;
            call_and_show(&mut connection, request, output)
        }
    }
}

macro_rules! define_call_and_show {
    ($($name:ident($module:ident::$args:ident),)*) => {
        fn call_and_show(connection: &mut Connection, request: Request, output: &mut Output) -> Result<u8, Failure> {
            match request {
                $(Request::$name(mut args) => {
                    args.take_input()?;
                    let reply = connection.call(args.clone())?;
                    output.show::<calls::$module::$args>(&args, &reply)
                })*
            }
        }
    };
}
for_each_call!(define_call_and_show);
