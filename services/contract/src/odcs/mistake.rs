//! Mistakes in a document: where, what, and what to write instead; collected, never one at a time.

use std::fmt;
use std::sync::Arc;

/// A place in a document; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Something that a document says wrongly, or that will not be done as the reader may expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong: a sentence without an end.
    pub what: String,
    /// What to write instead, to follow the word "write"; empty where nothing needs to change.
    pub instead: String,
    /// Whether it only needs to be known: the document is read all the same.
    pub warning: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.warning {
            f.write_str("note: ")?;
        }
        f.write_str(&self.what)?;
        if !self.instead.is_empty() {
            write!(f, "; write {}", self.instead)?;
        }
        Ok(())
    }
}

/// The mistakes of one file so far.
#[derive(Debug)]
pub(crate) struct Mistakes {
    file: Arc<str>,
    pub(crate) list: Vec<Mistake>,
}

impl Mistakes {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.into(), list: Vec::new() }
    }

    /// Something that must be changed.
    pub(crate) fn at(&mut self, place: Place, what: impl Into<String>, instead: impl Into<String>) {
        self.push(place, what.into(), instead.into(), false);
    }

    /// Something that must be known.
    pub(crate) fn note(&mut self, place: Place, what: impl Into<String>, instead: impl Into<String>) {
        self.push(place, what.into(), instead.into(), true);
    }

    fn push(&mut self, place: Place, what: String, instead: String, warning: bool) {
        let Place { line, column } = place;
        self.list.push(Mistake { file: Arc::clone(&self.file), line, column, what, instead, warning });
    }

    pub(crate) fn any(&self) -> bool {
        self.list.iter().any(|mistake| !mistake.warning)
    }

    /// In the order of the file; without the notes where there are mistakes.
    pub(crate) fn in_order(mut self) -> Vec<Mistake> {
        self.list.sort_by_key(|mistake| (mistake.line, mistake.column));
        self.list.dedup();
        self.list
    }
}

/// The one of `known` that was probably meant: at most a third of its letters differ (case, `-` and `_`
/// not counted as such).
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long names are nobody's typing mistakes, and the distance costs their product.
    if given.len() > 100 {
        return None;
    }
    let given = plain(given);
    let begins = |candidate: &&str| given.len() >= 3 && plain(candidate).starts_with(&given);
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(longer) = known.iter().copied().find(begins) {
        return Some(longer);
    }
    known
        .into_iter()
        .map(|candidate| (distance(&given, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.len() / 3).max(1).min(candidate.len().saturating_sub(1))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn plain(text: &str) -> Vec<char> {
    text.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Damerau's distance (optimal string alignment): letters added, lost, changed or exchanged with the next.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(from != to)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// `` `a`, `b` or `c` ``, cut after twelve.
pub(crate) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] if first.len() < 12 => format!("{} or {last}", first.join(", ")),
        [first @ .., _] => format!("{} …", first[..12].join(", ")),
    }
}

/// What was probably meant, or all that could have been.
pub(crate) fn suggest<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(given, known.clone()) {
        Some(near) => format!("`{near}`"),
        None => one_of(known),
    }
}

/// A value as a message shows it: one line, at most 60 characters.
pub(crate) fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(60) {
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["status", "schema", "servers", "id"];
        assert_eq!(nearest("statsu", known), Some("status"));
        assert_eq!(nearest("shema", known), Some("schema"));
        assert_eq!(nearest("iD", known), Some("id"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("xy", known), None);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(one_of(["a", "b"]), "`a` or `b`");
        let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        assert!(one_of(many.iter().map(String::as_str)).ends_with('…'));
    }
}
