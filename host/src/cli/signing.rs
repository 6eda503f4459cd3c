//! `looma plugin keygen`, `sign` and `verify`: signatures of components. None of them needs a server.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    clock::Clock,
    ids::Ids,
    plugins::signing::{Required, SigningKey, Trust},
    settings::files,
};

/// What a file with a key begins with.
const FORM: &str = "looma-signing-key";

/// What can be done with signatures.
#[derive(clap::Subcommand)]
pub enum Signing {
    /// Makes a key that plugins are signed with, and prints the line that a server trusts it by.
    Keygen(Keygen),
    /// Signs a component: beside it, in FILE.sig, or inside of it.
    Sign(Sign),
    /// Says who signed a component; fails when none of the keys did.
    Verify(Verify),
}

/// What `looma plugin keygen` takes.
#[derive(clap::Args)]
pub struct Keygen {
    /// The file for the key, which only you will be able to read; OUT.pub will have what others trust it by.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// What people know the key by; the name of the file when absent.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// What `looma plugin sign` takes.
#[derive(clap::Args)]
pub struct Sign {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file that `keygen` made.
    #[arg(long, value_name = "KEY")]
    key: PathBuf,
    /// Puts the signature into the component, in the place of one that is there.
    #[arg(long)]
    embed: bool,
}

/// What `looma plugin verify` takes.
#[derive(clap::Args)]
pub struct Verify {
    /// The component.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A key that is trusted: NAME:KEY, or the file that has it.
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
}

impl Signing {
    pub fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let told = match self {
            Self::Keygen(keygen) => keygen.run()?,
            Self::Sign(sign) => sign.run()?,
            Self::Verify(verify) => verify.run()?,
        };
        Ok(writeln!(out, "{told}")?)
    }
}

impl Keygen {
    fn run(self) -> anyhow::Result<String> {
        let Self { out, name } = self;
        ensure!(!out.exists(), "{} is there already: a key is never overwritten", out.display());
        let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let name = name.unwrap_or(stem);
        let seed: [u8; 32] = Ids::new(Clock::system()).random();
        let public = SigningKey::new(&name, &seed).map_err(anyhow::Error::msg)?.public().to_string();
        files::write_private(&out, &format!("{FORM}:{name}:{}\n", STANDARD.encode(seed)))?;
        let shown = beside(&out, ".pub");
        fs::write(&shown, format!("{public}\n")).with_context(|| format!("could not write {}", shown.display()))?;
        Ok(format!("trusted_keys = [{public:?}]"))
    }
}

impl Sign {
    fn run(self) -> anyhow::Result<String> {
        let Self { file, key, embed } = self;
        let key = read_key(&key)?;
        let wasm = read(&file)?;
        let (to, bytes) = match embed {
            true => (file.clone(), key.embed(&wasm).map_err(|why| anyhow!("{}: {why}", file.display()))?),
            false => (beside(&file, ".sig"), format!("{}\n", key.sign(&wasm)).into_bytes()),
        };
        replace(&to, &bytes).with_context(|| format!("could not write {}", to.display()))?;
        Ok(format!("signed {}: {}", file.display(), to.display()))
    }
}

impl Verify {
    fn run(self) -> anyhow::Result<String> {
        let Self { file, key } = self;
        let keys: Vec<String> = key.iter().map(|key| key_text(key)).collect::<anyhow::Result<_>>()?;
        let trust = Trust::new(&keys, Required::Yes)?;
        let signature = beside(&file, ".sig");
        let signature = if signature.exists() { Some(fs::read_to_string(signature)?) } else { None };
        let wasm = read(&file)?;
        match trust.check(&wasm, signature.as_deref()) {
            Ok(Some(signer)) => Ok(format!("{} is signed by {signer}", file.display())),
            Ok(None) => bail!("{} is not signed", file.display()),
            Err(why) => bail!("{}: {why}", file.display()),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("could not read {}", file.display()))
}

fn read_key(file: &Path) -> anyhow::Result<SigningKey> {
    let text = files::read_private(file, "a key that signs")?;
    let parts: Vec<&str> = text.split(':').collect();
    let &[FORM, name, seed] = parts.as_slice() else {
        bail!("{} is no key that `looma plugin keygen` made", file.display());
    };
    let seed = STANDARD.decode(seed).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let seed = seed.with_context(|| format!("{} does not hold 32 bytes in base64", file.display()))?;
    SigningKey::new(name, &seed).map_err(|why| anyhow!("{}: {why}", file.display()))
}

/// A key as it was given, or what the file of that name holds.
fn key_text(key: &str) -> anyhow::Result<String> {
    match Path::new(key).is_file() {
        true => Ok(fs::read_to_string(key).with_context(|| format!("could not read {key}"))?.trim().to_owned()),
        false => Ok(key.to_owned()),
    }
}

/// `FILE` with something after its name.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Puts a whole file in the place of another, so that nobody reads half of it.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = beside(file, ".new");
    fs::write(&new, bytes)?;
    fs::rename(new, file)
}
