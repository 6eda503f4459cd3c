//! The host's own store of compiled components: named by what was compiled and for which engine, sealed with a key that lies
//! beside it. Compiled code is machine code, so nothing is used whose seal does not fit, and nothing from elsewhere.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::Engine;

type Seal = Hmac<Sha256>;

/// SHA-256 of a component's file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).ok()?;
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A folder of compiled components.
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    turns: Semaphore,
}

/// Components that are compiled at once: each may take all the memory that a compilation may.
const AT_ONCE: usize = 4;

/// What is known of how a component was compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// how long it took, by the clock
    pub took: Option<Duration>,
    /// how large the code is
    pub bytes: Option<u64>,
}

/// A folder that is removed when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is swept at the next start.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How old something half-written is before nobody can be writing it any more.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

impl Cache {
    /// Opens the cache in `folder`. `fresh_key` becomes its key when it has none yet.
    pub fn open(folder: &Path, fresh_key: [u8; 32]) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("could not make the folder {}", folder.display()))?;
        let key = read_or_make_key(&folder.join("key"), fresh_key)?;
        let cache = Self { folder: folder.to_owned(), key, turns: Semaphore::new(AT_ONCE) };
        cache.sweep();
        Ok(cache)
    }

    /// The compiled code of `digest` for `engine`, when it is there and its seal fits.
    pub fn load(&self, engine: &Engine, digest: Digest) -> anyhow::Result<Option<Vec<u8>>> {
        let name = name(engine, digest);
        let code = match fs::read(self.folder.join(&name)) {
            Ok(code) => code,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("could not read {name}")),
        };
        let seal = fs::read(self.folder.join(format!("{name}.seal"))).unwrap_or_default();
        if self.seal(&name, &code)?.verify_slice(&seal).is_err() {
            tracing::warn!(plugin.digest = %digest, "a cached component is not as it was written, compiling it again");
            return Ok(None);
        }
        Ok(Some(code))
    }

    /// Keeps compiled code.
    pub fn store(&self, engine: &Engine, digest: Digest, code: &[u8]) -> anyhow::Result<()> {
        let name = name(engine, digest);
        let seal = self.seal(&name, code)?.finalize().into_bytes();
        self.write(&name, code)?;
        self.write(&format!("{name}.seal"), &seal)
    }

    /// A turn to compile something.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// Notes how long compiling took, for people to read.
    pub fn note(&self, engine: &Engine, digest: Digest, took: Duration) -> anyhow::Result<()> {
        self.write(&format!("{}.ms", name(engine, digest)), took.as_millis().to_string().as_bytes())
    }

    /// What is known of compiling `digest`: how long it took, and how large its code is. Nothing, before it was compiled.
    pub fn known(&self, engine: &Engine, digest: Digest) -> Known {
        let name = name(engine, digest);
        let took = fs::read_to_string(self.folder.join(format!("{name}.ms"))).ok();
        let code = fs::metadata(self.folder.join(&name)).ok();
        let took = took.and_then(|text| text.parse().ok()).map(Duration::from_millis);
        Known { took, bytes: code.map(|code| code.len()) }
    }

    /// A folder of one's own beside the compiled components.
    pub fn scratch(&self, digest: Digest) -> anyhow::Result<Scratch> {
        let folder = self.folder.join(format!("tmp-{}-{}", digest, self.next()));
        fs::create_dir_all(&folder)?;
        Ok(Scratch(folder))
    }

    fn seal(&self, name: &str, code: &[u8]) -> anyhow::Result<Seal> {
        let mut seal = Seal::new_from_slice(&self.key).context("the key of the plugin cache has a wrong length")?;
        seal.update(name.as_bytes());
        seal.update(&[0]);
        seal.update(code);
        Ok(seal)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let temporary = self.folder.join(format!("tmp-{name}-{}", self.next()));
        let mut file = File::create(&temporary).context("could not write to the plugin cache")?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.folder.join(name)).context("could not put a file into the plugin cache")
    }

    /// A name that no other process and no other cache of this one uses: several may share the folder.
    fn next(&self) -> String {
        static FILES: AtomicU64 = AtomicU64::new(0);
        format!("{}-{}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed))
    }

    /// Removes what a stopped process left half-written; what is younger may be another's, who is at it.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("tmp-")) {
            let path = entry.path();
            let age = entry.metadata().ok().and_then(|data| data.modified().ok()?.elapsed().ok());
            if age.is_none_or(|age| age < LEFT_BEHIND) {
                continue;
            }
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// The key of the folder. Whoever comes first puts a whole one there; everybody else reads that.
fn read_or_make_key(path: &Path, fresh: [u8; 32]) -> anyhow::Result<[u8; 32]> {
    let read = || -> anyhow::Result<Option<[u8; 32]>> {
        match fs::read(path) {
            Ok(key) => Ok(Some(key.try_into().ok().context("the key of the plugin cache is not 32 bytes long")?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("could not read the key of the plugin cache"),
        }
    };
    if let Some(key) = read()? {
        return Ok(key);
    }
    let made = path.with_extension(hex::encode(&fresh[..8]));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&made)?;
    file.write_all(&fresh)?;
    file.sync_all()?;
    let linked = fs::hard_link(&made, path);
    fs::remove_file(&made)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).context("could not make the key of the plugin cache")
        }
        _ => read()?.context("the key of the plugin cache is gone"),
    }
}

fn name(engine: &Engine, digest: Digest) -> String {
    let mut hash = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hash);
    let engine = hex::encode(&hash.0.finalize()[..8]);
    format!("{digest}-{engine}.cwasm")
}

/// A hasher whose result is the same in each process, unlike the standard library's promise.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
    }
}
