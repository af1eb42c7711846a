//! The graph of the mesh as text for Graphviz: `quicap status --dot | dot -Tsvg`.
//! Lays nothing out. Read first: the grammar at graphviz.org/doc/info/lang.html.

use std::fmt::{self, Write};

use crate::node::status::{EdgeStatus, NodeStatus, Status};

/// One whole graph, ending with a line end.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(&mut text, status);
    text
}

fn write_all(out: &mut String, status: &Status) -> fmt::Result {
    writeln!(out, "graph {} {{", Quoted(&status.network))?;
    writeln!(out, "    node [shape=box];")?;
    let me = &status.node;
    let label = format!("{} ({})", me.name, me.id);
    writeln!(out, "    n{} [label={}, style=filled, fillcolor=lightblue];", me.id, Quoted(&label))?;
    status.nodes.iter().try_for_each(|node| write_node(out, node))?;
    status.edges.iter().try_for_each(|edge| write_edge(out, edge))?;
    writeln!(out, "}}")
}

/// Dashed: out of reach.
fn write_node(out: &mut String, node: &NodeStatus) -> fmt::Result {
    let label = format!("{} ({})", node.name, node.id);
    let style = if node.is_reachable { "" } else { ", style=dashed" };
    writeln!(out, "    n{} [label={}{style}];", node.id, Quoted(&label))
}

/// Bold: on our way to some node.
fn write_edge(out: &mut String, edge: &EdgeStatus) -> fmt::Result {
    let EdgeStatus { ends: (a, b), cost_us, is_used } = *edge;
    let style = if is_used { ", style=bold" } else { "" };
    writeln!(out, "    n{a} -- n{b} [label=\"{}.{} ms\"{style}];", cost_us / 1000, cost_us / 100 % 10)
}

/// A string between quotes. A backslash would begin an escape in a label, and nobody's terminal obeys what stands in a name.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() => f.write_char('?')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "golden files, and Graphviz where it is installed")]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::node::status::sample;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/status.dot");

    fn odd() -> Status {
        let mut status = sample::full();
        status.network = "a\"; b".into();
        status.nodes[0].name = "x\" -- \\n\u{1b}[2J é\\".into();
        status
    }

    /// What stands between quotes is one word; `None`: a quote is never closed.
    fn words(text: &str) -> Option<Vec<String>> {
        let (mut words, mut word, mut chars) = (Vec::new(), String::new(), text.chars());
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    let mut quoted = String::from("\"");
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => quoted.push(chars.next()?),
                            c => quoted.push(c),
                        }
                    }
                    words.push(quoted);
                }
                c if c.is_alphanumeric() => word.push(c),
                c => {
                    words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                    words.extend((!c.is_whitespace()).then(|| c.to_string()));
                }
            }
        }
        Some(words)
    }

    /// Statements of the only block: those of nodes, of links, and of attributes.
    fn count(text: &str) -> (usize, usize, usize) {
        let words = words(text).expect("quotes are closed");
        let [graph, name, open, inner @ .., close] = &words[..] else { panic!("{words:?}") };
        assert!(name.starts_with('"') && [graph, open, close].map(String::as_str) == ["graph", "{", "}"]);
        let mut counts = (0, 0, 0);
        for statement in inner.split(|word| word == ";").filter(|statement| !statement.is_empty()) {
            assert!(statement.last().is_some_and(|word| word == "]"), "{statement:?}");
            match statement {
                [node, open, ..] if node == "node" && open == "[" => counts.2 += 1,
                [id, open, ..] if id.starts_with('n') && open == "[" => counts.0 += 1,
                [_, dash, again, _, open, ..] if dash == "-" && again == "-" && open == "[" => counts.1 += 1,
                other => panic!("{other:?}"),
            }
        }
        counts
    }

    #[test]
    fn the_graph_is_the_golden_one() {
        let text = render(&sample::full());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap(), "BLESS=1 rewrites {GOLDEN}");
    }

    #[test]
    fn each_node_and_each_link_is_one_statement_whatever_names_are() {
        for status in [sample::full(), odd()] {
            let text = render(&status);
            assert_eq!(count(&text), (4, 3, 1));
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        }
        assert!(words(&render(&odd())).unwrap().contains(&"\"x\" -- \\n?[2J é\\ (2)".to_owned()));
    }

    #[test]
    fn graphviz_takes_it() {
        for status in [sample::full(), odd()] {
            let dot = Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut dot) = dot else { return println!("skipped: no dot: apt-get install graphviz") };
            dot.stdin.take().unwrap().write_all(render(&status).as_bytes()).unwrap();
            let output = dot.wait_with_output().unwrap();
            assert!(output.status.success());
            let svg = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                (svg.matches("class=\"node\"").count(), svg.matches("class=\"edge\"").count()),
                (4, 3)
            );
        }
    }
}
