//! A listening unix socket that only its owner can open, from its first moment.
//!
//! std binds with the mode that the umask leaves, and the umask is the whole process's. Linux gives the file the mode
//! that the socket has when it is bound. Read first: unix(7).

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::ptr;

use super::check;

/// Connections that wait to be accepted.
const BACKLOG: libc::c_int = 16;

/// Mode 0600; the path must not exist.
pub fn listen_private(path: &Path) -> io::Result<UnixListener> {
    let name = name_of(path)?;
    // SAFETY: the descriptor is new and ours alone; `name` lives through the call and has the size given.
    unsafe {
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0))?);
        check(libc::fchmod(fd.as_raw_fd(), 0o600))?;
        check(libc::bind(fd.as_raw_fd(), ptr::from_ref(&name).cast(), mem::size_of_val(&name) as _))?;
        check(libc::listen(fd.as_raw_fd(), BACKLOG))?;
        Ok(fd.into())
    }
}

/// The path with a zero behind it, which must fit.
fn name_of(path: &Path) -> io::Result<libc::sockaddr_un> {
    // SAFETY: a structure of integers, for which zeros are valid.
    let mut name: libc::sockaddr_un = unsafe { mem::zeroed() };
    name.sun_family = libc::AF_UNIX as _;
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() >= name.sun_path.len() {
        let limit = name.sun_path.len() - 1;
        let message = format!("the path must have 1 to {limit} bytes and no zero among them");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for (to, from) in name.sun_path.iter_mut().zip(bytes) {
        *to = *from as _;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_socket_is_private_and_takes_connections_and_refuses_a_taken_path() {
        let path = std::env::temp_dir().join(format!("quicap-unix-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = listen_private(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(listen_private(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn paths_that_do_not_fit_are_refused() {
        for path in ["", "a\0b", "x".repeat(108).as_str()] {
            assert_eq!(listen_private(Path::new(path)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
