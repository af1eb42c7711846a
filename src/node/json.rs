//! Writes JSON (RFC 8259) into a string: objects and arrays, strings escaped, numbers whole.
//! Does not read it and does not lay it out.

use std::fmt::Write;

/// An object that is being written; its members stand in the order in which they are added.
pub struct Object<'a> {
    text: &'a mut String,
    is_empty: bool,
}

/// One whole object as text.
pub fn object(fill: impl FnOnce(&mut Object<'_>)) -> String {
    let mut text = String::new();
    write_object(&mut text, fill);
    text
}

impl Object<'_> {
    pub fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(self.text, value);
    }

    pub fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.name(name);
        // Writing to a string does not fail.
        let _ = write!(self.text, "{}", value.into());
    }

    pub fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    pub fn null(&mut self, name: &str) {
        self.name(name);
        self.text.push_str("null");
    }

    pub fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        write_object(self.text, fill);
    }

    /// `null` when there is none.
    pub fn option<T>(&mut self, name: &str, value: Option<T>, fill: impl FnOnce(&mut Object<'_>, T)) {
        match value {
            Some(value) => self.object(name, |object| fill(object, value)),
            None => self.null(name),
        }
    }

    /// An array with one object for each item.
    pub fn array<T>(&mut self, name: &str, items: &[T], fill: impl Fn(&mut Object<'_>, &T)) {
        self.name(name);
        self.text.push('[');
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            write_object(self.text, |object| fill(object, item));
        }
        self.text.push(']');
    }

    pub fn strings(&mut self, name: &str, items: &[String]) {
        self.name(name);
        self.text.push('[');
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            write_string(self.text, item);
        }
        self.text.push(']');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.text.push(',');
        }
        self.is_empty = false;
        write_string(self.text, name);
        self.text.push(':');
    }
}

fn write_object(text: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    text.push('{');
    fill(&mut Object { text, is_empty: true });
    text.push('}');
}

fn write_string(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // DEL and the C1 controls are allowed raw, but a terminal would obey them.
            c if c.is_control() => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_order_with_commas_between_them_only() {
        let text = object(|o| {
            o.number("n", u64::MAX);
            o.boolean("b", true);
            o.null("z");
            o.object("empty", |_| {});
            o.option("none", None::<u8>, |_, _| {});
            o.option("some", Some(7u8), |o, n| o.number("n", n));
            o.array("none", &[] as &[u8], |_, _| {});
            o.array("two", &[1u8, 2], |o, n| o.number("n", *n));
        });
        assert_eq!(
            text,
            r#"{"n":18446744073709551615,"b":true,"z":null,"empty":{},"none":null,"some":{"n":7},"none":[],"two":[{"n":1},{"n":2}]}"#
        );
    }

    #[test]
    fn every_character_is_read_back_as_it_was_written() {
        let all: String = ('\0'..='\u{2100}').chain(['\u{FFFF}', '😀', '\u{10FFFF}']).collect();
        let text = object(|o| o.string(&all, &all));
        assert!(!text.chars().any(char::is_control), "no control character stands there raw");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[&all].as_str(), Some(all.as_str()));
    }
}
