//! The files of the repository, and Rust code as tokens.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};
use std::fs;
use std::path::{Path, PathBuf};

/// A text file.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the repository.
    pub(crate) path: PathBuf,
    /// All of it.
    pub(crate) text: String,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Name,
    /// A string, a number or a character.
    Literal,
    /// Punctuation (`::` is one token) or a bracket.
    Sign,
}

/// A token of Rust code. Comments and documentation are none.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// As it is written.
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// Whether it belongs to an item under `#[cfg(test)]`.
    pub(crate) in_test: bool,
    /// In how many modules of this file it is.
    pub(crate) depth: usize,
}

/// The extensions of the files that people write.
const WRITTEN: [&str; 6] = ["rs", "md", "toml", "sql", "snap", "yml"];

/// Every file below `directories` of the repository that people write.
pub(crate) fn files(directories: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = directories.iter().map(|directory| root.join(directory)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| WRITTEN.iter().any(|written| *written == e)) {
            let text = fs::read_to_string(&path).unwrap();
            files.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), text });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The Rust files of the program.
pub(crate) fn program() -> Vec<Source> {
    rust(&["src"])
}

/// The Rust files below `directories`.
pub(crate) fn rust(directories: &[&str]) -> Vec<Source> {
    let mut files = files(directories);
    files.retain(|file| file.path.extension().is_some_and(|extension| extension == "rs"));
    files
}

impl Source {
    /// The file's code.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        let stream: TokenStream =
            self.text.parse().unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let mut reader = Reader { tokens: Vec::new(), in_test: false, depth: 0 };
        reader.read(stream);
        reader.tokens
    }

    /// The modules from the root of the crate to this file: `["store", "tasks"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let below_src = self.path.with_extension("");
        let names = below_src.iter().skip(1).map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name != "mod" && name != "lib").collect()
    }
}

struct Reader {
    tokens: Vec<Token>,
    in_test: bool,
    depth: usize,
}

impl Reader {
    fn read(&mut self, stream: TokenStream) {
        let outer = self.in_test;
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            if is_sign(&tree, '#') {
                trees.next_if(|next| is_sign(next, '!'));
                if let Some(TokenTree::Group(attribute)) =
                    trees.next_if(|next| is_group(next, Delimiter::Bracket))
                {
                    self.attribute(&attribute);
                }
                continue;
            }
            // `cfg(test)` holds up to the end of its item.
            let ends_item = is_sign(&tree, ';') || is_group(&tree, Delimiter::Brace);
            let is_path = is_joint(&tree, ':') && trees.next_if(|next| is_sign(next, ':')).is_some();
            self.tree(tree, is_path);
            if ends_item {
                self.in_test = outer;
            }
        }
        self.in_test = outer;
    }

    fn tree(&mut self, tree: TokenTree, is_path: bool) {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => self.group(&group),
            TokenTree::Ident(name) => self.push(Kind::Name, name.to_string(), line),
            TokenTree::Literal(literal) => self.push(Kind::Literal, literal.to_string(), line),
            TokenTree::Punct(_) if is_path => self.push(Kind::Sign, "::".into(), line),
            TokenTree::Punct(sign) => self.push(Kind::Sign, sign.to_string(), line),
        }
    }

    fn attribute(&mut self, attribute: &Group) {
        let text = attribute.stream().to_string().replace(' ', "");
        if text == "cfg(test)" || text == "test" {
            self.in_test = true;
        } else if !text.starts_with("doc=") {
            self.group(attribute);
        }
    }

    fn group(&mut self, group: &Group) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let is_module = open == "{" && self.ends_with_module_name();
        self.depth += usize::from(is_module);
        self.push(Kind::Sign, open.into(), group.span_open().start().line);
        self.read(group.stream());
        self.push(Kind::Sign, close.into(), group.span_close().start().line);
        self.depth -= usize::from(is_module);
    }

    fn ends_with_module_name(&self) -> bool {
        matches!(self.tokens.as_slice(), [.., keyword, name] if keyword.text == "mod" && name.kind == Kind::Name)
    }

    fn push(&mut self, kind: Kind, text: String, line: usize) {
        self.tokens.push(Token { kind, text, line, in_test: self.in_test, depth: self.depth });
    }
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_joint(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign && punct.spacing() == Spacing::Joint)
}

fn is_group(tree: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_read_without_its_prose() {
        let text = "//! doc\n/// doc\n#[derive(A)] fn f() { a::b(\"s\") } // note\n";
        let source = Source { path: "src/a.rs".into(), text: text.into() };
        let words: Vec<String> = source.tokens().into_iter().map(|token| token.text).collect();
        assert_eq!(words.join(" "), "[ derive ( A ) ] fn f ( ) { a :: b ( \"s\" ) }");
    }

    #[test]
    fn test_code_ends_with_its_item() {
        let text = "#[cfg(test)] mod t { fn one() {} } fn two() {} #[cfg(test)] use three; use four;";
        let source = Source { path: "src/a.rs".into(), text: text.into() };
        let found = |name: &str| source.tokens().into_iter().find(|token| token.text == name).unwrap();
        let seen = ["one", "two", "three", "four"].map(|name| (found(name).in_test, found(name).depth));
        assert_eq!(seen, [(true, 1), (false, 0), (true, 0), (false, 0)]);
    }

    #[test]
    fn a_file_knows_its_module() {
        let module = |path: &str| Source { path: path.into(), text: String::new() }.module().join("::");
        let paths = ["src/lib.rs", "src/store/mod.rs", "src/store/tasks.rs", "src/codex/rollout/line.rs"];
        assert_eq!(paths.map(module), ["", "store", "store::tasks", "codex::rollout::line"]);
    }
}
