//! `conveyor dispatch`: one pass, or one after the other.

use std::time::Duration;

use super::connection::Connection;
use super::output::Output;
use super::show::Show;
use super::table::tabbed;
use crate::actors::calls::dispatch::{DispatchArgs, DispatchReply};
use crate::domain::Failure;

impl Show for DispatchArgs {
    fn text(&self, reply: &DispatchReply) -> Option<String> {
        let mut lines = vec![format!("dispatch processed {} item(s)", reply.processed_count)];
        for report in &reply.processed {
            let field = |name: &str| report.get(name).and_then(|value| value.as_str());
            let what = field("signal_type").or_else(|| field("command_type")).unwrap_or("item");
            let target = field("target_session").unwrap_or("-");
            let state = field("state").unwrap_or("-");
            lines.push(match field("error").or_else(|| field("reason")) {
                Some(error) => format!("  {}", tabbed([state, what, target, error])),
                None => format!("  {}", tabbed([state, what, target])),
            });
        }
        Some(lines.join("\n"))
    }
}

/// Makes the passes that were asked for, and shows what they did together.
pub(super) fn run(
    connection: &mut Connection,
    args: &DispatchArgs,
    output: &mut Output,
) -> Result<u8, Failure> {
    let passes = if args.watch { args.watch_iterations.unwrap_or(u64::MAX) } else { 1 };
    let mut processed = Vec::new();
    for iteration in 1..=passes {
        let reply = connection.call(DispatchArgs { iteration, ..args.clone() })?;
        if passes == u64::MAX {
            // Without an end there is no other moment to show what was done.
            if reply.processed_count > 0 {
                output.show(args, &reply)?;
            }
        } else {
            processed.extend(reply.processed);
        }
        if iteration < passes {
            std::thread::sleep(Duration::from_secs_f64(args.interval));
        }
    }
    let reply = DispatchReply {
        dispatcher_id: args.dispatcher_id.clone(),
        dry_run: args.dry_run,
        iterations: passes,
        processed_count: processed.len(),
        processed,
        watch: args.watch,
    };
    output.show(args, &reply)
}
