//! The loop templates that there are for a caller: the built-in ones, and those in settings files.

use std::io;
use std::path::{Path, PathBuf};

use super::blocking::blocking;
use super::{Caller, Hub};
use crate::codex::settings::{self, FILE_NAME};
use crate::domain::Failure;
use crate::domain::loop_templates::{Origin, Problem, Templates};

/// Reads them. A file that is wrong is refused, whichever template is wanted: one that is left out
/// might be the one that is meant.
///
/// # Errors
/// `Usage` that names the file, the line and the field; `External` for a file that cannot be read.
pub async fn load(hub: &Hub, caller: &Caller) -> Result<Templates, Failure> {
    let (state_root, cwd) = (hub.paths.state_root.clone(), caller.cwd.clone());
    blocking(move || read_all(&places(&state_root, &cwd))).await?
}

/// Where templates may stand. Two places may be one file.
fn places(state_root: &Path, cwd: &Path) -> Vec<(Origin, PathBuf)> {
    let places = [
        (Origin::User, settings::users_file()),
        (Origin::StateRoot, Some(state_root.join(FILE_NAME))),
        (Origin::Project, settings::project_file(cwd)),
    ];
    let mut files: Vec<(Origin, PathBuf)> = Vec::new();
    for (origin, file) in places.into_iter().filter_map(|(origin, file)| Some((origin, file?))) {
        let real = |file: &Path| std::fs::canonicalize(file).ok();
        if files.iter().all(|(_, known)| real(known) != real(&file) || real(&file).is_none()) {
            files.push((origin, file));
        }
    }
    files
}

fn read_all(files: &[(Origin, PathBuf)]) -> Result<Templates, Failure> {
    let mut templates = Templates::builtin();
    for (origin, file) in files {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Failure::external(format!("failed to read {}: {error}", file.display())));
            }
        };
        templates.add(*origin, file, &text).map_err(|problem| wrong(file, &problem))?;
    }
    Ok(templates)
}

fn wrong(file: &Path, problem: &Problem) -> Failure {
    Failure::usage(format!("the loop templates in {} are wrong: {problem}", file.display()))
        .hint("docs/loops.md shows what a template can say")
}
