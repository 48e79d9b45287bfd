//! Rules for fields, from what was seen of their values: with slack, so that tomorrow's ordinary record
//! keeps them too, and with their evidence.

use super::fields::{Field, inner, tokens};
use super::kind::Kind;
use super::leaf::{FIRST_PATTERN, Leaf};
use super::texts::Kinds;
use super::tree::Place;
use crate::moment;

/// Fewer values say nothing about those that will come.
const ENOUGH: u64 = 20;
/// Most values of an enumeration.
const MAX_VALUES: usize = 30;
/// How often each of them occurs on average, at least.
const REPEATS: u64 = 10;

/// What a draft demands of the values of a field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) minimum: Option<String>,
    pub(crate) maximum: Option<String>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) pattern: Option<String>,
    pub(crate) format: Option<&'static str>,
    pub(crate) values: Vec<String>,
}

impl Rules {
    /// Takes a rule back, by the word that its id ends in.
    pub(crate) fn remove(&mut self, rule: &str) {
        match rule {
            "minimum" => self.minimum = None,
            "maximum" => self.maximum = None,
            "minLength" => self.min_length = None,
            "maxLength" => self.max_length = None,
            "pattern" => self.pattern = None,
            "format" => self.format = None,
            "invalidValues" => self.values.clear(),
            _ => *self = Self::default(),
        }
    }

    /// Whether `logicalTypeOptions` say any of it.
    pub(crate) fn has_options(&self) -> bool {
        self.minimum.is_some()
            || self.maximum.is_some()
            || self.min_length.is_some()
            || self.max_length.is_some()
            || self.pattern.is_some()
            || self.format.is_some()
    }
}

/// Finds rules for all fields.
pub(crate) fn find(fields: &mut [Field], place: &Place, nulls: &[String]) {
    for field in fields.iter_mut() {
        let Some((_, seen)) = place.members.iter().find(|(name, _)| *name == field.original) else { continue };
        of_field(field, seen, nulls);
        find(&mut field.fields, inner(seen), nulls);
    }
}

fn of_field(field: &mut Field, place: &Place, nulls: &[String]) {
    let leaf = &place.leaf;
    personal(field, leaf);
    match &field.kind {
        Kind::Int | Kind::Long => whole_range(field, leaf),
        Kind::Float | Kind::Double | Kind::Decimal { .. } => range(field, leaf),
        Kind::Text => text(field, leaf, tokens(leaf, nulls).1),
        Kind::Date | Kind::Time { .. } | Kind::Timestamp { .. } => span(field, leaf),
        Kind::Array(_) if place.arrays > 0 => {
            field.notes.push(format!("observed {} items", extent(place.shortest, place.longest)));
        }
        Kind::Union(_) => field.notes.push("values of several types; decide for one if you can".to_owned()),
        _ => {}
    }
    if leaf.present() + leaf.blanks + tokens(leaf, nulls).1 == 0 && place.arrays + place.objects == 0 {
        field.notes.push("no value was there to tell its type by".to_owned());
    }
    let (tokens, _) = tokens(leaf, nulls);
    let missing = leaf.nulls + tokens;
    if missing > 0 && leaf.present() > 0 {
        field.notes.push(format!("null in {} of {}", grouped(missing), grouped(missing + leaf.present())));
    }
}

/// The first number of 1, 2 or 5 times a power of ten that is not less.
fn up(number: f64) -> f64 {
    if number <= 0.0 {
        return 0.0;
    }
    let power = 10_f64.powi(number.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= number * (1.0 - 1e-12))
        .unwrap_or(number)
}

/// What is known of numbers with such a name, whatever was observed.
fn known(name: &str, least: f64, most: f64) -> Option<(f64, f64)> {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    let alone = |wanted: &[&str]| wanted.contains(&name.as_str());
    let bounds = match () {
        () if is(&["lat", "latitude"]) => (-90.0, 90.0),
        () if is(&["lon", "lng", "long", "longitude"]) => (-180.0, 180.0),
        () if alone(&["month"]) => (1.0, 12.0),
        () if alone(&["day"]) => (1.0, 31.0),
        () if alone(&["hour"]) => (0.0, 24.0),
        () if alone(&["minute", "second"]) => (0.0, 59.0),
        () if is(&["percent", "pct", "percentage"]) => (0.0, 100.0),
        () if is(&["year"]) && (1000.0..=2100.0).contains(&least) => ((least / 10.0).floor() * 10.0 - 10.0, 2100.0),
        () => return None,
    };
    (least >= bounds.0 && most <= bounds.1).then_some(bounds)
}

/// Bounds with room: zero where nothing is below it, and round numbers well beyond the rest.
fn bounds(least: f64, most: f64) -> (f64, f64) {
    let low = if least >= 0.0 { 0.0 } else { -up(-least * 1.25) };
    // Nothing is known of how far the other side goes where nothing was there.
    let high = match most {
        ..=0.0 => 0.0,
        // Shares and flags.
        _ if most <= 1.0 && least >= 0.0 => 1.0,
        _ => up(most * 1.25),
    };
    (low, high)
}

