//! Reads JSON and looks values up in it by path: as much as the demo and tests ask of `quicap status --json`.
//!
//! Does not write JSON, and leaves numbers as they are written until somebody asks. Read first: RFC 8259.

use std::iter::Peekable;
use std::str::Chars;

/// Lists and objects deeper than this are refused, so that no text can exhaust the stack.
const DEPTH: usize = 64;

#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it is written: reading fractions takes tables of 10 kB, which the demo can do without.
    Number(String),
    Text(String),
    List(Vec<Json>),
    /// In the order of the text; of a repeated name the first counts.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// `None` for text that is not exactly one JSON value.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { chars: text.chars().peekable() };
        let value = reader.value(DEPTH)?;
        reader.skip_space();
        reader.chars.next().is_none().then_some(value)
    }

    /// The value at a path of names and indexes: `links.0.state`. [`Json::Null`] where there is none.
    pub fn at(&self, path: &str) -> &Self {
        path.split('.').fold(self, |value, step| value.child(step).unwrap_or(&Self::Null))
    }

    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// Empty for what is no text.
    pub fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { number.parse().ok() } else { None }
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == step).map(|(_, value)| value),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Json> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match self.chars.peek()? {
            '{' => self.sequence('{', '}', |reader| reader.member(depth)).map(Json::Object),
            '[' => self.sequence('[', ']', |reader| reader.value(depth)).map(Json::List),
            '"' => self.string().map(Json::Text),
            _ => self.word(),
        }
    }

    fn member(&mut self, depth: usize) -> Option<(String, Json)> {
        self.skip_space();
        let name = self.string()?;
        self.expect(':')?;
        Some((name, self.value(depth)?))
    }

    fn sequence<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.expect(open)?;
        self.skip_space();
        let mut items = Vec::new();
        if self.chars.next_if_eq(&close).is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.skip_space();
            match self.chars.next()? {
                ',' => {}
                c if c == close => return Some(items),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.expect('"')?;
        let mut text = String::new();
        loop {
            match self.chars.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let digits: String = self.chars.by_ref().take(4).collect();
                // Half of a surrogate pair is no character.
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        })
    }

    fn word(&mut self) -> Option<Json> {
        let mut word = String::new();
        while let Some(c) = self.chars.next_if(|c| c.is_ascii_alphanumeric() || "+-.".contains(*c)) {
            word.push(c);
        }
        match word.as_str() {
            "null" => Some(Json::Null),
            "true" => Some(Json::Bool(true)),
            "false" => Some(Json::Bool(false)),
            _ => is_number(&word).then_some(Json::Number(word)),
        }
    }

    fn expect(&mut self, wanted: char) -> Option<()> {
        self.skip_space();
        (self.chars.next()? == wanted).then_some(())
    }

    fn skip_space(&mut self) {
        while self.chars.next_if(|c| " \t\r\n".contains(*c)).is_some() {}
    }
}

/// RFC 8259, 6, but for leading zeros, which are harmless.
fn is_number(word: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = word.split_once(['e', 'E']).unwrap_or((word, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    is_digits(whole.strip_prefix('-').unwrap_or(whole)) && is_digits(fraction) && is_digits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_path() {
        let text = r#" { "tap": {"carrier": true, "mtu": 1500}, "tun": null, "none": [], "empty": {},
            "links": [ {"name": "b", "state": "up"}, {"name": "c\n\"\u00e9", "loss": -1.5e1} ] } "#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.at("tap.carrier"), &Json::Bool(true));
        assert_eq!(json.at("tap.mtu").number(), Some(1500.0));
        assert_eq!(json.at("links.0.state").text(), "up");
        assert_eq!(json.at("links.1.name").text(), "c\n\"é");
        assert_eq!(json.at("links.1.loss").number(), Some(-15.0));
        assert_eq!(json.at("links").items().len(), 2);
        for absent in ["tun", "none.0", "links.2.name", "links.x", "tap.carrier.x", "empty.x", ""] {
            assert_eq!(json.at(absent), &Json::Null, "{absent}");
        }
    }

    #[test]
    fn what_is_not_one_whole_value_is_refused() {
        let cut = r#"{"a": [1, 2, {"b": "c\u0041"}]}"#;
        assert!(Json::parse(cut).is_some());
        for end in 0..cut.len() {
            assert_eq!(Json::parse(&cut[..end]), None, "{}", &cut[..end]);
        }
        for text in [
            "{}{}", "[1,]", "{\"a\"}", "nan", "inf", "-", "1.", ".5", "1e", "--1", "\"a\nb\"", "tru",
            "[1 2]", "{1:2}", "\"\\x\"",
        ] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
        assert_eq!(Json::parse(&"[".repeat(100_000)), None);
    }
}
