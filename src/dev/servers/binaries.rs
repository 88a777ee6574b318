//! Where the servers' executables are, and which Debian package brings one that is missing.

use std::path::PathBuf;

use crate::dev::DevError;

/// Places beside `PATH` where Debian and others put servers; an ordinary user's `PATH` lacks them.
const MORE_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/sbin"];

/// A server's executable: its names, newest first, and its Debian package.
pub struct Binary {
    names: &'static [&'static str],
    package: &'static str,
}

pub(super) const MARIADBD: Binary = Binary { names: &["mariadbd", "mysqld"], package: "mariadb-server" };
pub(super) const MARIADB_INSTALL: Binary =
    Binary { names: &["mariadb-install-db", "mysql_install_db"], package: "mariadb-server" };
pub(super) const REDIS: Binary = Binary { names: &["redis-server", "valkey-server"], package: "redis-server" };
pub const PDNS: Binary = Binary { names: &["pdns_server"], package: "pdns-server pdns-backend-mysql" };

impl Binary {
    /// Its full path.
    pub fn find(&self) -> Result<PathBuf, DevError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = || std::env::split_paths(&path).chain(MORE_FOLDERS.iter().map(PathBuf::from));
        self.names
            .iter()
            .flat_map(|name| folders().map(move |folder| folder.join(name)))
            .find(|candidate| candidate.is_file())
            .ok_or(DevError::BinaryMissing { binary: self.names[0], package: self.package })
    }
}

/// The first server that is not installed, if any.
pub fn missing() -> Option<DevError> {
    [MARIADBD, MARIADB_INSTALL, REDIS, PDNS].iter().find_map(|binary| binary.find().err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_names_its_package() {
        let none = Binary { names: &["no-such-server"], package: "some-package" };
        let error = none.find().unwrap_err().to_string();
        assert_eq!(error, "no-such-server is not installed; run scripts/up, or apt-get install some-package");
    }
}
