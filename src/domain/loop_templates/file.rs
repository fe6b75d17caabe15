//! Templates in a settings file, checked field by field so that a mistake is named with its line.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{LoopTemplate, builtin};

/// The section of a settings file with the templates: a table each, by name.
pub const SECTION: &str = "loop_templates";

/// The section for whoever starts sessions.
const OTHER_SECTION: &str = "codex";

/// The passes that a loop in a file may have at most.
const MAX_ITERATIONS: u32 = 1000;

/// What can happen to the worker's context between passes.
const CLEANUP: [&str; 2] = ["clear", "compact"];

/// The fields of a template.
const FIELDS: [&str; 9] = [
    "description",
    "max_iterations",
    "cleanup_policy",
    "required_before_continue",
    "require_executed_evidence",
    "stop_conditions",
    "artifact_requirements",
    "recommended_tools",
    "tags",
];

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field}{}{problem}", if field.is_empty() { "" } else { ": " })]
pub struct Problem {
    /// The line.
    pub line: usize,
    /// The field, with the tables it stands in; empty when the file is no TOML.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A field's full name.
pub(super) fn path(below: &[&str]) -> String {
    [&[SECTION], below].concat().join(".")
}

/// The templates in this text, each with its line.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, LoopTemplate)>, Problem> {
    let file = File { text };
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| file.line(span.start));
        Problem { line, field: String::new(), problem: error.message().to_owned() }
    })?;
    let mut templates = Vec::new();
    for (key, section) in root.into_inner() {
        match key.get_ref().as_ref() {
            SECTION => templates = file.templates(&key, section)?,
            OTHER_SECTION => {}
            other => {
                let problem = format!("there is no such section, but {SECTION} and {OTHER_SECTION}");
                return Err(Problem { line: file.line_of(&key), field: other.to_owned(), problem });
            }
        }
    }
    Ok(templates)
}

type Key<'a> = Spanned<toml::de::DeString<'a>>;

struct File<'a> {
    text: &'a str,
}

impl<'a> File<'a> {
    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    fn line_of<T>(&self, part: &Spanned<T>) -> usize {
        self.line(part.span().start)
    }

    fn problem(&self, key: &Key<'_>, below: &[&str], problem: impl Into<String>) -> Problem {
        Problem { line: self.line_of(key), field: path(below), problem: problem.into() }
    }

    fn table(
        &self,
        key: &Key<'a>,
        value: Spanned<DeValue<'a>>,
        below: &[&str],
    ) -> Result<DeTable<'a>, Problem> {
        match value.into_inner() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.problem(key, below, "this is no table")),
        }
    }

    fn templates(
        &self,
        key: &Key<'a>,
        section: Spanned<DeValue<'a>>,
    ) -> Result<Vec<(usize, LoopTemplate)>, Problem> {
        let templates = self.table(key, section, &[])?;
        templates
            .into_iter()
            .map(|(key, value)| Ok((self.line_of(&key), self.template(&key, value)?)))
            .collect()
    }

    fn template(&self, key: &Key<'a>, value: Spanned<DeValue<'a>>) -> Result<LoopTemplate, Problem> {
        let name = key.get_ref().as_ref();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
            return Err(self.problem(key, &[name], "a name has only letters, digits, - and _"));
        }
        let mut template = builtin::template(name, "");
        for (field, value) in self.table(key, value, &[name])? {
            self.set(&mut template, &field, value)?;
        }
        if template.description.is_empty() {
            return Err(self.problem(key, &[name, "description"], "say what the template is for"));
        }
        Ok(template)
    }

    fn set(
        &self,
        template: &mut LoopTemplate,
        key: &Key<'a>,
        value: Spanned<DeValue<'a>>,
    ) -> Result<(), Problem> {
        let name = template.name.clone();
        let field = Field { file: self, key, path: [&name, key.get_ref().as_ref()] };
        match key.get_ref().as_ref() {
            "description" => template.description = field.text(value)?,
            "max_iterations" => template.max_iterations = field.passes(value)?,
            "cleanup_policy" => template.cleanup_policy = field.cleanup(value)?,
            "required_before_continue" => template.required_before_continue = field.texts(value)?,
            "require_executed_evidence" => template.require_executed_evidence = field.read(value)?,
            "stop_conditions" => template.stop_conditions = field.texts(value)?,
            "artifact_requirements" => template.artifact_requirements = field.tables(value)?,
            "recommended_tools" => template.recommended_tools = field.texts(value)?,
            "tags" => template.tags = field.texts(value)?,
            _ => {
                return Err(
                    field.wrong(format!("a template has no such field; it has {}", FIELDS.join(", ")))
                );
            }
        }
        Ok(())
    }
}

/// One field of a template.
struct Field<'f, 'a> {
    file: &'f File<'a>,
    key: &'f Key<'a>,
    path: [&'f str; 2],
}

impl<'a> Field<'_, 'a> {
    fn wrong(&self, problem: impl Into<String>) -> Problem {
        self.file.problem(self.key, &self.path, problem)
    }

