//! What kinds of text there are that mean something: addresses, codes, numbers of people and of accounts.
//! Each is a question to one text; a column is of a kind where all of its texts are.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Kinds of text, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(crate) const EMAIL: Self = Self(1);
    pub(crate) const URI: Self = Self(1 << 1);
    pub(crate) const UUID: Self = Self(1 << 2);
    pub(crate) const IPV4: Self = Self(1 << 3);
    pub(crate) const IPV6: Self = Self(1 << 4);
    pub(crate) const PHONE: Self = Self(1 << 5);
    pub(crate) const IBAN: Self = Self(1 << 6);
    pub(crate) const CARD: Self = Self(1 << 7);
    pub(crate) const NATIONAL: Self = Self(1 << 8);
    pub(crate) const COUNTRY: Self = Self(1 << 9);
    pub(crate) const CURRENCY: Self = Self(1 << 10);
    const ALL: Self = Self((1 << 11) - 1);

    pub(crate) fn has(self, kind: Self) -> bool {
        self.0 & kind.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Keeps the kinds that this text is of.
    pub(crate) fn keep(&mut self, text: &str) {
        for (kind, is) in QUESTIONS {
            if self.has(kind) && !is(text) {
                self.0 &= !kind.0;
            }
        }
    }
}

impl Default for Kinds {
    /// All of them: nothing was seen yet.
    fn default() -> Self {
        Self::ALL
    }
}

type Question = (Kinds, fn(&str) -> bool);

const QUESTIONS: [Question; 11] = [
    (Kinds::EMAIL, email),
    (Kinds::URI, uri),
    (Kinds::UUID, uuid),
    (Kinds::IPV4, |text| text.parse::<Ipv4Addr>().is_ok()),
    (Kinds::IPV6, |text| text.contains(':') && text.parse::<Ipv6Addr>().is_ok()),
    (Kinds::PHONE, phone),
    (Kinds::IBAN, iban),
    (Kinds::CARD, card),
    (Kinds::NATIONAL, national),
    (Kinds::COUNTRY, |text| text.len() == 2 && listed(COUNTRIES, text)),
    (Kinds::CURRENCY, |text| text.len() == 3 && listed(CURRENCIES, text)),
];

/// As the contract's `format: email` has it, but for letters beyond ASCII.
fn email(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else { return false };
    let atom =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._%+-".contains(&b));
    let label = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    local.len() <= 64 && local.split('.').all(atom) && host.contains('.') && host.split('.').all(label)
}

fn uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    matches!(scheme, "http" | "https" | "ftp" | "s3" | "file")
        && !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b))
}

fn uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// With a `+` before it, or with signs between its digits that only telephone numbers have.
fn phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let signs = text.bytes().all(|b| b.is_ascii_digit() || b" +-()./x".contains(&b));
    let grouped = text.bytes().filter(|b| b"- /".contains(b)).count() >= 2;
    signs && (7..=15).contains(&digits) && (text.starts_with('+') || text.starts_with('(') || grouped && digits >= 10)
}

/// ISO 13616: the remainder by 97 is 1.
fn iban(text: &str) -> bool {
    let compact: Vec<u8> = text.bytes().filter(|b| *b != b' ').collect();
    let letters = |range: &[u8]| range.iter().all(u8::is_ascii_uppercase);
    let [first, second, third, fourth, rest @ ..] = compact.as_slice() else { return false };
    if !(15..=34).contains(&compact.len()) || !letters(&[*first, *second]) {
        return false;
    }
    let moved = rest.iter().chain([first, second, third, fourth]);
    let mut remainder = 0_u32;
    for byte in moved {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => remainder * 100 + u32::from(byte - b'A') + 10,
            _ => return false,
        } % 97;
    }
    remainder == 1
}

