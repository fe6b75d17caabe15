//! `conveyor open`, `open-worker` and `open-manager`

use super::output::talk;
use super::show::Show;
use crate::actors::calls::open::{OpenArgs, OpenManagerArgs, OpenReply, OpenWorkerArgs};
use crate::actors::window::Shown;

impl Show for OpenArgs {
    fn text(&self, reply: &OpenReply) -> Option<String> {
        Some(text(reply))
    }

    fn exit_code(&self, reply: &OpenReply) -> u8 {
        exit_code(reply)
    }
}

impl Show for OpenWorkerArgs {
    fn text(&self, reply: &OpenReply) -> Option<String> {
        Some(text(reply))
    }

    fn exit_code(&self, reply: &OpenReply) -> u8 {
        exit_code(reply)
    }
}

impl Show for OpenManagerArgs {
    fn text(&self, reply: &OpenReply) -> Option<String> {
        Some(text(reply))
    }

    fn exit_code(&self, reply: &OpenReply) -> u8 {
        exit_code(reply)
    }
}

/// Where no window can be opened there is no answer, but something to say.
fn text(reply: &OpenReply) -> String {
    let told = told_of(&reply.name, &reply.window);
    if reply.window.reason.is_some() {
        talk(&told);
        return String::new();
    }
    told
}

fn exit_code(reply: &OpenReply) -> u8 {
    u8::from(reply.window.reason.is_some())
}

/// What became of a window.
pub fn told_of(name: &str, shown: &Shown) -> String {
    let Shown { attach_command, .. } = shown;
    if let Some(reason) = &shown.reason {
        return format!("no window shows {name}: {reason}\n  look at it here: {attach_command}");
    }
    let terminal = shown.terminal.as_deref().unwrap_or_default();
    match (shown.command_line(), shown.attached) {
        (Some(command), _) if shown.dry_run => command,
        (_, true) => format!("opened {name} in {terminal}"),
        (_, false) => {
            format!("{terminal} was asked to show {name}, and has not yet; look at it here: {attach_command}")
        }
    }
}
