//! Compiling, in a child process with limits: a component can be made so that compiling it never ends or takes all memory,
//! and that must not touch the server. The child is this binary under a hidden subcommand.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, Signal};
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

/// A component that can be linked.
pub struct Compiled {
    /// The component.
    pub component: Component,
    /// How long it took to compile it; `None` when it came from the cache.
    pub took: Option<Duration>,
}

/// Gives the component of `wasm` for `engine`: from the cache, or compiled now and kept there.
pub async fn component(
    compiler: &Compiler,
    cache: &Arc<Cache>,
    engine: &Engine,
    wasm: &Arc<[u8]>,
) -> Result<Compiled, CompileError> {
    let digest = Digest::of(wasm);
    if let Some(component) = from_cache(cache, engine, digest).await? {
        return Ok(Compiled { component, took: None });
    }
    let began = Instant::now();
    let code = compile(compiler, cache, wasm).await?;
    let took = began.elapsed();
    let (cache, engine) = (Arc::clone(cache), engine.clone());
    let component = blocking(move || {
        let kept = cache.store(&engine, digest, &code).and_then(|()| cache.note(&engine, digest, took));
        if let Err(error) = kept {
            // It can serve all the same; the next start compiles it again.
            tracing::warn!(plugin.digest = %digest, error = format!("{error:#}"), "could not keep a compiled component");
        }
        Ok(deserialize(&engine, &code))
    });
    // It was compiled just now, by the host's own compiler: what does not load of it asks for more than an instance may have.
    let component =
        component.await?.map_err(|error| CompileError::Invalid(format!("it does not fit the host: {error:#}")))?;
    Ok(Compiled { component, took: Some(took) })
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

pub(super) fn deserialize(engine: &Engine, code: &[u8]) -> anyhow::Result<Component> {
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
        // Its processor time is less than that: it did not get it.
        return Err(CompileError::Host(anyhow::anyhow!("it was not done in {} seconds", limits.wall.as_secs())));
    };
    let ended = ended.context("could not wait for the compiling process")?;
    if ended.status.success() {
        return Ok(tokio::fs::read(&output).await.context("could not read what was compiled")?);
    }
    Err(why(ended.status, &ended.stderr, limits))
}

/// Whose fault it is that a compilation ended so: the component's, unless it can only be the host's.
fn why(ended: ExitStatus, said: &[u8], limits: CompileLimits) -> CompileError {
    let said = String::from_utf8_lossy(said).trim().chars().take(2_000).collect::<String>();
    let signal = |signal: Signal| ended.signal() == Some(signal.as_raw());
    match ended.code() {
        Some(REJECTED) => CompileError::Invalid(said),
        Some(PANICKED) => CompileError::Invalid(format!("the compiler failed on it: {said}")),
        Some(code) => CompileError::Host(anyhow::anyhow!("the compiling process ended with code {code}: {said}")),
        None if signal(Signal::XCPU) => {
            CompileError::Limit(format!("it may: {} seconds of processor time", limits.cpu.as_secs()))
        }
        // Rust aborts when there is no memory.
        None if signal(Signal::ABORT) || signal(Signal::SEGV) || signal(Signal::BUS) => {
            CompileError::Limit(format!("it may: {} MiB of memory", limits.memory_bytes >> 20))
        }
        None => CompileError::Host(anyhow::anyhow!("the compiling process was killed: {ended}")),
    }
}

const REJECTED: i32 = 3;
/// What a process of Rust ends with that panicked.
const PANICKED: i32 = 101;

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
    let cpu: u64 = cpu.parse().context("CPU_SECONDS is not a number")?;
    let memory = memory.parse().context("MEMORY_BYTES is not a number")?;
    // One second more for the hard limit: the soft one ends it by a signal that nobody else sends.
    limit(Resource::Cpu, cpu, cpu.saturating_add(1))?;
    limit(Resource::As, memory, memory)?;
    limit(Resource::Core, 0, 0)?;
    // Being polite is a wish, not a need.
    let _ = rustix::process::nice(5);
    let wasm = std::fs::read(input).context("could not read the component")?;
    let engine = engine::compiling_engine()?;
    match engine.precompile_component(&wasm) {
        Ok(code) => std::fs::write(output, code).context("could not write what was compiled").map(Ok),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn limit(resource: Resource, soft: u64, hard: u64) -> anyhow::Result<()> {
    let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
    rustix::process::setrlimit(resource, limit).with_context(|| format!("could not set the limit {resource:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_component_did_is_held_against_it() {
        let limits = CompileLimits::default();
        let ended = |raw: i32| why(ExitStatus::from_raw(raw), b"told", limits);
        assert!(matches!(ended(REJECTED << 8), CompileError::Invalid(said) if said == "told"));
        assert!(matches!(ended(PANICKED << 8), CompileError::Invalid(_)));
        assert!(matches!(ended(1 << 8), CompileError::Host(_)), "as when the disk is full");
        assert!(matches!(ended(Signal::XCPU.as_raw()), CompileError::Limit(_)));
        assert!(matches!(ended(Signal::ABORT.as_raw()), CompileError::Limit(_)));
        assert!(matches!(ended(Signal::KILL.as_raw()), CompileError::Host(_)), "as when the machine has no memory");
    }
}
