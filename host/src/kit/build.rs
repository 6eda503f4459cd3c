//! `looma plugin build`: from a crate to a component. Cargo compiles for `wasm32-unknown-unknown`, so that the module imports
//! nothing but what its world names, and `wit-component` makes a component of it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

/// Makes plugins small and quick, whatever their own profile says. Vectors of 128 bits are in every runtime of components.
const PROFILE: [&str; 7] = [
    "target.wasm32-unknown-unknown.rustflags=[\"-Ctarget-feature=+simd128\"]",
    "profile.release.lto=true",
    "profile.release.codegen-units=1",
    "profile.release.panic=\"abort\"",
    "profile.release.strip=true",
    "profile.release.debug=false",
    "profile.release.opt-level=3",
];

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// name of the plugin
    pub name: String,
    /// where the component is
    pub file: PathBuf,
    /// whether it differs from what was there
    pub is_new: bool,
}

/// Builds the plugin crate in `folder` into `out`.
pub async fn build(folder: &Path, out: &Path) -> anyhow::Result<Built> {
    let manifest = folder.join("Cargo.toml");
    let manifest = fs::canonicalize(&manifest).with_context(|| format!("there is no crate in {}", folder.display()))?;
    let metadata = metadata(&manifest).await?;
    let package = metadata.packages.iter().find(|package| package.manifest_path == manifest && package.is_plugin());
    let package = package.with_context(|| {
        format!("{} is not a plugin crate: it needs crate-type = [\"cdylib\"] under [lib]", folder.display())
    })?;
    let built = build_packages(&metadata, &manifest, &[package], out).await?;
    built.into_iter().next().context("nothing was built")
}

/// Builds the plugin crate in `folder` into its own target folder, for what only needs the component.
pub async fn build_in_place(folder: &Path) -> anyhow::Result<Built> {
    let manifest = folder.join("Cargo.toml");
    let manifest = fs::canonicalize(&manifest).with_context(|| format!("there is no crate in {}", folder.display()))?;
    let out = metadata(&manifest).await?.target_directory.join("plugins/components");
    build(folder, &out).await
}

/// Builds every plugin crate under `WORKSPACE/plugins` into `out`, in one go.
pub async fn build_bundled(workspace: &Path, out: &Path) -> anyhow::Result<Vec<Built>> {
    let manifest = workspace.join("Cargo.toml");
    let manifest =
        fs::canonicalize(&manifest).with_context(|| format!("there is no workspace in {}", workspace.display()))?;
    let metadata = metadata(&manifest).await?;
    let folder = metadata.workspace_root.join("plugins");
    let bundled =
        metadata.packages.iter().filter(|package| package.is_plugin() && package.manifest_path.starts_with(&folder));
    let bundled: Vec<&Package> = bundled.collect();
    ensure!(!bundled.is_empty(), "there is no plugin crate in {}", folder.display());
    build_packages(&metadata, &manifest, &bundled, out).await
}

/// Makes a component of a core module that carries its component types.
pub fn componentize(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(module).context("the module does not say what it is for")?;
    encoder.encode().context("could not make a component of the module")
}

async fn build_packages(
    metadata: &Metadata,
    manifest: &Path,
    packages: &[&Package],
    out: &Path,
) -> anyhow::Result<Vec<Built>> {
    ensure_target().await?;
    // Apart from the host's own, so that the two never wait for each other's lock nor undo each other's work.
    let target = metadata.target_directory.join("plugins");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target);
    cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    cargo.args(packages.iter().flat_map(|package| ["--package", &package.name]));
    // Flags for the host's machine are wrong for this one.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut cargo).await?;
    fs::create_dir_all(out).with_context(|| format!("could not make the folder {}", out.display()))?;
    let modules = target.join(TARGET).join("release");
    packages.iter().map(|package| finish(package, &modules, out)).collect()
}

fn finish(package: &Package, modules: &Path, out: &Path) -> anyhow::Result<Built> {
    let name = package.plugin_name();
    let module = modules.join(format!("{}.wasm", package.library().replace('-', "_")));
    let module = fs::read(&module).with_context(|| format!("cargo built no {}", module.display()))?;
    let component = componentize(&module).with_context(|| format!("plugin {name:?}"))?;
    let file = out.join(format!("{name}.wasm"));
    let is_new = write_if_changed(&file, &component)?;
    Ok(Built { name: name.to_owned(), file, is_new })
}

/// Puts `bytes` into `file` at once, and only when they differ, so that a watcher sees whole files and real changes alone.
pub fn write_if_changed(file: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(file).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let name = file.file_name().context("not the name of a file")?.to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut open| {
        open.write_all(bytes)?;
        open.sync_all()
    });
    written
        .and_then(|()| fs::rename(&temporary, file))
        .with_context(|| format!("could not write {}", file.display()))?;
    Ok(true)
}

async fn ensure_target() -> anyhow::Result<()> {
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"])).await?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    tracing::info!("installing the compiler's target {TARGET}");
    run(Command::new("rustup").args(["target", "add", TARGET])).await.map(|_| ()).with_context(|| {
        format!(
            "plugins are compiled for {TARGET}, which this compiler lacks; install it with `rustup target add {TARGET}`"
        )
    })
}

async fn run(command: &mut Command) -> anyhow::Result<Output> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("could not start {program}; is it installed?"))?;
    if !output.status.success() {
        bail!("{program} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output)
}

async fn metadata(manifest: &Path) -> anyhow::Result<Metadata> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = run(&mut cargo).await?;
    serde_json::from_slice(&output.stdout).context("could not read what cargo says about the crate")
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Package {
    fn is_plugin(&self) -> bool {
        self.targets.iter().any(Target::is_module)
    }

    fn library(&self) -> &str {
        self.targets.iter().find(|target| target.is_module()).map_or(&self.name, |target| &target.name)
    }

    /// `[package.metadata.looma] name`, else the package's name.
    fn plugin_name(&self) -> &str {
        let named =
            self.metadata.as_ref().and_then(|metadata| metadata.pointer("/looma/name")).and_then(|name| name.as_str());
        named.unwrap_or(&self.name)
    }
}

impl Target {
    fn is_module(&self) -> bool {
        self.crate_types.iter().any(|crate_type| crate_type == "cdylib")
    }
}
