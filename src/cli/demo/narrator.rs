//! Tells the demo's story on stdout: numbered steps, the commands behind them, what they printed.
//!
//! Runs nothing. Colors only on a terminal, and not when NO_COLOR is set (no-color.org). Whoever closes stdout ends the
//! story with an error.

use std::io::{self, IsTerminal, Write};

pub struct Narrator {
    out: Box<dyn Write>,
    color: bool,
    steps: u32,
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Green,
    Dim,
}

impl Narrator {
    pub fn on_stdout() -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(Box::new(io::stdout()), io::stdout().is_terminal() && !no_color)
    }

    fn new(out: Box<dyn Write>, color: bool) -> Self {
        Self { out, color, steps: 0 }
    }

    /// Begins the next step.
    pub fn step(&mut self, title: &str) -> io::Result<()> {
        self.steps += 1;
        let title = self.styled(Style::Bold, &format!("{}. {title}", self.steps));
        self.write(&format!("\n{title}\n"))
    }

    /// A line of the story.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.write(&format!("{line}\n"))
    }

    /// A command, as it could be typed.
    pub fn command(&mut self, line: &str) -> io::Result<()> {
        let line = self.styled(Style::Green, line);
        self.write(&format!("   $ {line}\n"))
    }

    /// What a command printed, or a file that was written.
    pub fn output(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let line = self.styled(Style::Dim, line);
            self.write(&format!("     {line}\n"))?;
        }
        Ok(())
    }

    fn styled(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Green => "32",
            Style::Dim => "2",
        };
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(color: bool) -> String {
        let page = Page::default();
        let mut narrator = Narrator::new(Box::new(page.clone()), color);
        narrator.step("A CA").unwrap();
        narrator.command("quicap ca init").unwrap();
        narrator.output("one\ntwo").unwrap();
        narrator.step("Routers").unwrap();
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn steps_are_numbered_and_commands_and_output_indented() {
        let plain = "\n1. A CA\n   $ quicap ca init\n     one\n     two\n\n2. Routers\n";
        assert_eq!(told(false), plain);
        assert!(told(true).contains("\x1b[32mquicap ca init\x1b[0m\n"));
    }
}
