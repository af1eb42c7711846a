//! What the demo makes and has to take away again: namespaces, daemons, a temporary directory.
//!
//! Tells nothing and decides nothing. Whichever way the demo ends, short of `kill -9`, dropping the lab cleans up;
//! after `kill -9` the next demo does (`leftovers.rs`). Read first: ip-netns(8).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failure, leftovers};
use crate::sys::signal::Signals;

/// Where `ip netns` keeps its namespaces.
pub const NAMESPACES: &str = "/run/netns";
/// Daemons that do not end within this time after SIGTERM are killed.
const GRACE: Duration = Duration::from_secs(3);
/// How often something is looked at that gives no sign of its own.
const GLANCE: Duration = Duration::from_millis(30);

pub struct Lab {
    /// Begins the names of all namespaces.
    prefix: String,
    /// Private to root; commands run in it, so that the paths they show are short.
    dir: PathBuf,
    /// PATH with this very binary as `quicap` in front.
    path: OsString,
    signals: Signals,
    namespaces: Vec<String>,
    daemons: Vec<Daemon>,
}

struct Daemon {
    name: String,
    child: Child,
}

impl Lab {
    /// Must be called before a second thread starts, because of the signals. Cleans up behind earlier demos that
    /// were killed.
    pub fn new() -> Result<Self, Failure> {
        let signals = Signals::new().map_err(|error| Failure::io("signals", &error))?;
        leftovers::sweep();
        let dir = leftovers::directory_of(std::process::id());
        let failed = |error| Failure::io(&dir.display().to_string(), &error);
        DirBuilder::new().mode(0o700).create(&dir).map_err(failed)?;
        let mut lab = Self {
            prefix: leftovers::prefix_of(std::process::id()),
            path: OsString::new(),
            dir: dir.clone(),
            signals,
            namespaces: Vec::new(),
            daemons: Vec::new(),
        };
        lab.path = lab.install_binary().map_err(failed)?;
        Ok(lab)
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file that stands for one of our namespaces.
    pub fn namespace(&self, name: &str) -> PathBuf {
        Path::new(NAMESPACES).join(format!("{}{name}", self.prefix))
    }

    pub fn add_namespace(&mut self, name: &str) -> Result<(), Failure> {
        // Noted first: whatever happens in between, it is taken away.
        self.namespaces.push(format!("{}{name}", self.prefix));
        self.run(&format!("ip netns add @{name}")).map(drop)
    }

    pub fn add_dir(&self, name: &str) -> Result<(), Failure> {
        let made = DirBuilder::new().mode(0o700).create(self.dir.join(name));
        made.map_err(|error| Failure::io(name, &error))
    }

    pub fn add_file(&self, name: &str, text: &str) -> Result<(), Failure> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.dir.join(name));
        opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| Failure::io(name, &error))
    }

    /// Runs a command to its end; in it `@router-a` stands for the full name of that namespace.
    ///
    /// # Errors
    /// It cannot be run, or its exit code is not 0; a signal came.
    pub fn run(&mut self, line: &str) -> Result<Output, Failure> {
        self.check_signals()?;
        let output = self.command(line).output().map_err(|error| Failure::io(&plain(line), &error))?;
        if output.status.success() { Ok(output) } else { Err(Failure::command(line, &output)) }
    }

    /// As [`Lab::run`], for a line with pipes in it.
    pub fn run_in_shell(&mut self, line: &str) -> Result<Output, Failure> {
        self.check_signals()?;
        let mut shell = self.bare("sh");
        shell.args(["-c", line]);
        let output = shell.output().map_err(|error| Failure::io("sh", &error))?;
        if output.status.success() { Ok(output) } else { Err(Failure::command(line, &output)) }
    }

    /// Runs a command and hands on what it prints line by line, whatever its exit code.
    pub fn follow(
        &mut self,
        line: &str,
        mut each: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut child = (self.command(line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn())
            .map_err(|error| Failure::io(&plain(line), &error))?;
        let mut result = Ok(());
        if let Some(stdout) = child.stdout.take() {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                result = self.check_signals().and_then(|()| each(&text));
                if result.is_err() {
                    break;
                }
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        result
    }

    /// Starts a daemon that runs until the lab goes; what it logs is kept in `log`.
    pub fn start(&mut self, name: &str, line: &str, log: &str) -> Result<(), Failure> {
        self.check_signals()?;
        let failed = |error| Failure::io(&plain(line), &error);
        let log = File::create(self.dir.join(log)).map_err(failed)?;
        let mut command = self.command(line);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().map_err(failed)?;
        self.daemons.push(Daemon { name: name.to_owned(), child });
        Ok(())
    }

    /// Asks until the answer is yes; signals and the death of a daemon end the wait.
    ///
    /// # Errors
    /// `late` after `limit`.
    #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
    pub fn wait(
        &mut self,
        limit: Duration,
        late: &str,
        mut ready: impl FnMut(&mut Self) -> Result<bool, Failure>,
    ) -> Result<Duration, Failure> {
        let start = Instant::now();
        while !ready(self)? {
            self.check_signals()?;
            self.check_daemons()?;
            if start.elapsed() > limit {
                return Err(Failure::Story(format!("{late} after {} s", limit.as_secs())));
            }
            thread::sleep(GLANCE);
        }
        Ok(start.elapsed())
    }

    /// Whether the user wants the demo to end: Ctrl-C, `kill`, or the terminal is gone.
    pub fn is_interrupted(&self) -> bool {
        self.signals.next().is_some()
    }

    fn check_signals(&self) -> Result<(), Failure> {
        if self.is_interrupted() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    fn check_daemons(&mut self) -> Result<(), Failure> {
        for Daemon { name, child } in &mut self.daemons {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(Failure::Story(format!("the daemon of {name} ended: {status}")));
            }
        }
        Ok(())
    }

    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => format!("{}{name}", self.prefix),
            None => word.to_owned(),
        });
        let mut command = self.bare(&words.next().unwrap_or_default());
        command.args(words);
        command
    }

    fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // In a group of its own a child is not hit by the terminal's Ctrl-C: we end it in our order.
        command.current_dir(&self.dir).env("PATH", &self.path).env("LC_ALL", "C").process_group(0);
        command.stdin(Stdio::null());
        command
    }

    /// Makes `quicap` this binary for all commands, and says the PATH for that.
    fn install_binary(&self) -> io::Result<OsString> {
        let bin = self.dir.join("bin");
        fs::create_dir(&bin)?;
        symlink(std::env::current_exe()?, bin.join("quicap"))?;
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Ok(path)
    }

    /// Ends the daemons as a router's init system would, and waits for them.
    #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
    fn stop_daemons(&mut self) {
        self.daemons.retain_mut(|daemon| matches!(daemon.child.try_wait(), Ok(None)));
        let pids: Vec<String> = self.daemons.iter().map(|daemon| daemon.child.id().to_string()).collect();
        if !pids.is_empty() {
            let _ = self.bare("sh").args(["-c", &format!("kill -TERM {}", pids.join(" "))]).output();
        }
        let start = Instant::now();
        for Daemon { child, .. } in &mut self.daemons {
            while matches!(child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
                thread::sleep(GLANCE);
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        self.daemons.clear();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop_daemons();
        for namespace in self.namespaces.drain(..) {
            leftovers::delete_namespace(&namespace);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A command as people see it: names of namespaces without their prefix.
pub fn plain(line: &str) -> String {
    line.replace(" @", " ")
}
