//! `quicap status`: asks the daemon over its control socket and prints the answer as it comes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use argh::FromArgs;

use crate::cli::Failure;

/// Where the daemons put their sockets, as NETWORK.sock.
const DIRECTORY: &str = "/var/run/quicap";
/// How long the daemon has to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer that is taken, bytes: thousands of MAC addresses fit.
const ANSWER_MAX: u64 = 16 << 20;

/// show what the daemon knows now
#[derive(FromArgs, PartialEq, Eq, Debug)]
#[argh(subcommand, name = "status")]
pub struct Status {
    /// the network (default: the only one that runs)
    #[argh(positional, arg_name = "NETWORK")]
    pub network: Option<String>,
    /// the daemon's control socket (default: /var/run/quicap/NETWORK.sock)
    #[argh(option)]
    pub socket: Option<PathBuf>,
    /// print JSON
    #[argh(switch)]
    pub json: bool,
    /// print the graph of the mesh as Graphviz text: quicap status --dot | dot -Tsvg > mesh.svg
    #[argh(switch)]
    pub dot: bool,
    /// print metrics for Prometheus; without NETWORK, of all networks that run
    #[argh(switch)]
    pub metrics: bool,
}

/// # Errors
/// Code 1 when no daemon answers, 2 when it is not clear which one or what is meant.
pub fn run(arguments: &Status) -> Result<(), Failure> {
    let verb = match (arguments.json, arguments.dot, arguments.metrics) {
        (false, false, false) => "table\n",
        (true, false, false) => "status\n",
        (false, true, false) => "dot\n",
        (false, false, true) => "metrics\n",
        _ => return Err(Failure::usage("--json, --dot, --metrics: expected only one of them")),
    };
    if let (true, None, None) = (arguments.metrics, &arguments.socket, &arguments.network) {
        let paths = sockets_in(Path::new(DIRECTORY));
        if paths.len() > 1 {
            // A daemon that does not answer must not hide the others.
            let answers = paths.iter().filter_map(|path| answer(path, Some(&name_of(path)), verb).ok());
            return print(&join(&answers.collect::<Vec<_>>()));
        }
    }
    let path = match &arguments.socket {
        Some(path) => path.clone(),
        None => choose(Path::new(DIRECTORY), arguments.network.as_deref())?,
    };
    // The name of a socket that was given need not be the network's.
    let network = match &arguments.socket {
        Some(_) => arguments.network.clone(),
        None => Some(name_of(&path)),
    };
    print(&answer(&path, network.as_deref(), verb)?)
}

/// What the daemon says, if it is no error.
pub fn answer(path: &Path, network: Option<&str>, verb: &'static str) -> Result<String, Failure> {
    let answer = ask(path, verb, PATIENCE).map_err(|error| explain(&error, network, path))?;
    if answer.is_empty() {
        return Err(Failure::runtime(format!("the daemon at {} closed without an answer", path.display())));
    }
    match answer.strip_prefix("error: ") {
        Some(reason) => Err(Failure::runtime(format!("{}: {reason}", path.display()))),
        None => Ok(answer),
    }
}

/// Metrics of several networks as one text: each family must be there once, with the samples of all.
fn join(answers: &[String]) -> String {
    const HEAD: &str = "# HELP ";
    let mut all = String::new();
    for family in answers.iter().flat_map(|answer| answer.split(HEAD)) {
        let head = family.lines().next().unwrap_or_default();
        if head.is_empty() || all.contains(&format!("{HEAD}{head}\n")) {
            continue;
        }
        all += HEAD;
        all += family;
        for other in answers
            .iter()
            .filter_map(|answer| answer.split(HEAD).find(|own| own.lines().next() == Some(head)))
        {
            if !std::ptr::eq(other, family) {
                for sample in other.lines().skip(2) {
                    all = all + sample + "\n";
                }
            }
        }
    }
    all
}

/// A closed pipe is no reason to fail: whoever reads has seen enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::runtime(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// The socket of that network, or of the only one that has a socket.
fn choose(directory: &Path, network: Option<&str>) -> Result<PathBuf, Failure> {
    if let Some(network) = network {
        let valid = !network.is_empty() && network.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return match valid {
            true => Ok(directory.join(format!("{network}.sock"))),
            false => Err(Failure::usage(format!("network '{network}': expected only A-Z, a-z, 0-9 and _"))),
        };
    }
    let mut sockets = sockets_in(directory);
    match (sockets.pop(), sockets.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            let names: Vec<_> = sockets.iter().chain([&last]).map(|path| name_of(path)).collect();
            Err(Failure::usage(format!("several networks run, name one of them: {}", names.join(", "))))
        }
        (None, _) => Err(Failure::runtime(format!(
            "no daemon runs (no socket in {}); start it with /etc/init.d/quicap start, or quicap run",
            directory.display()
        ))),
    }
}

