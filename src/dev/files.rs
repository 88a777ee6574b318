//! Files of the data folder: written whole or not at all, secrets readable by their owner only.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::DevError;

/// Readable and writable by the owner alone.
const PRIVATE: u32 = 0o600;

/// Writes `content` beside `path` and moves it into place, so that a reader sees the old or the new file.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<(), DevError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE)
        .open(&beside)
        .and_then(|mut file| file.write_all(content.as_ref()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| failed("write", path, source))
}

/// The file's text, or nothing when there is no such file.
pub fn read_if_there(path: &Path) -> Result<Option<String>, DevError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("read", path, source)),
    }
}

/// Makes the folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), DevError> {
    fs::create_dir_all(path).map_err(|source| failed("create", path, source))
}

/// Removes a file or a folder with all it holds; what is not there is fine.
pub fn remove(path: &Path) -> Result<(), DevError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, e)),
        _ => Ok(()),
    }
}

pub(super) fn failed(action: &'static str, path: &Path, source: std::io::Error) -> DevError {
    DevError::File { action, path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_alone_and_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        write_private(&path, "one").unwrap();
        write_private(&path, "two").unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some("two"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
