//! Odd UCI files from a seed: mostly sensible statements in every kind of quoting, spacing and ending, some damaged.

/// A small generator of its own (splitmix64), so that a seed means the same file for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        choices[self.roll(choices.len())]
    }
}

pub fn file(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
    let mut file = Vec::new();
    let crlf = dice.one_in(12);
    for index in 0..1 + dice.roll(9) {
        statement(&mut dice, &mut file, index);
        end(&mut dice, &mut file, crlf);
    }
    if dice.one_in(4) {
        file.pop();
    }
    if dice.one_in(4) {
        damage(&mut dice, &mut file);
    }
    file
}

fn statement(dice: &mut Dice, file: &mut Vec<u8>, index: usize) {
    if dice.one_in(8) {
        file.extend_from_slice(dice.pick(&[b" ", b"\t", b"  \t ", b"\x0b", b"\r", b"\x0c "]));
    }
    let roll = if index == 0 && !dice.one_in(8) { 0 } else { dice.roll(12) };
    match roll {
        0..=2 => config(dice, file),
        3..=6 => entry(dice, file, &[b"option", b"option", b"option", b"o"]),
        7..=9 => entry(dice, file, &[b"list", b"list", b"list", b"l"]),
        10 if dice.one_in(2) => odd_line(dice, file),
        _ => file.extend_from_slice(dice.pick(&[b"", b"#", b"# comment 'open", b"   ", b"#;config a"])),
    }
}

fn config(dice: &mut Dice, file: &mut Vec<u8>) {
    file.extend_from_slice(dice.pick(&[b"config", b"config", b"config", b"c"]));
    space(dice, file);
    let kind = dice.pick(&[b"network", b"peer", b"peer", b"a", b"x-y", b"a.b", b"!%", b"wifi_iface"]);
    quote(dice, file, kind);
    if dice.roll(5) < 2 {
        space(dice, file);
        // Mostly a name of its own for each type, since a name of two types is refused.
        if !dice.one_in(5) {
            let letters = kind.iter().copied().filter(u8::is_ascii_lowercase);
            return file.extend(letters.chain([b'0' + dice.roll(2) as u8]));
        }
        let name =
            dice.pick(&[b"home", b"home", b"office", b"a", b"b", b"x_1", b"0", b"cfg02c2ab", b"", b"a-b"]);
        quote(dice, file, name);
    }
}

fn entry(dice: &mut Dice, file: &mut Vec<u8>, words: &[&[u8]]) {
    file.extend_from_slice(dice.pick(words));
    space(dice, file);
    let name = dice.pick(&[
        b"tap",
        b"name",
        b"endpoint",
        b"e",
        b"e",
        b"e",
        b"e",
        b"f",
        b"mtu",
        b"x9_",
        b"9",
        b"name",
    ]);
    let name = if dice.one_in(40) { b"bad-name" } else { name };
    quote(dice, file, name);
    if !dice.one_in(10) {
        space(dice, file);
        value(dice, file);
    }
}

fn value(dice: &mut Dice, file: &mut Vec<u8>) {
    if dice.one_in(20) {
        let long = vec![b'a' + dice.roll(26) as u8; 1 << dice.roll(10)];
        return quote(dice, file, &long);
    }
    let value = dice.pick(&[
        b"1",
        b"quicap0",
        b"[2001:db8::1]:443",
        b"a b",
        b"two  spaces",
        b"it's",
        b"say \"x\"",
        b"back\\slash",
        b"a#b",
        b"#",
        b"a;b",
        b";",
        b"",
        b" ",
        b"\t",
        b"multi\nline",
        b"\n",
        b"cr\r\nlf",
        b"\xc3\xa9t\xc3\xa9",
        b"\xff\xfe",
        b"end\\",
        b"'",
        b"\"",
        b"x=y",
        b"\x7f\x01",
    ]);
    quote(dice, file, value);
    if dice.one_in(12) {
        value_tail(dice, file);
    }
}

