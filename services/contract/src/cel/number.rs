//! Numbers of different kinds on one line: exact comparison, and decimals as unscaled integers.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

/// Compares an integer with a double as numbers, without rounding either.
pub(super) fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    /// 2^63: the first double that no `i64` reaches.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= BEYOND {
        return Some(Ordering::Less);
    }
    if double < -BEYOND {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    #[expect(clippy::cast_possible_truncation, reason = "the bounds above hold it in i64")]
    let order = int.cmp(&(whole as i64));
    Some(order.then_with(|| whole.partial_cmp(&double).unwrap_or(Ordering::Equal)))
}

/// Compares two decimals, unscaled values with their scales, without rounding either.
pub(super) fn decimals(a: (i128, u32), b: (i128, u32)) -> Ordering {
    match a.1.cmp(&b.1) {
        Ordering::Equal => a.0.cmp(&b.0),
        Ordering::Greater => decimals(b, a).reverse(),
        Ordering::Less => match rescale(a, b.1) {
            Some(scaled) => scaled.cmp(&b.0),
            // It is beyond every i128, so its sign decides.
            None => a.0.cmp(&0),
        },
    }
}

/// The unscaled value at a scale that is not smaller; `None` where it leaves `i128`.
pub(super) fn rescale((unscaled, from): (i128, u32), to: u32) -> Option<i128> {
    if unscaled == 0 || from == to {
        return Some(unscaled);
    }
    unscaled.checked_mul(10_i128.checked_pow(to.checked_sub(from)?)?)
}

/// A double literal as the decimal it was written as: its shortest digits that read back as the same
/// double. `None` where they leave `i128`.
pub(super) fn decimal_of(double: f64) -> Option<(i128, u32)> {
    if !double.is_finite() {
        return None;
    }
    let text = double.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let unscaled = format!("{whole}{fraction}").parse().ok()?;
    Some((unscaled, u32::try_from(fraction.len()).ok()?))
}

/// Writes a decimal as people do: `-0.05`.
pub(super) fn write_decimal(unscaled: i128, scale: u32, out: &mut String) -> fmt::Result {
    let (sign, size) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs());
    match 10_u128.checked_pow(scale) {
        Some(1) => write!(out, "{sign}{size}"),
        Some(one) => write!(out, "{sign}{}.{:0width$}", size / one, size % one, width = scale as usize),
        // Beyond 38 digits: nothing stands before the point.
        None => write!(out, "{sign}0.{size:0width$}", width = (scale as usize).min(1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_compare_across_scales() {
        assert_eq!(decimals((110, 2), (11, 1)), Ordering::Equal);
        assert_eq!(decimals((i128::MAX, 0), (1, 38)), Ordering::Greater);
        assert_eq!(decimals((i128::MIN, 0), (i128::MIN, 10)), Ordering::Less);
        assert_eq!(decimals((0, 0), (0, 80)), Ordering::Equal);
        assert_eq!(decimals((-1, 0), (-99, 2)), Ordering::Less);
    }

    #[test]
    fn decimals_are_written_as_people_do() {
        for (unscaled, scale, text) in
            [(-5, 2, "-0.05"), (12_345, 2, "123.45"), (7, 0, "7"), (3, 40, &*format!("0.{}3", "0".repeat(39)))]
        {
            let mut out = String::new();
            assert!(write_decimal(unscaled, scale, &mut out).is_ok());
            assert_eq!(out, text);
        }
    }

    #[test]
    fn integers_compare_with_doubles_exactly() {
        assert_eq!(int_with_double(i64::MAX, 9_223_372_036_854_775_808.0), Some(Ordering::Less));
        assert_eq!(int_with_double(i64::MIN, -9_223_372_036_854_775_808.0), Some(Ordering::Equal));
        assert_eq!(int_with_double(-1, -1.5), Some(Ordering::Greater));
        assert_eq!(int_with_double(1, 1.5), Some(Ordering::Less));
        assert_eq!(int_with_double(0, f64::NAN), None);
    }

    #[test]
    fn a_literal_is_the_decimal_it_was_written_as() {
        assert_eq!(decimal_of(0.1), Some((1, 1)));
        assert_eq!(decimal_of(-19.99), Some((-1999, 2)));
        assert_eq!(decimal_of(1e300), None);
    }
}
