//! `conveyor pair`

use super::connection::Connection;
use super::output::{self, Output};
use super::run::{Up, ensure};
use super::show::Show;
use crate::actors::calls::pair::{PairArgs, PairDispatch, PairReply};
use crate::actors::paths::Paths;
use crate::domain::Failure;

impl Show for PairArgs {}

/// Makes the pair, then sees to it that a supervisor is alive.
pub(super) fn run(
    connection: &mut Connection,
    args: &PairArgs,
    paths: &Paths,
    output: &mut Output,
) -> Result<u8, Failure> {
    let mut reply = connection.call(args.clone())?;
    if let PairReply::Made(made) = &mut reply {
        let ensured = made.dispatch_command.clone().map(|command| dispatch(paths, args, command)).transpose();
        if let Some(failure) = made.failure.take() {
            // With a supervisor the sessions can go on as soon as they are told what to do.
            return Err(match ensured {
                Ok(_) => failure,
                Err(also) => failure.and(also),
            });
        }
        made.dispatch = ensured?;
    }
    output.show(args, &reply)
}

fn dispatch(paths: &Paths, args: &PairArgs, command: Vec<String>) -> Result<PairDispatch, Failure> {
    let Up { holder, started } = ensure(paths, &args.dispatcher_id).map_err(|failure| {
        failure.hint("the pair is up and bound: start one with `conveyor run --detach`")
    })?;
    if holder.dispatcher_id != args.dispatcher_id {
        output::talk(&format!(
            "supervisor {} was there already and dispatches as {}",
            holder.pid, holder.dispatcher_id
        ));
    }
    Ok(PairDispatch { command, ensure: true, pid: holder.pid, started, dispatcher_id: holder.dispatcher_id })
}