/// In the order of their names; none if the directory cannot be read.
fn sockets_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut sockets: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "sock"))
        .collect();
    sockets.sort();
    sockets
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Sends `verb` and reads until the daemon closes, all of it within `patience`. On a thread, for a connect to a daemon
/// that hangs has no time limit of its own.
fn ask(path: &Path, verb: &'static str, patience: Duration) -> io::Result<String> {
    let (sender, answer) = mpsc::channel();
    let path = path.to_owned();
    thread::spawn(move || {
        // Nobody waits any more if this fails.
        let _ = sender.send(converse(&path, verb));
    });
    answer.recv_timeout(patience).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn converse(path: &Path, verb: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(verb.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn explain(error: &io::Error, network: Option<&str>, path: &Path) -> Failure {
    let path = path.display();
    let (of, run) = match network {
        Some(network) => (format!(" for network '{network}'"), format!(" {network}")),
        None => (String::new(), String::new()),
    };
    let start = format!("start it with /etc/init.d/quicap start, or quicap run{run}");
    Failure::runtime(match error.kind() {
        io::ErrorKind::NotFound => format!("no daemon{of} (no socket at {path}); {start}"),
        io::ErrorKind::ConnectionRefused => format!("no daemon{of} (nobody listens at {path}); {start}"),
        io::ErrorKind::PermissionDenied => format!("{path}: not permitted: must run as root"),
        io::ErrorKind::TimedOut => {
            format!("the daemon at {path} does not answer within {} s", PATIENCE.as_secs())
        }
        _ => format!("{path}: {error}"),
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "puts files where the command looks")]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("quicap-status-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn the_only_network_is_meant_and_of_several_one_must_be_named() {
        let directory = scratch("choose");
        let none = choose(&directory, None).unwrap_err();
        assert!(none.code == 1 && none.message.contains("no daemon runs"), "{none:?}");
        for (file, chosen) in [("home.sock", true), ("home.sock.lock", true), ("lab.sock", false)] {
            std::fs::write(directory.join(file), "").unwrap();
            assert_eq!(
                choose(&directory, None).is_ok_and(|path| path == directory.join("home.sock")),
                chosen
            );
        }
        let several = choose(&directory, None).unwrap_err();
        assert!(several.code == 2 && several.message.ends_with("home, lab"), "{several:?}");
        assert_eq!(choose(&directory, Some("lab")), Ok(directory.join("lab.sock")));
        assert_eq!(choose(&directory, Some("../lab")).unwrap_err().code, 2);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn without_a_daemon_one_line_says_so() {
        let directory = scratch("without");
        let path = directory.join("home.sock");
        let status = |network: Option<&str>| {
            let network = network.map(str::to_owned);
            run(&Status { network, socket: Some(path.clone()), json: false, dot: false, metrics: false })
                .unwrap_err()
        };
        let start = "start it with /etc/init.d/quicap start, or quicap run";
        let missing = format!("(no socket at {}); {start}", path.display());
        assert_eq!(status(None).message, format!("no daemon {missing}"));
        assert_eq!(status(Some("lab")).message, format!("no daemon for network 'lab' {missing} lab"));
        drop(UnixListener::bind(&path).unwrap());
        let dead = status(Some("home"));
        assert!(dead.code == 1 && dead.message.contains("nobody listens at"), "{dead:?}");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn two_forms_at_once_are_a_usage_error() {
        for (json, dot, metrics) in [(true, true, false), (true, false, true), (false, true, true)] {
            let both = run(&Status { network: None, socket: None, json, dot, metrics }).unwrap_err();
            assert_eq!((both.code, both.message.contains("only one")), (2, true));
        }
    }

    #[test]
    fn metrics_of_several_networks_have_each_family_once() {
        let text = |network: &str, more: &str| {
            format!(
                "# HELP a A.\n# TYPE a gauge\na{{n=\"{network}\"}} 1\n# HELP b B.\n# TYPE b gauge\n{more}"
            )
        };
        let joined = join(&[text("x", ""), text("y", "b 2\n# HELP c C.\n# TYPE c gauge\nc 3\n")]);
        assert_eq!(
            joined,
            "# HELP a A.\n# TYPE a gauge\na{n=\"x\"} 1\na{n=\"y\"} 1\n# HELP b B.\n# TYPE b gauge\nb 2\n\
             # HELP c C.\n# TYPE c gauge\nc 3\n"
        );
    }

    #[test]
    fn a_daemon_that_hangs_or_says_no_is_an_error_and_an_answer_comes_whole() {
        let directory = scratch("answers");
        let path = directory.join("home.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let hangs = ask(&path, "table\n", Duration::from_millis(50)).unwrap_err();
        assert!(explain(&hangs, None, &path).message.contains("does not answer within 3 s"));
        let long = "x".repeat(300_000);
        let expected = long.clone();
        let server = thread::spawn(move || {
            let (silent, _) = listener.accept().unwrap();
            drop(silent);
            for answer in [long.as_str(), "", "error: the daemon is ending\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut verb = [0; 7];
                stream.read_exact(&mut verb).unwrap();
                assert_eq!(&verb, b"status\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(ask(&path, "status\n", PATIENCE).unwrap(), expected);
        let json = || {
            run(&Status { network: None, socket: Some(path.clone()), json: true, dot: false, metrics: false })
                .unwrap_err()
        };
        assert!(json().message.contains("without an answer"));
        assert!(json().message.contains("the daemon is ending"));
        server.join().unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
