//! A directory of its own for each test, gone afterwards, and programs run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("certificates-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Runs `quicap` here; words are split at spaces.
    pub fn quicap(&self, words: &str) -> Run {
        self.quicap_fed(words, b"")
    }

    pub fn quicap_fed(&self, words: &str, input: &[u8]) -> Run {
        self.run(env!("CARGO_BIN_EXE_quicap"), &words.split_whitespace().collect::<Vec<_>>(), &[], input)
    }

    pub fn run(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Run {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}"));
        let written = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            written.unwrap();
        }
        Run(output)
    }

    /// Every file below here with its content, to see that nothing changed.
    pub fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.0, &mut files);
        files.sort();
        files
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn collect(directory: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => collect(&path, files),
            path => files.push((path.clone(), fs::read(path).unwrap())),
        }
    }
}

/// What a program did.
pub struct Run(Output);

impl Run {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.0.status.success(), "{}\n{}", self.out(), self.err());
        self
    }

    /// It ended with this code and one line that contains these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        let error = self.err();
        assert_eq!(self.0.status.code(), Some(code), "{error}");
        let lines: Vec<&str> = error.lines().filter(|line| line.starts_with("quicap: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(words), "expected '{words}' in: {error}");
        self
    }

    pub fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0.stdout
    }
}