fn value_tail(dice: &mut Dice, file: &mut Vec<u8>) {
    let tail =
        dice.pick(&[b"'more'", b"\"more\"", b"more", b" extra", b" ''", b"\\", b"\\ x", b"'", b"\"", b"#x"]);
    file.extend_from_slice(tail);
}

/// Any of the ways to write a value down, not always a right one.
fn quote(dice: &mut Dice, file: &mut Vec<u8>, text: &[u8]) {
    match dice.roll(8) {
        0..=2 => wrap(file, text, b'\'', b"'\\''"),
        3 | 4 => wrap(file, text, b'"', b"\\\""),
        5 => {
            for &byte in text {
                if !byte.is_ascii_alphanumeric() || dice.one_in(9) {
                    file.push(b'\\');
                }
                file.push(byte);
            }
        }
        6 if text.len() > 1 => {
            let (left, right) = text.split_at(1 + dice.roll(text.len() - 1));
            quote(dice, file, left);
            quote(dice, file, right);
        }
        _ if text.iter().all(u8::is_ascii_graphic) || dice.one_in(6) => file.extend_from_slice(text),
        _ => wrap(file, text, b'\'', b"'\\''"),
    }
}

fn wrap(file: &mut Vec<u8>, text: &[u8], quote: u8, escaped: &[u8]) {
    file.push(quote);
    for &byte in text {
        if byte == quote {
            file.extend_from_slice(escaped);
        } else {
            file.push(byte);
        }
    }
    file.push(quote);
}

fn space(dice: &mut Dice, file: &mut Vec<u8>) {
    let space: &[u8] = match dice.roll(14) {
        0..=8 => b" ",
        9 => b"\t",
        10 => b"  \t",
        11 => b" \\\n",
        12 => b" \x0b\x0c",
        _ => b"  ",
    };
    file.extend_from_slice(space);
}

fn end(dice: &mut Dice, file: &mut Vec<u8>, crlf: bool) {
    match dice.roll(24) {
        0 => file.extend_from_slice(b" ; "),
        1 => file.extend_from_slice(dice.pick(&[b";", b" ;", b"; ;", b" ;\n", b";\n", b";#\n"])),
        2 => file.extend_from_slice(dice.pick(&[b" # note\n", b"#\n", b" #'\n", b" #\\\n"])),
        3 => file.extend_from_slice(
            dice.pick(&[b" \n", b"\t\t\n", b"\r\n", b"\n\n", b"\\\n", b" \\\r\n", b"\x0b\n"]),
        ),
        _ if crlf => file.extend_from_slice(b"\r\n"),
        _ => file.push(b'\n'),
    }
}

fn odd_line(dice: &mut Dice, file: &mut Vec<u8>) {
    file.extend_from_slice(dice.pick(&[
        b"package quicap",
        b"package 'other-1'",
        b"p x",
        b"package",
        b"package a.b",
        b"package \"\" x",
        b"config",
        b"config\t",
        b"option",
        b"option x",
        b"list ''",
        b"optional a b",
        b"Config a",
        b"'config' a",
        b"config a b c",
        b"c a;o b c",
        b"c a x ;o b c",
        b"c 'a' 'x';o 'b' 'c'",
        b"option a b ;list c d",
        b"config a '' option b c",
        b"option e v '' list e w",
        b"\xef\xbb\xbfconfig a",
        b"}",
        b"option a 'b' 'c'",
    ]));
}

/// A few bytes changed, put in or taken out, special ones by preference.
fn damage(dice: &mut Dice, file: &mut Vec<u8>) {
    const SPECIAL: &[u8] = b"'\"\\;#\n\r\t \0\0\x0b=a\x80";
    for _ in 0..1 + dice.roll(4) {
        let at = dice.roll(file.len() + 1);
        let byte = SPECIAL[dice.roll(SPECIAL.len())];
        match dice.roll(3) {
            0 => file.insert(at, byte),
            1 if at < file.len() => file[at] = byte,
            _ if at < file.len() => drop(file.remove(at)),
            _ => file.push(byte),
        }
    }
}