fn observe(field: &mut Field, count: u64, least: &str, most: &str) {
    let observed = format!("observed {least} to {most} in {}", grouped(count));
    field.notes.push(if field.classification.is_some() { format!("observed in {}", grouped(count)) } else { observed });
}

fn whole_range(field: &mut Field, leaf: &Leaf) {
    let numbers = &leaf.numbers;
    if numbers.count == 0 {
        return;
    }
    observe(field, numbers.count, &numbers.least_whole.to_string(), &numbers.most_whole.to_string());
    if numbers.count < ENOUGH || numbers.broken {
        return;
    }
    let (least, most) = (numbers.least_whole as f64, numbers.most_whole as f64);
    let (low, high) = known(&field.name, least, most).unwrap_or_else(|| bounds(least, most));
    // A number that only names something has no end.
    let names = field.name.to_ascii_lowercase().ends_with("id");
    let limit = if field.kind == Kind::Int { f64::from(i32::MAX) } else { 9e15 };
    let fits = |bound: f64| (bound.abs() <= limit).then(|| (bound as i64).to_string());
    field.rules.minimum = fits(low);
    field.rules.maximum = fits(high).filter(|_| !names);
}

fn range(field: &mut Field, leaf: &Leaf) {
    let numbers = &leaf.numbers;
    if numbers.count == 0 {
        return;
    }
    observe(field, numbers.count, &numbers.least.to_string(), &numbers.most.to_string());
    if numbers.infinite > 0 {
        field.notes.push("infinite in some, which no range holds".to_owned());
        return;
    }
    if numbers.count < ENOUGH {
        return;
    }
    let (low, high) =
        known(&field.name, numbers.least, numbers.most).unwrap_or_else(|| bounds(numbers.least, numbers.most));
    let (digits, scale) = match field.kind {
        Kind::Decimal { precision, scale } => (precision - scale, scale),
        _ => (300, 300),
    };
    // A bound must be a value that the field can have.
    let fits = |bound: f64| {
        let text = bound.to_string();
        let after = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let limit = 10_f64.powi(i32::try_from(digits).unwrap_or(300));
        (bound.abs() < limit && after <= usize::try_from(scale).unwrap_or(0)).then_some(text)
    };
    field.rules.minimum = fits(low);
    field.rules.maximum = fits(high);
}

fn span(field: &mut Field, leaf: &Leaf) {
    let Some((way, (first, last))) = leaf.way().and_then(|way| Some((way, leaf.moments.get(way)?))) else { return };
    if first > last {
        return;
    }
    let show = |seconds: i64| match field.kind {
        Kind::Date => moment::date(seconds.div_euclid(86_400)),
        Kind::Time { .. } => moment::time(seconds, 1),
        Kind::Timestamp { local, .. } => moment::date_time(seconds, 1, !local),
        _ => String::new(),
    };
    let (first, last) = (show(*first), show(*last));
    observe(field, leaf.texts, &first, &last);
    let others = leaf.ways & !(1 << way) & !((1 << FIRST_PATTERN) - 1);
    if others != 0
        && let Some(format) = field.format
    {
        let other = usize::try_from(others.trailing_zeros()).unwrap_or(0).saturating_sub(FIRST_PATTERN);
        let other = super::leaf::PATTERNS.get(other).copied().unwrap_or_default();
        field.notes.push(format!("every value can be read as {format} and as {other}: decide which is meant"));
    }
}

fn text(field: &mut Field, leaf: &Leaf, token_values: u64) {
    let count = leaf.texts + token_values;
    if leaf.texts == 0 {
        return;
    }
    // Tokens that are values all the same are of no kind.
    let pure = token_values == 0 && leaf.blanks == 0;
    let kinds = leaf.kinds;
    if pure {
        let formats = [(Kinds::EMAIL, "email"), (Kinds::URI, "uri"), (Kinds::IPV4, "ipv4"), (Kinds::IPV6, "ipv6")];
        field.rules.format = formats.into_iter().find(|(kind, _)| kinds.has(*kind)).map(|(_, format)| format);
        if let Some(format) = field.rules.format {
            field.notes.push(format!("each of {} is {format}", grouped(count)));
            return;
        }
    }
    let classified = field.classification.is_some();
    if let Some(values) = leaf.counted.all().filter(|_| pure && !classified) {
        let few = (2..=MAX_VALUES).contains(&values.len()) && count >= ENOUGH.max(values.len() as u64 * REPEATS);
        if few && values.iter().all(|(value, _)| !value.contains('\n')) {
            field.rules.values = values.iter().map(|(value, _)| (*value).to_owned()).collect();
            field.notes.push(format!("{} values in {}; add those that may come", values.len(), grouped(count)));
            return;
        }
    }
    if pure && count >= ENOUGH {
        let known = [(Kinds::COUNTRY, "^[A-Z]{2}$", "ISO country"), (Kinds::CURRENCY, "^[A-Z]{3}$", "ISO currency")];
        if let Some((_, pattern, what)) = known.into_iter().find(|(kind, ..)| kinds.has(*kind)) {
            field.rules.pattern = Some(pattern.to_owned());
            field.notes.push(format!("each of {} is an {what}", grouped(count)));
            return;
        }
        if let Some(pattern) = leaf.code.pattern() {
            field.notes.push(format!(
                "codes of {} characters in {}",
                extent(leaf.shortest, leaf.longest),
                grouped(count)
            ));
            field.rules.pattern = Some(pattern);
            return;
        }
    }
    lengths(field, leaf, count);
}

