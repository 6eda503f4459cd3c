//! A copy of the plugins' sources that a test may change, and the bundled plugins, built once.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The folder of this workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the workspace").to_owned()
}

/// A workspace with the sources of the plugins alone.
pub struct Workspace {
    dir: tempfile::TempDir,
}

impl Workspace {
    /// Copies `plugins`, `wit` and the manifests. What was compiled of others' crates before is used again.
    pub fn copy() -> Self {
        let dir = tempfile::tempdir().expect("a folder is made");
        copy(&root().join("plugins"), &dir.path().join("plugins"));
        copy(&root().join("wit"), &dir.path().join("wit"));
        std::fs::copy(root().join("Cargo.lock"), dir.path().join("Cargo.lock")).expect("the lock file is there");
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
        let lines = manifest.lines().map(|line| match line {
            line if line.starts_with("members = ") => "members = [\"plugins/*\"]",
            line if line.starts_with("default-members = ") => "",
            line => line,
        });
        let manifest: String = lines.map(|line| format!("{line}\n")).collect();
        std::fs::write(dir.path().join("Cargo.toml"), manifest).expect("the manifest is written");
        let built = root().join("target/plugins");
        std::fs::create_dir_all(&built).expect("the folder of what is built is there");
        std::fs::create_dir(dir.path().join("target")).expect("a folder is made");
        std::os::unix::fs::symlink(built, dir.path().join("target/plugins")).expect("a link is made");
        Self { dir }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Changes a source: `from`, which must be there, becomes `to`.
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let path = self.dir.path().join(file);
        let text = std::fs::read_to_string(&path).expect("the source is there");
        assert!(text.contains(from), "{file} has no {from:?}");
        std::fs::write(path, text.replace(from, to)).expect("the source is written");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder is made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).expect("the folder is read");
        match path.is_dir() {
            true if name == "target" => {}
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).expect("the file is copied")),
        }
    }
}

/// The folder with the bundled plugins, built by `binary` once for all tests of this process.
pub fn bundled(binary: &Path) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let out = root().join("target/bundled");
        let mut command = Command::new(binary);
        command.args(["plugin", "build", "--bundled", "--out"]).arg(&out).current_dir(root()).stdin(Stdio::null());
        let built = command.output().expect("the binary starts");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        out
    })
}