    fn read<T: DeserializeOwned>(&self, value: Spanned<DeValue<'a>>) -> Result<T, Problem> {
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| self.wrong(error.message()))
    }

    fn text(&self, value: Spanned<DeValue<'a>>) -> Result<String, Problem> {
        let text: String = self.read(value)?;
        if text.trim().is_empty() { Err(self.wrong("this is empty")) } else { Ok(text.trim().to_owned()) }
    }

    fn texts(&self, value: Spanned<DeValue<'a>>) -> Result<Vec<String>, Problem> {
        let texts: Vec<String> = self.read(value)?;
        let texts: Vec<String> = texts.iter().map(|text| text.trim().to_owned()).collect();
        for (index, text) in texts.iter().enumerate() {
            if text.is_empty() {
                return Err(self.wrong("one of these is empty"));
            }
            if texts[..index].contains(text) {
                return Err(self.wrong(format!("{text} is there twice")));
            }
        }
        Ok(texts)
    }

    fn passes(&self, value: Spanned<DeValue<'a>>) -> Result<u32, Problem> {
        let passes: i64 = self.read(value)?;
        let known = u32::try_from(passes).ok().filter(|passes| (1..=MAX_ITERATIONS).contains(passes));
        known.ok_or_else(|| self.wrong(format!("{passes} is not from 1 to {MAX_ITERATIONS}")))
    }

    fn cleanup(&self, value: Spanned<DeValue<'a>>) -> Result<String, Problem> {
        let policy: String = self.read(value)?;
        if CLEANUP.contains(&policy.as_str()) {
            return Ok(policy);
        }
        Err(self.wrong(format!("{policy:?} is not one of {}", CLEANUP.join(", "))))
    }

    fn tables(&self, value: Spanned<DeValue<'a>>) -> Result<Map<String, Value>, Problem> {
        let tables: Map<String, Value> = self.read(value)?;
        match tables.iter().find(|(_, requirement)| !requirement.is_object()) {
            Some((name, _)) => Err(self.wrong(format!("{name} is no table"))),
            None => Ok(tables),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_says_as_much_as_it_wants() {
        let text = "
[codex]
model = 'm'

[loop_templates.short]
description = 'Nothing but a bound.'

[loop_templates.docs]
description = ' Write the docs. '
max_iterations = 5
cleanup_policy = 'compact'
required_before_continue = ['docs_built', ' links_checked ']
require_executed_evidence = true
stop_conditions = ['manager_accepts']
recommended_tools = ['mdbook']
tags = ['docs']
artifact_requirements.docs_built = { type = 'path', description = 'The book.' }
";
        let templates = parse(text).unwrap();
        let [(8, docs), (5, short)] = templates.as_slice() else { panic!("{templates:?}") };
        assert_eq!(*short, builtin::template("short", "Nothing but a bound."));
        assert_eq!(
            json!(docs),
            json!({
                "name": "docs", "description": "Write the docs.", "max_iterations": 5, "cleanup_policy": "compact",
                "required_before_continue": ["docs_built", "links_checked"], "require_executed_evidence": true,
                "stop_conditions": ["manager_accepts"], "recommended_tools": ["mdbook"], "tags": ["docs"],
                "artifact_requirements": {"docs_built": {"type": "path", "description": "The book."}},
            })
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_its_field() {
        fn check(text: &str, expect: &str) {
            let problem = parse(text).unwrap_err().to_string();
            assert!(problem.starts_with(expect), "{problem:?}, not {expect:?}");
        }
        fn field(line: &str, expect: &str) {
            let text = format!("[loop_templates.x]\ndescription = 'd'\n{line}\n");
            check(&text, &format!("line 3: loop_templates.x.{expect}"));
        }
        check("[loop_templates\n", "line 1: ");
        check("\n[loop_template.x]\ntags = []", "line 2: loop_template: there is no such section");
        check("\nloop_templates = 1", "line 2: loop_templates: this is no table");
        check("[loop_templates]\nx = 1", "line 2: loop_templates.x: this is no table");
        check("[loop_templates.'a b']\ndescription = 'd'", "line 1: loop_templates.a b: a name has only");
        check("\n[loop_templates.x]\ntags = []", "line 2: loop_templates.x.description: say what");
        field(
            "max_iteration = 3",
            "max_iteration: a template has no such field; it has description, max_iterations",
        );
        field("max_iterations = 0", "max_iterations: 0 is not from 1");
        field("max_iterations = 1001", "max_iterations: 1001 is not from 1");
        field("max_iterations = 'two'", "max_iterations: invalid type");
        field("cleanup_policy = 'wipe'", "cleanup_policy: \"wipe\" is not one of clear, compact");
        field("required_before_continue = 'x'", "required_before_continue: invalid type");
        field("required_before_continue = ['x', 3]", "required_before_continue: invalid type");
        field("required_before_continue = ['x', ' ']", "required_before_continue: one of these is empty");
        field("required_before_continue = ['x', ' x']", "required_before_continue: x is there twice");
        field("require_executed_evidence = 'yes'", "require_executed_evidence: invalid type");
        field("artifact_requirements.built = 'path'", "artifact_requirements: built is no table");
        check("[loop_templates.x]\ndescription = 'd'\ndescription = 'again'", "line 3: duplicate key");
    }
}