fn lengths(field: &mut Field, leaf: &Leaf, count: u64) {
    if leaf.longest == u64::MAX {
        field.notes.push("some values are not UTF-8".to_owned());
        return;
    }
    let (shortest, longest) = if leaf.shortest > leaf.longest { (0, 0) } else { (leaf.shortest, leaf.longest) };
    field.notes.push(format!("observed {} characters in {}", extent(shortest, longest), grouped(count)));
    if count >= ENOUGH {
        field.rules.max_length = Some(up(longest as f64 * 2.0) as u64).filter(|length| *length > 0);
        field.rules.min_length = (shortest > 0).then_some(1);
    }
}

/// Personal data, by the field's name or by all of its values.
fn personal(field: &mut Field, leaf: &Leaf) {
    if field.kind == Kind::Boolean || matches!(field.kind, Kind::Double | Kind::Float) {
        return;
    }
    let by_value = [
        (Kinds::EMAIL, "e-mail addresses", "confidential"),
        (Kinds::IBAN, "IBANs with the right check digits", "restricted"),
        (Kinds::CARD, "card numbers with the right check digit", "restricted"),
        (Kinds::NATIONAL, "numbers of persons", "restricted"),
        (Kinds::IPV4, "addresses on the Internet", "confidential"),
        (Kinds::IPV6, "addresses on the Internet", "confidential"),
        (Kinds::PHONE, "telephone numbers", "confidential"),
    ];
    let enough = leaf.texts >= 5;
    if let Some((_, what, class)) = by_value.into_iter().find(|(kind, ..)| enough && leaf.kinds.has(*kind)) {
        field.classification = Some(class);
        field.notes.push(format!("personal data? its values are {what}"));
    } else if let Some(what) =
        contract::odcs::personal(&field.name).or_else(|| contract::odcs::personal(&field.original))
    {
        field.classification = Some("confidential");
        field.notes.push(format!("personal data? by its name it is {what}"));
    }
}

/// The first field whose values all differ, those first that are called so.
pub(crate) fn primary_key(fields: &mut [Field], place: &Place) {
    let unique = |field: &Field| {
        let seen = place.members.iter().find(|(name, _)| *name == field.original);
        seen.filter(|(_, seen)| seen.leaf.unique.is_unique() && seen.leaf.present() >= 2)
            .map(|(_, seen)| seen.leaf.present())
    };
    let called = |field: &Field| {
        let name = field.name.to_ascii_lowercase();
        ["id", "key", "code", "number", "uuid"].iter().any(|end| name.ends_with(end))
    };
    let fits = |field: &Field| {
        !field.nullable
            && field.classification.is_none()
            && matches!(field.kind, Kind::Text | Kind::Uuid | Kind::Int | Kind::Long)
    };
    let found: Vec<(usize, u64, bool)> = fields
        .iter()
        .enumerate()
        .filter(|(_, field)| fits(field))
        .filter_map(|(index, field)| unique(field).map(|count| (index, count, called(field))))
        .collect();
    let best = found
        .iter()
        .find(|(.., called)| *called)
        .or_else(|| found.iter().find(|(index, ..)| *index == 0 && !named_only(fields)));
    for (index, count, _) in &found {
        if let Some(field) = fields.get_mut(*index) {
            field.primary = best.is_some_and(|(best, ..)| best == index);
            if field.primary {
                // Tomorrow's keys go on where today's end.
                field.rules.maximum = None;
            }
            field.notes.push(format!("each of {} is there once", grouped(*count)));
        }
    }
}

/// Whether the first column is a name, of which tomorrow's may come twice.
fn named_only(fields: &[Field]) -> bool {
    fields.first().is_some_and(|field| field.name.to_ascii_lowercase().ends_with("name"))
}

/// "3" or "3 to 5".
fn extent(least: u64, most: u64) -> String {
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

/// 336764 as 336,764.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_room_and_are_round() {
        assert_eq!(bounds(0.0, 1301.0), (0.0, 2000.0));
        assert_eq!(bounds(-43.0, 1301.0), (-100.0, 2000.0));
        assert_eq!(bounds(3.0, 8.0), (0.0, 10.0));
        assert_eq!(bounds(-5.0, -1.0), (-10.0, 0.0));
        assert_eq!(known("dep_month", 1.0, 12.0), None);
        assert_eq!(known("month", 1.0, 12.0), Some((1.0, 12.0)));
        assert_eq!(known("month", 0.0, 12.0), None);
        assert_eq!(known("year", 1956.0, 2013.0), Some((1940.0, 2100.0)));
        assert_eq!(up(0.0012), 0.002);
    }
}
