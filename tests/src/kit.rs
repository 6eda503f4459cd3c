//! The author's kit, as authors call it.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::{plugins::looma_binary, root};

/// What a subcommand said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output, if the exit code is this one; fails with all that was said if it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self.out
    }
}

/// Runs `looma plugin …` in `folder`. Nothing is fetched: what projects need, the workspace has.
pub fn plugin(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(looma_binary());
    command.arg("plugin").args(arguments).current_dir(folder).env("CARGO_NET_OFFLINE", "true");
    // The folder of the test, so that nobody's own is written to.
    command.env("XDG_CACHE_HOME", root().join("target/kit-cache"));
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Lets a project outside of the workspace use what was compiled for it before, and the versions that it is tested with.
pub fn adopt(project: &Path) {
    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).expect("the lock file is there");
    let (built, target) = (root().join("target/plugins"), project.join("target"));
    std::fs::create_dir_all(&built).expect("the folder of what is built is there");
    std::fs::create_dir(&target).expect("a folder is made");
    std::os::unix::fs::symlink(built, target.join("plugins")).expect("a link is made");
}
