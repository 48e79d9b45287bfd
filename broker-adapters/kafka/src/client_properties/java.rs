//! Two notations of Java's: properties files, and the lines of JAAS.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// One property, with the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) value: String,
}

/// Reads a properties file as `java.util.Properties` does, except that values are trimmed, as Kafka does later.
pub(super) fn properties(text: &str) -> Vec<Property> {
    logical_lines(text).into_iter().map(|(line, text)| property(line, &text)).collect()
}

/// Lines without comments, with those that end in a backslash that is not itself escaped joined to the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if !open && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
        let continues = backslashes % 2 == 1;
        let part = if continues { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some((_, last)) if open => last.push_str(part),
            _ => lines.push((index + 1, part.to_owned())),
        }
        open = continues;
    }
    lines
}

fn property(line: usize, text: &str) -> Property {
    let mut chars = text.chars().peekable();
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| !matches!(c, '=' | ':') && !c.is_ascii_whitespace()) {
        push(c, &mut chars, &mut name);
    }
    while chars.next_if(char::is_ascii_whitespace).is_some() {}
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
    }
    let mut value = String::new();
    while let Some(c) = chars.next() {
        push(c, &mut chars, &mut value);
    }
    Property { line, name, value: value.trim().to_owned() }
}

/// Appends a character, or what the escape that it begins stands for.
fn push(c: char, rest: &mut Peekable<Chars<'_>>, to: &mut String) {
    if c != '\\' {
        return to.push(c);
    }
    match rest.next() {
        Some('t') => to.push('\t'),
        Some('n') => to.push('\n'),
        Some('r') => to.push('\r'),
        Some('f') => to.push('\u{c}'),
        Some('u') => {
            let digits: String = rest.by_ref().take(4).collect();
            let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
            to.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Some(other) => to.push(other),
        None => {}
    }
}

/// A line of JAAS: a class, a flag, options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) module: String,
    pub(super) options: BTreeMap<String, String>,
}

/// Reads `org.x.LoginModule required name="value" other=word;`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn login(text: &str) -> Result<Login, String> {
    let mut chars = text.chars().peekable();
    let module = word(&mut chars)?;
    let flag = word(&mut chars)?;
    if module.is_empty() || !["required", "requisite", "sufficient", "optional"].contains(&flag.as_str()) {
        return Err("it begins with a login module and `required`".to_owned());
    }
    let mut options = BTreeMap::new();
    loop {
        match chars.peek() {
            Some(';') => return Ok(Login { module, options }),
            Some(c) if c.is_whitespace() => drop(chars.next()),
            Some(_) => {
                let name = word(&mut chars)?;
                if name.is_empty() || chars.next_if_eq(&'=').is_none() {
                    return Err(format!("after {name:?} there is no ="));
                }
                options.insert(name, word(&mut chars)?);
            }
            None => return Err("it does not end with ;".to_owned()),
        }
    }
}

/// The next word, quoted or not, without the space before it.
fn word(chars: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    while chars.next_if(|c| c.is_whitespace()).is_some() {}
    let mut word = String::new();
    let Some(quote) = chars.next_if(|c| matches!(c, '"' | '\'')) else {
        while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\'')) {
            word.push(c);
        }
        return Ok(word);
    };
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(word),
            '\\' => match chars.next() {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some('r') => word.push('\r'),
                Some(other) => word.push(other),
                None => {}
            },
            c => word.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String, String)> {
        properties(text).into_iter().map(|found| (found.line, found.name, found.value)).collect()
    }

    #[test]
    fn properties_are_read_as_java_reads_them() {
        let text = "# comment\n! another\n\n a = 1 \nb:2\nc 3\nd\n  e\\ f = g\\\n   h\\\\\ni=\\u0041\\n\\tz\n";
        let expected =
            [(4, "a", "1"), (5, "b", "2"), (6, "c", "3"), (7, "d", ""), (8, "e f", "gh\\"), (10, "i", "A\n\tz")];
        assert_eq!(read(text), expected.map(|(line, name, value)| (line, name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_login_has_quoted_options_and_bare_ones() {
        let read = login(r#"a.b.PlainLoginModule required username='anna' password="x\"y\\z;" serviceName=kafka;"#);
        let read = read.expect("it is well formed");
        assert_eq!(read.module, "a.b.PlainLoginModule");
        let options: Vec<_> = read.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(options, [("password", r#"x"y\z;"#), ("serviceName", "kafka"), ("username", "anna")]);
    }

    #[test]
    fn a_login_that_is_none_is_told() {
        for (text, expected) in [
            ("", "begins with a login module"),
            ("a.B mandatory;", "begins with a login module"),
            ("a.B required username=\"anna\"", "does not end with ;"),
            ("a.B required username=\"anna;", "not closed"),
            ("a.B required username;", "there is no ="),
        ] {
            let mistake = login(text).expect_err(text);
            assert!(mistake.contains(expected), "{text}: {mistake}");
        }
    }
}
