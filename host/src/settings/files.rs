//! The few files that the process keeps beside its database: secrets that their owner alone can read.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

/// Writes a file that its owner alone can read, durably, in the place of what was there.
pub fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut new = file.as_os_str().to_owned();
        new.push(".new");
        let mut open = OpenOptions::new();
        let mut handle = open.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        handle.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        handle.write_all(text.as_bytes())?;
        handle.sync_all()?;
        std::fs::rename(&new, file)?;
        std::fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("could not write {}", file.display()))
}

/// Reads a file that holds a secret, without what space stands around it. One that others can read is refused.
pub fn read_private(file: &Path, what: &str) -> anyhow::Result<String> {
    let read = || format!("could not read {}", file.display());
    let mode = std::fs::metadata(file).with_context(read)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} holds {what} and can be read by others: chmod 600 it", file.display());
    }
    Ok(std::fs::read_to_string(file).with_context(read)?.trim().to_owned())
}

/// Makes a folder that its owner alone can enter, if it is not there.
pub fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("could not make the folder {}", folder.display()))
}

/// A folder that is this process's alone for as long as this lives.
pub struct Claim {
    _lock: File,
}

/// Claims a folder for this process alone. The system ends a claim when the process is killed.
pub fn claim(folder: &Path) -> anyhow::Result<Claim> {
    let file = folder.join("lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file);
    let lock = lock.with_context(|| format!("could not open {}", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(Claim { _lock: lock }),
        Err(TryLockError::WouldBlock) => bail!("another server runs on the data in {}", folder.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("could not lock {}", file.display())),
    }
}

/// Writes a key where there is none; false if there is one by now. No other ever sees half of it.
fn create_private(file: &Path, key: &[u8; 32]) -> anyhow::Result<bool> {
    let code = hex::encode(Sha256::digest(key));
    let own = file.with_extension(&code[..16]);
    write_private(&own, &format!("{}\n", hex::encode(key)))?;
    let linked = std::fs::hard_link(&own, file);
    let removed = std::fs::remove_file(&own);
    match linked {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        done => done.and(removed).map(|()| true).with_context(|| format!("could not write {}", file.display())),
    }
}

/// Reads the signing key, or makes one with `fresh`. A file that others can read is refused.
pub fn signing_key(file: &Path, fresh: impl FnOnce() -> [u8; 32]) -> anyhow::Result<[u8; 32]> {
    private_key(file, "the signing key", fresh)
}

/// As `signing_key`, for another key: `what` names it.
pub fn private_key(file: &Path, what: &str, fresh: impl FnOnce() -> [u8; 32]) -> anyhow::Result<[u8; 32]> {
    if !file.try_exists().with_context(|| format!("could not look for {}", file.display()))? {
        let key = fresh();
        if create_private(file, &key)? {
            return Ok(key);
        }
        // Of replicas that share the file and start at once, all take the key of the first.
    }
    let text = read_private(file, what)?;
    let bytes = hex::decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.with_context(|| format!("{} does not hold 32 bytes in hexadecimal", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many that make the key at once all end up with the same one, and nothing else is left behind.
    #[test]
    fn a_shared_signing_key_is_made_once() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("signing-key");
            let keys = std::thread::scope(|scope| {
                let made = (0..8_u8).map(|n| {
                    scope.spawn({
                        let file = &file;
                        move || signing_key(file, || [n; 32]).unwrap()
                    })
                });
                made.collect::<Vec<_>>().into_iter().map(|made| made.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
            assert_eq!(signing_key(&file, || unreachable!("there is one")).unwrap(), keys[0]);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
