//! Numbers as files write them: with a decimal comma, with thousands apart. Knows nothing of their types.

/// What stands in a number besides its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numerals {
    pub(crate) decimal: u8,
    pub(crate) thousands: Option<u8>,
}

impl Default for Numerals {
    fn default() -> Self {
        Self { decimal: b'.', thousands: None }
    }
}

impl Numerals {
    /// As a contract says it.
    pub(crate) fn of(dialect: &contract::Dialect) -> Self {
        let byte = |letter: char| u8::try_from(letter).unwrap_or(b'.');
        Self { decimal: byte(dialect.decimal), thousands: dialect.thousands.map(byte) }
    }

    /// Whether a text is as programs write it without being asked.
    pub(crate) fn is_plain(self) -> bool {
        self == Self::default()
    }

    /// The number with a point and without anything between its thousands, in `room`; `None` where the text
    /// is not written so: a point where there is a decimal comma, thousands that are not three digits.
    pub(crate) fn plain<'r>(self, text: &str, room: &'r mut String) -> Option<&'r str> {
        room.clear();
        let bytes = text.as_bytes();
        let mark = bytes.iter().position(|byte| *byte == self.decimal || matches!(byte, b'e' | b'E'));
        let (whole, rest) = text.split_at_checked(mark.unwrap_or(text.len()))?;
        let mut groups = 0;
        let mut length = 0;
        for letter in whole.chars() {
            if self.thousands.is_some_and(|mark| letter == char::from(mark)) {
                if (groups > 0 && length != 3) || !(1..=3).contains(&length) {
                    return None;
                }
                groups += 1;
                length = 0;
            } else if letter.is_ascii_digit() {
                length += 1;
                room.push(letter);
            } else if matches!(letter, '-' | '+') && room.is_empty() {
                room.push(letter);
            } else {
                return None;
            }
        }
        if groups > 0 && length != 3 {
            return None;
        }
        for (index, letter) in rest.chars().enumerate() {
            match letter {
                _ if index == 0 && letter == char::from(self.decimal) => room.push('.'),
                '0'..='9' | 'e' | 'E' | '-' | '+' => room.push(letter),
                _ => return None,
            }
        }
        Some(room)
    }
}

/// What a number looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    /// Its value, where it is whole, without a point, and fits.
    pub(crate) whole: Option<i64>,
    pub(crate) value: f64,
    /// Digits before and after the point; none where there is an exponent.
    pub(crate) digits: Option<(u32, u32)>,
    /// A point, and nothing but zeros behind it.
    pub(crate) zeros: bool,
    /// `007`, `+49…`: a number that is a name.
    pub(crate) name: bool,
}

/// Looks at a number with a decimal point.
pub(crate) fn look(text: &[u8]) -> Option<Seen> {
    let (sign, rest) = match text.split_first()? {
        (b'-', rest) => (Some(b'-'), rest),
        (b'+', rest) => (Some(b'+'), rest),
        _ => (None, text),
    };
    let mut whole: u64 = 0;
    let (mut before, mut after, mut point, mut fits, mut zeros) = (0_u32, 0_u32, false, true, true);
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'0'..=b'9' if !point => {
                before += 1;
                let digit = u64::from(byte - b'0');
                match whole.checked_mul(10).and_then(|number| number.checked_add(digit)) {
                    Some(number) => whole = number,
                    None => fits = false,
                }
            }
            b'0'..=b'9' => {
                after += 1;
                zeros &= *byte == b'0';
            }
            b'.' if !point => point = true,
            b'e' | b'E' if before + after > 0 && index + 1 < rest.len() => {
                let value = std::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
                return Some(Seen { whole: None, value, digits: None, zeros: false, name: false });
            }
            _ => return None,
        }
    }
    if before + after == 0 {
        return None;
    }
    let name = (before > 1 && rest.first() == Some(&b'0')) || (sign == Some(b'+') && !point && before > 6);
    let signed = if sign == Some(b'-') { 0_i64.checked_sub_unsigned(whole) } else { i64::try_from(whole).ok() };
    let signed = signed.filter(|_| fits);
    let value = match signed {
        Some(number) if !point => number as f64,
        _ => std::str::from_utf8(text).ok()?.parse::<f64>().ok()?,
    };
    let zeros = point && zeros;
    Some(Seen { whole: signed.filter(|_| !point || zeros), value, digits: Some((before, after)), zeros, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_three_digits_each() {
        let numerals = Numerals { decimal: b',', thousands: Some(b'.') };
        let mut room = String::new();
        for (text, plain) in [
            ("1.234,5", Some("1234.5")),
            ("-12", Some("-12")),
            ("1.23", None),
            ("12.345.678", Some("12345678")),
            ("1234.567", None),
            ("1,2e3", Some("1.2e3")),
        ] {
            assert_eq!(numerals.plain(text, &mut room), plain, "{text}");
        }
    }

    #[test]
    fn what_a_number_looks_like_is_seen() {
        let whole = |text: &str| look(text.as_bytes()).and_then(|seen| seen.whole);
        assert_eq!(whole("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(whole("9223372036854775808"), None);
        assert_eq!(whole("5.00"), Some(5));
        assert!(look(b"007").is_some_and(|seen| seen.name) && look(b"+4930123456").is_some_and(|seen| seen.name));
        assert_eq!(look(b"12.50").and_then(|seen| seen.digits), Some((2, 2)));
        assert!(look(b"1e5").is_some_and(|seen| seen.value == 1e5 && seen.digits.is_none()));
        assert!([&b""[..], b"-", b".", b"1.2.3", b"1-2", b"e5", b"1e", b"nan"].iter().all(|text| look(text).is_none()));
    }
}
