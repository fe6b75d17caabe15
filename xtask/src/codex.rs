//! The pinned Codex CLI: `xtask/codex/` names the version and the hashes, npm fetches it.

use crate::error::{Error, Result};
use crate::process::run;
use std::env::consts::{ARCH, OS};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The two files npm reads; compiled in, so that a change of the pin rebuilds this program.
const MANIFEST: (&str, &str) = ("package.json", include_str!("../codex/package.json"));
const LOCK: (&str, &str) = ("package-lock.json", include_str!("../codex/package-lock.json"));

/// Whether the tests would find no Codex of the pinned version.
pub(crate) fn is_missing() -> bool {
    env::var_os("CONVEYOR_TEST_CODEX").is_none() && !is_fetched(&home())
}

/// Fetches Codex into `target/tools/codex`. `native` there links to the platform's own tree, whose
/// `bin/codex` runs without Node.
pub(crate) fn fetch() -> Result {
    let home = home();
    fs::create_dir_all(&home).map_err(write_error(&home))?;
    let _ = fs::remove_file(home.join("native"));
    write(&home, MANIFEST)?;
    write(&home, LOCK)?;
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&home))?;
    link_native(&home)
}

fn home() -> PathBuf {
    crate::root().join("target/tools/codex")
}

/// The link is made last, so that it proves a complete fetch; the lock says of which version.
fn is_fetched(home: &Path) -> bool {
    let (lock, pinned) = LOCK;
    home.join("native/bin/codex").is_file()
        && fs::read_to_string(home.join(lock)).is_ok_and(|fetched| fetched == pinned)
}

fn write(home: &Path, (name, content): (&str, &str)) -> Result {
    let path = home.join(name);
    fs::write(&path, content).map_err(write_error(&path))
}

fn link_native(home: &Path) -> Result {
    let native = native_tree(OS, ARCH);
    if !home.join(&native).join("bin/codex").is_file() {
        return Err(Error::NoCodex(home.join(native)));
    }
    let link = home.join("native");
    std::os::unix::fs::symlink(native, &link).map_err(write_error(&link))
}

/// Where the platform package of Codex keeps its programs, seen from the npm prefix.
fn native_tree(os: &str, arch: &str) -> String {
    let (npm_os, triple_os) =
        if os == "macos" { ("darwin", "apple-darwin") } else { (os, "unknown-linux-musl") };
    let npm_arch = if arch == "x86_64" { "x64" } else { "arm64" };
    format!("node_modules/@openai/codex-{npm_os}-{npm_arch}/vendor/{arch}-{triple_os}")
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_has_its_tree() {
        fn check(os: &str, arch: &str, expect: &str) {
            assert_eq!(native_tree(os, arch), format!("node_modules/@openai/{expect}"));
        }
        check("linux", "x86_64", "codex-linux-x64/vendor/x86_64-unknown-linux-musl");
        check("linux", "aarch64", "codex-linux-arm64/vendor/aarch64-unknown-linux-musl");
        check("macos", "aarch64", "codex-darwin-arm64/vendor/aarch64-apple-darwin");
        check("macos", "x86_64", "codex-darwin-x64/vendor/x86_64-apple-darwin");
    }

    #[test]
    fn a_fetch_counts_only_when_complete_and_of_the_pinned_version() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join(native_tree(OS, ARCH)).join("bin");
        assert!(matches!(link_native(home.path()), Err(Error::NoCodex(_))));
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("codex"), "").unwrap();
        write(home.path(), LOCK).unwrap();
        assert!(!is_fetched(home.path()), "without the link");
        link_native(home.path()).unwrap();
        assert!(is_fetched(home.path()));
        write(home.path(), (LOCK.0, "{}")).unwrap();
        assert!(!is_fetched(home.path()), "of another version");
    }
}
