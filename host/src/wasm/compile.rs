//! Compiling, in a child process with limits: a component can be made so that compiling it never ends or takes all memory,
//! and that must not touch the server. The child is this binary under a hidden subcommand.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::{Cache, Digest};
use super::engine;

/// The hidden subcommand that the child process runs.
pub const SUBCOMMAND: &str = "compile-component";

/// Limits of one compilation.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    /// processor time, all threads together
    pub cpu: Duration,
    /// time by the clock
    pub wall: Duration,
    /// address space of the child
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(180), wall: Duration::from_secs(240), memory_bytes: 6 << 30 }
    }
}

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process of this executable; what a server uses.
    Child {
        /// the binary whose `compile-component` subcommand is called
        exe: PathBuf,
        /// what a compilation may use
        limits: CompileLimits,
    },
    /// In this process, for components that are trusted, as in tests and benchmarks.
    InProcess,
}

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component itself is at fault.
    #[error("{0}")]
    Invalid(String),
    /// It took more than a compilation may.
    #[error("compiling it took more than {0}")]
    Limit(String),
    /// The host could not.
    #[error("could not compile it: {0:#}")]
    Host(#[from] anyhow::Error),
}

/// Gives the component of `wasm` for `engine`: from the cache, or compiled now and kept there.
pub async fn component(
    compiler: &Compiler,
    cache: &Arc<Cache>,
    engine: &Engine,
    wasm: &Arc<[u8]>,
) -> Result<Component, CompileError> {
    let digest = Digest::of(wasm);
    if let Some(component) = from_cache(cache, engine, digest).await? {
        return Ok(component);
    }
    let code = compile(compiler, cache, wasm).await?;
    let (cache, engine) = (Arc::clone(cache), engine.clone());
    blocking(move || {
        cache.store(&engine, digest, &code)?;
        deserialize(&engine, &code)
    })
    .await
    .map_err(CompileError::Host)
}

async fn from_cache(cache: &Arc<Cache>, engine: &Engine, digest: Digest) -> Result<Option<Component>, CompileError> {
    let (cache, engine) = (Arc::clone(cache), engine.clone());
    let found = blocking(move || {
        let Some(code) = cache.load(&engine, digest)? else {
            return Ok(None);
        };
        match deserialize(&engine, &code) {
            Ok(component) => Ok(Some(component)),
            Err(error) => {
                tracing::warn!(plugin.digest = %digest, %error, "a cached component does not load, compiling it again");
                Ok(None)
            }
        }
    });
    found.await.map_err(CompileError::Host)
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> anyhow::Result<R> + Send + 'static) -> anyhow::Result<R> {
    tokio::task::spawn_blocking(work).await.context("a blocking task did not end")?
}

fn deserialize(engine: &Engine, code: &[u8]) -> anyhow::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "machine code is run as it is; only bytes whose seal the cache has verified come here"
    )]
    // SAFETY: `code` was made by our own compiler, either just now or under a seal made with a key that only this host has.
    let component = unsafe { Component::deserialize(engine, code) };
    component.map_err(engine::told)
}

async fn compile(compiler: &Compiler, cache: &Cache, wasm: &Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    match compiler {
        Compiler::Child { exe, limits } => in_child(exe, *limits, cache, wasm).await,
        Compiler::InProcess => {
            let wasm = Arc::clone(wasm);
            let done = tokio::task::spawn_blocking(move || {
                let engine = engine::compiling_engine()?;
                anyhow::Ok(engine.precompile_component(&wasm).map_err(|error| format!("{error:#}")))
            });
            done.await.context("the compilation did not end")??.map_err(CompileError::Invalid)
        }
    }
}

async fn in_child(exe: &Path, limits: CompileLimits, cache: &Cache, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let _turn = cache.turn().await;
    let scratch = cache.scratch(Digest::of(wasm)).context("could not make a scratch folder")?;
    let (input, output) = (scratch.path().join("in.wasm"), scratch.path().join("out.cwasm"));
    tokio::fs::write(&input, wasm).await.context("could not write the component for compiling")?;
    let mut command = tokio::process::Command::new(exe);
    command
        .arg(SUBCOMMAND)
        .args([&input, &output])
        .arg(limits.cpu.as_secs().max(1).to_string())
        .arg(limits.memory_bytes.to_string())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = command.spawn().with_context(|| format!("could not start {}", exe.display()))?;
    let Ok(ended) = tokio::time::timeout(limits.wall, child.wait_with_output()).await else {
        return Err(CompileError::Limit(format!("{} seconds", limits.wall.as_secs())));
    };
    let ended = ended.context("could not wait for the compiling process")?;
    if ended.status.success() {
        return Ok(tokio::fs::read(&output).await.context("could not read what was compiled")?);
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().chars().take(2_000).collect::<String>();
    Err(match ended.status.code() {
        Some(REJECTED) => CompileError::Invalid(said),
        Some(code) => CompileError::Host(anyhow::anyhow!("the compiling process ended with code {code}: {said}")),
        None => CompileError::Limit(format!(
            "it may: {} seconds of processor time and {} MiB of memory",
            limits.cpu.as_secs(),
            limits.memory_bytes >> 20
        )),
    })
}

const REJECTED: i32 = 3;

/// The child's side: `IN OUT CPU_SECONDS MEMORY_BYTES`. Limits itself, compiles, writes the result.
pub fn compile_child_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let [input, output, cpu, memory] = arguments.as_slice() else {
        eprintln!("{SUBCOMMAND} takes IN OUT CPU_SECONDS MEMORY_BYTES");
        return ExitCode::from(2);
    };
    match compile_child(Path::new(input), Path::new(output), &cpu.to_string_lossy(), &memory.to_string_lossy()) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(rejected)) => {
            eprintln!("{rejected}");
            ExitCode::from(REJECTED as u8)
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compile_child(input: &Path, output: &Path, cpu: &str, memory: &str) -> anyhow::Result<Result<(), String>> {
    limit(Resource::Cpu, cpu.parse().context("CPU_SECONDS is not a number")?)?;
    limit(Resource::As, memory.parse().context("MEMORY_BYTES is not a number")?)?;
    limit(Resource::Core, 0)?;
    // Being polite is a wish, not a need.
    let _ = rustix::process::nice(5);
    let wasm = std::fs::read(input).context("could not read the component")?;
    let engine = engine::compiling_engine()?;
    match engine.precompile_component(&wasm) {
        Ok(code) => std::fs::write(output, code).context("could not write what was compiled").map(Ok),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn limit(resource: Resource, most: u64) -> anyhow::Result<()> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(resource, limit).with_context(|| format!("could not set the limit {resource:?}"))
}
