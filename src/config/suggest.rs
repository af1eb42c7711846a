//! "Did you mean": the known word nearest to a mistyped one.

/// Longer words are typed on purpose.
const MAX_LENGTH: usize = 32;

/// ` (did you mean 'x'?)`, or nothing when no word is within two typing errors.
pub(super) fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if word.len() > MAX_LENGTH {
        return String::new();
    }
    let nearest = known.into_iter().map(|candidate| (distance(word, candidate), candidate)).min();
    match nearest {
        Some((errors, candidate)) if errors <= 2 && errors < candidate.len().min(word.len()) => {
            format!(" (did you mean '{candidate}'?)")
        }
        _ => String::new(),
    }
}

/// Levenshtein distance in bytes, row by row.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        row.first_mut().into_iter().for_each(|cell| *cell = last);
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            last = replaced.min(diagonal + 1).min(last + 1);
            *cell = last;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["tap", "tun", "listen_port", "endpoint"];
        let table = [
            ("listen_prt", " (did you mean 'listen_port'?)"),
            ("listenport", " (did you mean 'listen_port'?)"),
            ("endpoints", " (did you mean 'endpoint'?)"),
            ("tab", " (did you mean 'tap'?)"),
            ("x", ""),
            ("password", ""),
            ("", ""),
        ];
        for (word, expected) in table {
            assert_eq!(hint(word, known), expected, "{word}");
        }
    }

    #[test]
    fn distance_counts_changes() {
        let table =
            [("", "", 0), ("abc", "", 3), ("abc", "abd", 1), ("kitten", "sitting", 3), ("ab", "ba", 2)];
        for (left, right, expected) in table {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
