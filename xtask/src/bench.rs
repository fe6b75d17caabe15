//! `cargo xtask bench NAME`: one benchmark, optimised.

use crate::error::{Error, Result};
use crate::process::{cargo, run};
use std::fs;
use std::path::Path;

/// Runs the benchmark `benches/NAME.rs` and passes `args` to it.
pub(crate) fn bench(name: &str, args: &[String]) -> Result {
    let known = names(&crate::root().join("benches"));
    if !known.iter().any(|bench| bench == name) {
        let known = if known.is_empty() { "nothing".into() } else { known.join(", ") };
        return Err(Error::NoBench { name: name.into(), known });
    }
    run(cargo().args(["bench", "--package", "conveyor", "--bench", name, "--"]).args(args))
}

/// The benchmarks of a directory, in order; none when there is no such directory.
fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    let stems = files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".rs")?.to_owned()));
    let mut names: Vec<String> = stems.collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn benchmarks_are_the_rust_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["throughput.rs", "latency.rs", "notes.md"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(names(directory.path()), ["latency", "throughput"]);
        assert!(names(&directory.path().join("absent")).is_empty());
    }

    #[test]
    fn an_unknown_name_is_refused_before_anything_is_built() {
        let error = bench("no-such-benchmark", &[]).unwrap_err();
        assert!(error.to_string().starts_with("no benchmark `no-such-benchmark`; benches/ has: "), "{error}");
    }
}
