//! The real `uci`, where there is one: asked what it makes of a file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::cases::{Case, Outcome};

pub struct Program {
    path: OsString,
    scratch: PathBuf,
}

/// `None` unless the environment names one.
pub fn program() -> Option<Program> {
    let path = std::env::var_os("QUICAP_REAL_UCI")?;
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let scratch = std::env::temp_dir().join(format!("quicap-uci-{}-{thread}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    Some(Program { path, scratch })
}

impl Program {
    pub fn judge(&self, file: Vec<u8>) -> Case {
        std::fs::write(self.scratch.join("quicap"), &file).unwrap();
        let nowhere = self.scratch.join("nowhere");
        let mut command = Command::new(&self.path);
        command.arg("-c").arg(&self.scratch).arg("-C").arg(&nowhere).arg("-t").arg(&nowhere);
        let output = command.args(["show", "quicap"]).output().unwrap();
        let outcome = match output.status.success() {
            true => Outcome::Shown(output.stdout),
            false => refusal(&String::from_utf8_lossy(&output.stderr)),
        };
        Case { file, outcome }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// Reads `... at line N, byte M`.
fn refusal(message: &str) -> Outcome {
    let place =
        message.trim_end().rsplit_once(" at line ").and_then(|(_, place)| place.split_once(", byte "));
    let Some((line, byte)) = place else { panic!("not a parse error: {message:?}") };
    Outcome::Refused { line: line.parse().unwrap(), byte: byte.parse().unwrap() }
}
