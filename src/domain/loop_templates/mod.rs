//! Loop policies to start from: the built-in templates, and those that users keep in files.

mod builtin;
mod file;
mod new_loop;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use file::Problem;
pub use new_loop::NewLoop;

use super::Failure;
use super::words::words;

/// What happens to the worker's context between passes, unless a template or a person says otherwise.
pub const DEFAULT_CLEANUP: &str = "clear";

/// The passes of a loop, unless a template or a person says otherwise.
pub const DEFAULT_MAX_ITERATIONS: u32 = 2;

/// A loop policy under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopTemplate {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The last pass there may be.
    pub max_iterations: u32,
    /// What happens to the worker's context between passes.
    pub cleanup_policy: String,
    /// The evidence types that must be satisfied before the next pass.
    pub required_before_continue: Vec<String>,
    /// What ends the loop, in words.
    pub stop_conditions: Vec<String>,
    /// What each artifact must look like, by name.
    pub artifact_requirements: Map<String, Value>,
    /// Tools that help.
    pub recommended_tools: Vec<String>,
    /// What the loop is about.
    pub tags: Vec<String>,
    /// Only evidence that conveyor executed itself opens the next pass.
    #[serde(default)]
    pub require_executed_evidence: bool,
}

words! {
    /// Where a template comes from.
    Origin {
        /// The program.
        Builtin = "builtin",
        /// A file of the project.
        Project = "project",
        /// A file in the state root.
        StateRoot = "state_root",
        /// The user's own file.
        User = "user",
    }
}

/// A template, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTemplate {
    /// The template.
    #[serde(flatten)]
    pub template: LoopTemplate,
    /// Where it comes from.
    pub origin: Origin,
    /// The file it stands in.
    pub file: Option<PathBuf>,
}

/// All templates, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates(Vec<KnownTemplate>);

impl Templates {
    /// Those of the program.
    pub fn builtin() -> Self {
        let known = |template| KnownTemplate { template, origin: Origin::Builtin, file: None };
        Self(builtin::templates().into_iter().map(known).collect())
    }

    /// Adds those of a settings file with this text.
    ///
    /// # Errors
    /// [`Problem`], when one is malformed, or has the name of another.
    pub fn add(&mut self, origin: Origin, file: &Path, text: &str) -> Result<(), Problem> {
        for (line, template) in file::parse(text)? {
            if let Some(known) = self.0.iter().find(|known| known.template.name == template.name) {
                let whose = match &known.file {
                    None => "is built in".to_owned(),
                    Some(file) => format!("stands in {} as well", file.display()),
                };
                let problem = format!("a template of this name {whose}; give this one another name");
                return Err(Problem { line, field: file::path(&[&template.name]), problem });
            }
            self.0.push(KnownTemplate { template, origin, file: Some(file.to_owned()) });
        }
        self.0.sort_by(|a, b| a.template.name.cmp(&b.template.name));
        Ok(())
    }

    /// The template with this name.
    ///
    /// # Errors
    /// `NotFound` for an unknown name, with the nearest known one.
    pub fn find(&self, name: &str) -> Result<KnownTemplate, Failure> {
        self.0.iter().find(|known| known.template.name == name).cloned().ok_or_else(|| {
            let names: Vec<String> = self.0.iter().map(|known| known.template.name.clone()).collect();
            Failure::unknown_name("loop template", name, &names)
                .hint(format!("there are: {}", names.join(", ")))
        })
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<KnownTemplate> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = "[loop_templates.docs]\ndescription = 'Docs.'\nrequired_before_continue = ['built']\n";

    fn add(templates: &mut Templates, origin: Origin, file: &str, text: &str) -> Result<(), String> {
        templates.add(origin, Path::new(file), text).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_template_of_a_file_is_listed_with_its_origin() {
        let mut templates = Templates::builtin();
        add(&mut templates, Origin::Project, "/p/conveyor.toml", DOCS).unwrap();
        let docs = templates.find("docs").unwrap();
        assert_eq!((docs.origin, docs.file), (Origin::Project, Some("/p/conveyor.toml".into())));
        let names: Vec<String> = templates.into_vec().into_iter().map(|known| known.template.name).collect();
        assert!(names.is_sorted() && names.len() == 6, "{names:?}");
    }

    #[test]
    fn no_template_stands_in_for_another() {
        let mut templates = Templates::builtin();
        let shadow = DOCS.replace("docs", "visual_diff_loop");
        let refused = add(&mut templates, Origin::Project, "/p/conveyor.toml", &shadow).unwrap_err();
        assert_eq!(
            refused,
            "line 1: loop_templates.visual_diff_loop: a template of this name is built in; give this one another name"
        );
        add(&mut templates, Origin::Project, "/p/conveyor.toml", DOCS).unwrap();
        let refused = add(&mut templates, Origin::User, "/u/conveyor.toml", DOCS).unwrap_err();
        assert!(refused.contains("stands in /p/conveyor.toml as well"), "{refused}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let refused = Templates::builtin().find("build_then_claer").unwrap_err();
        assert!(refused.hints[0].contains("build_then_clear"), "{refused:?}");
    }
}