/// 13 to 19 digits, of which the last is their check digit (Luhn) and the first that of a card's network.
fn card(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let others = text.bytes().any(|b| !(b.is_ascii_digit() || b == b' ' || b == b'-'));
    if others || !(13..=19).contains(&digits.len()) || !matches!(digits.first(), Some(2..=6)) {
        return false;
    }
    let doubled = |(index, digit): (usize, &u8)| {
        let twice = u32::from(*digit) * 2;
        if index % 2 == 1 { twice / 10 + twice % 10 } else { u32::from(*digit) }
    };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// A social security number of the United States, or a national insurance number of the United Kingdom.
fn national(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = |wanted: &[u8]| {
        bytes.len() == wanted.len()
            && bytes.iter().zip(wanted).all(|(byte, wanted)| match wanted {
                b'9' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                other => byte == other,
            })
    };
    shape(b"999-99-9999") && !text.starts_with("000") || shape(b"AA999999A")
}

/// Whether a code of the same length as all others stands in a sorted list of them, a blank between two.
fn listed(list: &str, code: &str) -> bool {
    let (list, code) = (list.as_bytes(), code.as_bytes());
    let step = code.len() + 1;
    let (mut low, mut high) = (0, list.len().div_ceil(step));
    while low < high {
        let middle = low + (high - low) / 2;
        let at = middle * step;
        match list.get(at..at + code.len()).unwrap_or_default().cmp(code) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

/// ISO 3166-1 alpha-2.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// ISO 4217.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL";

/// The letters of a code: which classes stand at each place of texts that are all of a few lengths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Code {
    places: Vec<u8>,
    shortest: usize,
    broken: bool,
}

const UPPER: u8 = 1;
const LOWER: u8 = 2;
const DIGIT: u8 = 4;
/// Longest text that is still a code, in characters.
const MAX_CODE: usize = 12;

impl Code {
    pub(crate) fn take(&mut self, text: &[u8]) {
        if self.broken {
            return;
        }
        if text.len() > MAX_CODE || !text.is_ascii() {
            self.broken = true;
            return;
        }
        self.shortest = if self.places.is_empty() { text.len() } else { self.shortest.min(text.len()) };
        self.places.resize(self.places.len().max(text.len()), 0);
        for (place, byte) in self.places.iter_mut().zip(text) {
            *place |= match byte {
                b'A'..=b'Z' => UPPER,
                b'a'..=b'z' => LOWER,
                b'0'..=b'9' => DIGIT,
                b'-' => 8,
                b'_' => 16,
                b'.' => 32,
                b'/' => 64,
                _ => {
                    self.broken = true;
                    return;
                }
            };
        }
    }

    /// The pattern of the codes, where it says something: runs of capitals and digits and fixed signs, of one
    /// length or nearly so.
    pub(crate) fn pattern(&self) -> Option<String> {
        let length = self.places.len();
        if self.broken || length < 2 || self.shortest + 3 < length || self.shortest == 0 {
            return None;
        }
        // Small letters are words, and digits alone are numbers.
        let lower = self.places.iter().any(|place| place & LOWER != 0);
        let upper = self.places.iter().any(|place| place & UPPER != 0);
        let hex = self.places.iter().all(|place| place & UPPER == 0) && length >= 8;
        if (lower && !hex) || (!upper && length > self.shortest) {
            return None;
        }
        let mut pattern = "^".to_owned();
        let places = self.with_slack();
        let mut rest = places.as_slice();
        let mut at = 0;
        while let Some(first) = rest.first() {
            let run = rest.iter().take_while(|place| *place == first).count();
            let sure = self.shortest.saturating_sub(at).min(run);
            pattern.push_str(&class(*first)?);
            match (sure, run) {
                (1, 1) => {}
                (sure, run) if sure == run => pattern.push_str(&format!("{{{run}}}")),
                (sure, run) => pattern.push_str(&format!("{{{sure},{run}}}")),
            }
            at += run;
            rest = rest.get(run..).unwrap_or_default();
        }
        pattern.push('$');
        Some(pattern)
    }
}

impl Code {
    /// Where capitals and digits stand at the same place, they may stand at all places but the first ones.
    fn with_slack(&self) -> Vec<u8> {
        let mixed = self.places.contains(&(UPPER | DIGIT));
        let letters = self.places.iter().take_while(|place| **place == UPPER).count();
        let loosen = |(index, place): (usize, &u8)| match *place {
            UPPER | DIGIT if mixed && index >= letters => UPPER | DIGIT,
            place => place,
        };
        self.places.iter().enumerate().map(loosen).collect()
    }
}

/// A class of characters as a pattern; a sign that is not alone is no code.
fn class(place: u8) -> Option<String> {
    let sign = match place & !(UPPER | LOWER | DIGIT) {
        0 => None,
        8 => Some("-"),
        16 => Some("_"),
        32 => Some("\\."),
        64 => Some("/"),
        _ => return None,
    };
    let letters = place & (UPPER | LOWER | DIGIT);
    match (sign, letters) {
        (Some(sign), 0) => Some(sign.to_owned()),
        (Some(_), _) => None,
        (None, _) => {
            let mut class = "[".to_owned();
            for (bit, range) in [(UPPER, "A-Z"), (LOWER, "a-z"), (DIGIT, "0-9")] {
                if letters & bit != 0 {
                    class.push_str(range);
                }
            }
            class.push(']');
            Some(class)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Kinds {
        let mut kinds = Kinds::default();
        texts.iter().for_each(|text| kinds.keep(text));
        kinds
    }

    #[test]
    fn texts_are_of_the_kinds_that_they_are() {
        for (kind, texts) in [
            (Kinds::EMAIL, ["ann@example.org", "b.c+d@mail.example.com"]),
            (Kinds::IBAN, ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"]),
            (Kinds::CARD, ["4111 1111 1111 1111", "5500005555555559"]),
            (Kinds::NATIONAL, ["078-05-1120", "AB123456C"]),
            (Kinds::PHONE, ["+49 30 1234567", "(212) 555-0100"]),
            (Kinds::COUNTRY, ["DE", "NA"]),
            (Kinds::CURRENCY, ["EUR", "USD"]),
            (Kinds::IPV6, ["::1", "2001:db8::1"]),
            (Kinds::URI, ["https://example.org/a?b=c", "http://x"]),
        ] {
            assert!(of(&texts) == kind, "{texts:?}: {:?}", of(&texts));
        }
        for text in ["4111 1111 1111 1112", "DE89370400440532013001", "2013-01-31", "12.5", "word", "192.168.0.256"] {
            assert!(of(&[text]).is_empty(), "{text}");
        }
    }

    #[test]
    fn codes_have_patterns_and_words_have_none() {
        let pattern = |texts: &[&str]| {
            let mut code = Code::default();
            texts.iter().for_each(|text| code.take(text.as_bytes()));
            code.pattern()
        };
        assert_eq!(pattern(&["EWR", "JFK"]).as_deref(), Some("^[A-Z]{3}$"));
        assert_eq!(pattern(&["N12345", "N1A3"]).as_deref(), Some("^[A-Z][A-Z0-9]{3,5}$"));
        assert_eq!(pattern(&["AB-12", "CD-34"]).as_deref(), Some("^[A-Z]{2}-[0-9]{2}$"));
        assert_eq!(pattern(&["Tokyo", "Paris"]), None);
        assert_eq!(pattern(&["007", "010"]).as_deref(), Some("^[0-9]{3}$"));
        assert_eq!(pattern(&["a b"]), None);
    }
}
