//! Regular expressions of ECMA-262, which ODCS asks for, as the `regex` crate writes them: the same search,
//! in linear time. What needs backtracking is refused by name.

use super::mistake::shown;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1000;
/// Largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// Why a pattern cannot be used, and what to write instead.
pub(super) type Refused = (String, String);

/// Translates and tries a pattern.
pub(super) fn translate(ecma: &str) -> Result<String, Refused> {
    if ecma.len() > MAX_PATTERN {
        return Err((
            format!("a pattern may have {MAX_PATTERN} bytes, this has {}", ecma.len()),
            "a shorter one".into(),
        ));
    }
    let text = Translation { rest: ecma, out: String::with_capacity(ecma.len() + 16), class: false }.run()?;
    match regex::RegexBuilder::new(&text).size_limit(MAX_COMPILED).build() {
        Ok(_) => Ok(text),
        Err(regex::Error::CompiledTooBig(_)) => {
            let what = format!("the pattern {} is too large when its repetitions are written out", shown(ecma));
            Err((what, "smaller repetition counts".to_owned()))
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err((format!("the pattern {} cannot be read: {reason}", shown(ecma)), "a pattern of ECMA-262".to_owned()))
        }
    }
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
    /// Inside `[…]`.
    class: bool,
}

impl Translation<'_> {
    fn run(mut self) -> Result<String, Refused> {
        while let Some(first) = self.rest.chars().next() {
            match first {
                '\\' => self.escape()?,
                '[' if !self.class && self.rest.starts_with("[^]") => self.put(3, r"(?s:.)"),
                '[' if !self.class && self.rest.starts_with("[]") => self.put(2, r"[^\s\S]"),
                '[' if !self.class => {
                    self.class = true;
                    let negated = self.rest.starts_with("[^");
                    self.put(if negated { 2 } else { 1 }, if negated { "[^" } else { "[" });
                }
                // In the `regex` crate these begin a class in a class, or set operations.
                '[' => self.put(1, r"\["),
                '&' if self.class => self.put(1, r"\&"),
                '~' if self.class => self.put(1, r"\~"),
                '-' if self.class && self.rest.starts_with("--") => self.put(2, r"\--"),
                ']' if self.class => {
                    self.class = false;
                    self.put(1, "]");
                }
                ']' => self.put(1, r"\]"),
                '(' if !self.class => self.group()?,
                other => {
                    self.out.push(other);
                    self.rest = &self.rest[other.len_utf8()..];
                }
            }
        }
        Ok(self.out)
    }

    fn put(&mut self, taken: usize, written: &str) {
        self.out.push_str(written);
        self.rest = &self.rest[taken..];
    }

    fn group(&mut self) -> Result<(), Refused> {
        let refused =
            |what: &str| Err((format!("the pattern uses {what}, which Weir does not support"), UNSUPPORTED.into()));
        for (start, name) in
            [("(?=", "look-ahead"), ("(?!", "look-ahead"), ("(?<=", "look-behind"), ("(?<!", "look-behind")]
        {
            if self.rest.starts_with(start) {
                return refused(&format!("{name} `{start}…)`"));
            }
        }
        self.put(1, "(");
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let Some(next) = self.rest[1..].chars().next() else {
            return Err(("the pattern ends in a single `\\`".to_owned(), "`\\\\` for a backslash".to_owned()));
        };
        match (next, self.class) {
            // ASCII in ECMA-262, Unicode in the `regex` crate.
            ('d', false) => self.put(2, "[0-9]"),
            ('d', true) => self.put(2, "0-9"),
            ('D', _) => self.put(2, "[^0-9]"),
            ('w', false) => self.put(2, "[A-Za-z0-9_]"),
            ('w', true) => self.put(2, "A-Za-z0-9_"),
            ('W', _) => self.put(2, "[^A-Za-z0-9_]"),
            ('b', false) => self.put(2, r"(?-u:\b)"),
            ('b', true) => self.put(2, r"\x08"),
            ('B', false) => {
                return Err(("the pattern uses `\\B`, which Weir does not support".into(), UNSUPPORTED.into()));
            }
            ('0', _) => self.put(2, r"\x00"),
            ('1'..='9', _) => {
                return Err((
                    format!("the pattern uses the back-reference `\\{next}`, which Weir does not support"),
                    UNSUPPORTED.into(),
                ));
            }
            ('k', _) => {
                return Err((
                    "the pattern uses a named back-reference, which Weir does not support".into(),
                    UNSUPPORTED.into(),
                ));
            }
            ('c', _) => {
                return Err((
                    "the pattern uses a control escape `\\c`, which Weir does not support".into(),
                    "`\\xHH`".into(),
                ));
            }
            _ => {
                let taken = 1 + next.len_utf8();
                let written = self.rest[..taken].to_owned();
                self.put(taken, &written);
            }
        }
        Ok(())
    }
}

const UNSUPPORTED: &str = "it without, or as a condition under `weir.conditions`";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        regex::Regex::new(&translate(pattern).unwrap()).unwrap().is_match(text)
    }

    #[test]
    fn patterns_mean_what_ecma_says() {
        assert!(found(r"^\d+$", "123"));
        assert!(!found(r"^\d+$", "١٢٣"), "ECMA's digits are ASCII");
        assert!(found("b", "abc"), "a search, not a full match");
        assert!(found(r"^[[a]+$", "[a["));
        assert!(found(r"^[a&&b]+$", "&"));
        assert!(found(r"^[\w.-]+$", "a.b-c_9"));
        assert!(found(r"^a\/b$", "a/b"));
        assert!(found("^[^]$", "\n"));
        assert!(!found("[]", "a"));
        assert!(found(r"^(?<year>[0-9]{4})$", "2020"));
        assert!(found(r"^\u0041$", "A"));
        assert!(found("]", "]"));
    }

    #[test]
    fn what_needs_backtracking_is_refused_by_name() {
        for (pattern, name) in
            [(r"(a)\1", "back-reference"), ("(?=a)", "look-ahead"), ("(?<!a)b", "look-behind"), ("(", "cannot be read")]
        {
            let (what, _) = translate(pattern).unwrap_err();
            assert!(what.contains(name), "{what}");
        }
        assert!(translate("((a{1000}){1000}){1000}").is_err());
        assert!(translate("a\\").is_err());
    }
}
