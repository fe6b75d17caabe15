//! Programs from the system's package manager.

use crate::error::{Error, Result};
use crate::process::{installed, run};
use std::process::Command;

/// A package manager and what it calls things.
struct Manager {
    program: &'static str,
    install: &'static [&'static str],
    node_has_npm: bool,
}

const APT: Manager = Manager {
    program: "apt-get",
    install: &["install", "-y", "--no-install-recommends"],
    node_has_npm: false,
};
const BREW: Manager = Manager { program: "brew", install: &["install"], node_has_npm: true };

impl Manager {
    /// The package that brings `program`.
    fn package(&self, program: &str) -> &'static str {
        match program {
            "node" if self.node_has_npm => "node",
            "node" => "nodejs",
            "npm" if self.node_has_npm => "node",
            "npm" => "npm",
            "chromium" => "chromium",
            _ => "tmux",
        }
    }

    /// The arguments that install every one of `programs`, each package once.
    fn arguments(&self, programs: &[&str]) -> Vec<&'static str> {
        let mut arguments = self.install.to_vec();
        for program in programs {
            let package = self.package(program);
            if !arguments.contains(&package) {
                arguments.push(package);
            }
        }
        arguments
    }
}

/// Makes sure that each of `programs` (`tmux`, `node`, `npm`, `chromium`) is on `PATH`.
///
/// Installs with `apt-get` when this is root on Debian or Ubuntu; elsewhere the error carries the
/// command to type, because installing software for a person is the person's decision.
pub(crate) fn ensure(programs: &[&str]) -> Result {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if installed(APT.program) && rustix::process::geteuid().is_root() {
        run(apt().arg("update"))?;
        return run(apt().args(APT.arguments(&missing)));
    }
    Err(Error::Missing { install: advice(&missing), programs: missing.iter().map(|p| (*p).into()).collect() })
}

fn apt() -> Command {
    let mut command = Command::new(APT.program);
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
    command
}

fn advice(missing: &[&str]) -> String {
    if installed(APT.program) {
        let (apt, arguments) = (APT.program, APT.arguments(missing).join(" "));
        return format!("sudo {apt} update && sudo {apt} {arguments}");
    }
    format!("{} {}", BREW.program, BREW.arguments(missing).join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_named_once() {
        fn check(manager: &Manager, programs: &[&str], expect: &str) {
            assert_eq!(manager.arguments(programs).join(" "), expect);
        }
        check(&BREW, &["tmux", "node", "npm"], "install tmux node");
        check(&BREW, &["npm"], "install node");
        check(&APT, &["node", "npm"], "install -y --no-install-recommends nodejs npm");
        check(&APT, &["tmux"], "install -y --no-install-recommends tmux");
        check(&APT, &["chromium"], "install -y --no-install-recommends chromium");
    }

    #[test]
    fn nothing_missing_needs_nothing() {
        assert!(ensure(&["sh"]).is_ok());
    }
}
