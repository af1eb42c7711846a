//! The control socket: one line asks, one text answers. Reading verbs only; nothing can be changed through it.
//!
//! What the answer says comes from the event loop, which gets a [`Request`]. There are no time limits, for there is one
//! timer only and it is not for clients: who says nothing is put out when others want the place.

#![allow(clippy::disallowed_methods, reason = "after a failed accept it waits a moment")]

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use smol::channel::{self, Sender};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor, Task};

use super::{doctor, dot, metrics, table};
use crate::node::status::Status;
use crate::sys::Error;
use crate::sys::timer::Timer;
use crate::sys::unix;

/// Clients at the same time. Full: the one that came first is put out.
const CLIENTS: usize = 4;
/// Longest request, bytes.
const REQUEST_MAX: usize = 4096;
/// After an accept that failed (out of descriptors, say), nothing is accepted for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the status is wanted for programs, for people, as a picture or for Prometheus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `status`: JSON.
    Status,
    /// `table`: text for a terminal.
    Table,
    /// `dot`: the graph for Graphviz.
    Dot,
    /// `metrics`: Prometheus text.
    Metrics,
    /// `doctor`: what the status means.
    Doctor,
}

/// A client waits for the status.
pub struct Request {
    verb: Verb,
    reply: Sender<String>,
}

impl Request {
    /// Gives the client its answer; if it has gone, nothing happens.
    pub fn answer(self, status: &Status) {
        let text = match self.verb {
            Verb::Status => status.to_json() + "\n",
            Verb::Table => table::render(status),
            Verb::Dot => dot::render(status),
            Verb::Metrics => metrics::render(status),
            Verb::Doctor => doctor::render(status),
        };
        let _ = self.reply.try_send(text);
    }
}

/// The socket, ready to be served by [`serve`].
pub type Listener = Async<UnixListener>;

/// Makes the directory that the socket, its lock and its neighbors live in, if it is missing (mode 0755).
pub fn make_directory(socket: &Path) -> Result<(), Error> {
    let Some(directory) = socket.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(|source| Error::System { doing: format!("directory {}", directory.display()), source })
}

/// Where the lock is that whoever calls [`listen`] holds.
pub fn lock_path(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Makes the socket, mode 0600 from its first moment. The caller holds the lock, so a socket that is there was left by
/// a daemon that is no more, and is replaced; anything else that is there is not ours to remove.
pub fn listen(path: &Path) -> Result<Listener, Error> {
    let bound = remove_stale(path).and_then(|()| unix::listen_private(path)).and_then(Async::new);
    bound.map_err(|source| Error::System { doing: format!("control socket {}", path.display()), source })
}

/// Serves clients for ever; ends when nobody takes requests any more.
pub async fn serve(listener: Listener, requests: Sender<Request>) {
    let executor = LocalExecutor::new();
    let accepting = accept(&executor, &listener, &requests);
    if let Err(error) = executor.run(accepting).await {
        log::error!("control socket: {error}: status cannot be asked for any more");
    }
}

/// Takes clients, each into a task of its own. Fails only when the timer cannot be had.
async fn accept<'a>(
    executor: &LocalExecutor<'a>,
    listener: &Listener,
    requests: &Sender<Request>,
) -> io::Result<()> {
    let pause = Async::new(Timer::new()?)?;
    let mut clients: VecDeque<Task<io::Result<()>>> = VecDeque::with_capacity(CLIENTS);
    while !requests.is_closed() {
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.retain(|client| !client.is_finished());
                if clients.len() >= CLIENTS {
                    clients.pop_front();
                }
                clients.push_back(executor.spawn(converse(stream, requests.clone())));
            }
            Err(error) => {
                log::warn!("control socket: {error}");
                pause.get_ref().set(Some(Instant::now() + PAUSE))?;
                pause.readable().await?;
                pause.get_ref().clear();
            }
        }
    }
    Ok(())
}

/// One client: its line, its answer, the end. What goes wrong with it concerns nobody else.
async fn converse(mut stream: Async<UnixStream>, requests: Sender<Request>) -> io::Result<()> {
    let Some(line) = read_line(&mut stream).await? else { return Ok(()) };
    let text = match line.trim_ascii() {
        b"status" => ask(Verb::Status, &requests).await,
        b"table" => ask(Verb::Table, &requests).await,
        b"dot" => ask(Verb::Dot, &requests).await,
        b"metrics" => ask(Verb::Metrics, &requests).await,
        b"doctor" => ask(Verb::Doctor, &requests).await,
        _ => "error: unknown request: expected status, table, dot, metrics or doctor\n".to_owned(),
    };
    stream.write_all(text.as_bytes()).await
}

async fn ask(verb: Verb, requests: &Sender<Request>) -> String {
    let (reply, answer) = channel::bounded(1);
    let sent = requests.send(Request { verb, reply }).await;
    match (sent, answer.recv().await) {
        (Ok(()), Ok(text)) => text,
        _ => "error: the daemon is ending\n".to_owned(),
    }
}

