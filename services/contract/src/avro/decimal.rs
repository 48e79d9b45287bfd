//! Decimals between digits and two's-complement bytes, exact at any size within a bound.

/// Longest unscaled integer that is written as digits, in bytes; longer ones would be dear.
const MAX_BYTES: usize = 256;
/// Most digits read.
const MAX_DIGITS: usize = 600;

/// The decimal that these big-endian two's-complement bytes are, with `scale` digits after the point;
/// `None` where they are more than 256 bytes or the scale more than 600.
pub(super) fn text(bytes: &[u8], scale: u32) -> Option<String> {
    let scale = usize::try_from(scale).ok().filter(|scale| *scale <= MAX_DIGITS)?;
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let magnitude = if negative { negate(bytes) } else { bytes.to_vec() };
    let mut digits = digits(magnitude);
    while digits.len() <= scale {
        digits.insert(0, '0');
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if negative {
        digits.insert(0, '-');
    }
    Some(digits)
}

fn negate(bytes: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut out: Vec<u8> = bytes
        .iter()
        .rev()
        .map(|byte| {
            let (sum, over) = (!byte).overflowing_add(u8::from(carry));
            carry = over;
            sum
        })
        .collect();
    out.reverse();
    out
}

/// Decimal digits of a big-endian magnitude, without leading zeros but at least one.
fn digits(mut magnitude: Vec<u8>) -> String {
    let mut reversed = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut magnitude {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 10).unwrap_or(u8::MAX);
            rest = value % 10;
        }
        reversed.push(char::from_digit(rest, 10).unwrap_or('0'));
    }
    if reversed.is_empty() {
        reversed.push('0');
    }
    reversed.into_iter().rev().collect()
}

/// The shortest big-endian two's-complement bytes of a decimal text (`-12.50`, `1e3`) at this scale.
///
/// # Errors
/// What is wrong with it, to follow the value in a sentence.
pub(super) fn unscaled(text: &str, precision: u32, scale: u32) -> Result<Vec<u8>, String> {
    let (negative, digits, exponent) = parts(text).ok_or("is not a decimal number like 12.50")?;
    // The unscaled integer is digits × 10^(exponent + scale).
    let shift = exponent.saturating_add(i64::from(scale));
    let mut digits = digits.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Ok(vec![0]);
    }
    if shift < 0 {
        let cut = usize::try_from(-shift).unwrap_or(usize::MAX);
        let zeros = digits.len() - digits.trim_end_matches('0').len();
        if cut > zeros {
            return Err(format!("has more than {scale} digits after the point"));
        }
        digits.truncate(digits.len() - cut);
    } else {
        let room = usize::try_from(shift).unwrap_or(usize::MAX);
        if room.saturating_add(digits.len()) > MAX_DIGITS {
            return Err(format!("has more than {} digits", precision.min(MAX_DIGITS as u32)));
        }
        digits.extend(std::iter::repeat_n('0', room));
    }
    if digits.len() > usize::try_from(precision).unwrap_or(usize::MAX) {
        return Err(format!("has more than {precision} digits, {scale} of them after the point"));
    }
    Ok(bytes(negative, &digits))
}

/// Sign, digits and exponent of ten.
fn parts(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let exponent = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    Some((negative, digits, exponent))
}

fn bytes(negative: bool, digits: &str) -> Vec<u8> {
    let mut reversed: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u32::from(digit.saturating_sub(b'0'));
        for byte in &mut reversed {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            reversed.push((carry & 0xff) as u8);
        }
    }
    // One byte for the sign; what is not needed of it goes.
    reversed.push(0);
    reversed.reverse();
    let mut out = if negative { negate(&reversed) } else { reversed };
    while let [first, second, ..] = out.as_slice() {
        let spare = (*first == 0 && second & 0x80 == 0) || (*first == 0xff && second & 0x80 != 0);
        if !spare {
            break;
        }
        out.remove(0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_back() {
        for number in
            ["0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "99999999999999999999999999999999999999"]
        {
            let bytes = unscaled(number, 38, 0).expect("fits");
            assert_eq!(text(&bytes, 0).as_deref(), Some(number), "{bytes:?}");
        }
        assert_eq!(unscaled("-1", 5, 0), Ok(vec![0xff]));
        assert_eq!(unscaled("128", 5, 0), Ok(vec![0, 0x80]));
    }

    #[test]
    fn scale_is_kept_and_nothing_is_rounded() {
        let there_and_back = |number: &str| unscaled(number, 6, 2).map(|bytes| text(&bytes, 2).expect("short"));
        assert_eq!(there_and_back("12.5"), Ok("12.50".to_owned()));
        assert_eq!(there_and_back("-0.05"), Ok("-0.05".to_owned()));
        assert_eq!(there_and_back("1e3"), Ok("1000.00".to_owned()));
        assert_eq!(there_and_back("1.2300"), Ok("1.23".to_owned()));
        assert!(there_and_back("1.234").is_err());
        assert!(there_and_back("12345").is_err());
        assert!(there_and_back("1e999999999").is_err());
        assert!(there_and_back("twelve").is_err());
    }
}