/// Up to the first line end, or what came before the client closed its side; `None` for a line that is too long.
async fn read_line(stream: &mut Async<UnixStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut piece = [0; 256];
    while line.len() <= REQUEST_MAX {
        let n = stream.read(&mut piece).await?;
        line.extend_from_slice(&piece[..n]);
        if let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            line.truncate(end);
            return Ok(Some(line));
        }
        if n == 0 {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists and is not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::status::sample;
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    /// A directory of its own for each test, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("quicap-socket-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("run/home.sock")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Serves the sample status while `client` runs.
    fn while_serving(path: &Path, client: impl FnOnce() + Send + 'static) {
        make_directory(path).unwrap();
        let listener = listen(path).unwrap();
        let (requests, queue) = channel::bounded(1);
        let client = thread::spawn(client);
        let answers = async {
            while let Ok(request) = queue.recv().await {
                Request::answer(request, &sample::full());
            }
        };
        let watch = async {
            while !client.is_finished() {
                smol::unblock(|| thread::sleep(Duration::from_millis(2))).await;
            }
        };
        let serving = serve(listener, requests);
        smol::block_on(smol::future::or(smol::future::or(serving, answers), watch));
        client.join().unwrap();
    }

    fn ask(path: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn each_verb_gets_its_answer_and_others_an_error() {
        let scratch = Scratch::new("verbs");
        let path = scratch.socket();
        while_serving(&scratch.socket(), move || {
            let json = ask(&path, b"status\n");
            assert_eq!(json, sample::full().to_json() + "\n");
            assert_eq!(ask(&path, b"  table\r\nstatus\n"), table::render(&sample::full()));
            assert_eq!(ask(&path, b"dot\n"), dot::render(&sample::full()));
            assert_eq!(ask(&path, b"metrics\n"), metrics::render(&sample::full()));
            assert_eq!(ask(&path, b"doctor\n"), doctor::render(&sample::full()));
            for bad in [&b"\n"[..], b"stop\n", b"\xFF\0\n"] {
                assert!(ask(&path, bad).starts_with("error: unknown request"));
            }
        });
    }

    #[test]
    fn endless_and_broken_requests_get_nothing_and_others_are_served() {
        let scratch = Scratch::new("endless");
        let path = scratch.socket();
        while_serving(&scratch.socket(), move || {
            let mut endless = UnixStream::connect(&path).unwrap();
            let written = (0..1000).try_for_each(|_| endless.write_all(&[b'x'; 1000]));
            let mut rest = Vec::new();
            let read = endless.read_to_end(&mut rest);
            assert!((written.is_err() || read.is_err()) && rest.is_empty());
            drop(UnixStream::connect(&path).unwrap());
            assert!(ask(&path, b"status\n").starts_with('{'));
        });
    }

    #[test]
    fn who_says_nothing_keeps_a_place_until_a_fifth_comes() {
        let scratch = Scratch::new("silent");
        let path = scratch.socket();
        while_serving(&scratch.socket(), move || {
            let mut silent: Vec<_> = (0..CLIENTS).map(|_| UnixStream::connect(&path).unwrap()).collect();
            assert!(ask(&path, b"status\n").starts_with('{'));
            let mut nothing = String::new();
            assert_eq!(silent[0].read_to_string(&mut nothing).unwrap(), 0, "the first was put out");
            silent[1].write_all(b"status\n").unwrap();
            silent[1].read_to_string(&mut nothing).unwrap();
            assert!(nothing.starts_with('{'), "the second was not");
        });
    }

    #[test]
    fn the_socket_is_private_and_its_directory_is_made() {
        let scratch = Scratch::new("private");
        let path = scratch.socket();
        make_directory(&path).unwrap();
        make_directory(&path).unwrap();
        let _listener = listen(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert!(matches!(listen(&scratch.0), Err(Error::System { .. })), "a directory is not replaced");
    }

    #[test]
    fn what_a_dead_daemon_left_is_replaced_and_what_is_no_socket_is_not() {
        let scratch = Scratch::new("stale");
        let path = scratch.socket();
        make_directory(&path).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(UnixStream::connect(&path).is_err());
        let listener = listen(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
        drop(listener);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = listen(&path).err().unwrap().to_string();
        assert!(error.contains("not a socket") && error.contains("home.sock"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_path_that_cannot_be_is_named() {
        let long = Path::new("/tmp").join("x".repeat(200)).join("home.sock");
        for path in [Path::new("/proc/none/home.sock"), &long] {
            let error = make_directory(path).and_then(|()| listen(path).map(drop)).unwrap_err().to_string();
            assert!(error.contains(path.parent().unwrap().to_str().unwrap()), "{error}");
        }
        let _ = fs::remove_dir(long.parent().unwrap());
    }
}
