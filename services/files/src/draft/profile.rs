//! What a file holds, field by field: shares of null, distinct values, bounds, quantiles, the most frequent
//! values, a histogram.

use contract::program::sketch::bucket_bounds;

use super::fields::{Choice, Field, fields, given, inner, null_tokens, of_avro, tokens};
use super::kind::Kind;
use super::survey::{Given, Progress, Survey, survey};
use super::tree::Place;
use crate::guess::{Hints, guess};
use crate::{FileError, Input, moment};

/// Most of the frequent values that are told.
const TOP: usize = 5;
/// Bars of a histogram.
const BARS: usize = 20;
/// The quantiles that are told.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// A file's profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Records that were read.
    pub records: u64,
    /// Records that are none, and the line of the first.
    pub malformed: Option<(u64, u64)>,
    /// What was found out about the file: a clause each.
    pub said: Vec<String>,
    /// Its fields, those inside of others behind them.
    pub fields: Vec<FieldProfile>,
}

/// What a field holds.
#[derive(Debug, Clone)]
pub struct FieldProfile {
    /// `customer.name`, `lines[].quantity`, as the file calls it.
    pub path: String,
    /// Its type, as a draft would give it.
    pub kind: String,
    /// Values that are there.
    pub count: u64,
    /// Nulls, and keys that are missing.
    pub nulls: u64,
    /// Distinct values; exact up to 64, within about 5 % beyond.
    pub distinct: u64,
    /// Least and greatest: numbers, or moments as ISO 8601.
    pub least: Option<String>,
    /// The greatest.
    pub greatest: Option<String>,
    /// Shortest and longest text, in characters.
    pub lengths: Option<(u64, u64)>,
    /// At 5, 25, 50, 75 and 95 %, within 3.1 %.
    pub quantiles: Option<[f64; 5]>,
    /// The most frequent values and how often they occur.
    pub top: Vec<(String, u64)>,
    /// Whether those counts are exact.
    pub top_exact: bool,
    /// Counts of equal steps from the least number to the greatest.
    pub histogram: Vec<u64>,
    /// It looks like personal data: no values are told.
    pub personal: bool,
}

/// Reads a file to its end and tells what it holds.
///
/// # Errors
/// [`FileError::Read`].
pub fn profile(input: &Input, hints: &Hints, progress: &mut Progress<'_>) -> Result<Profile, FileError> {
    let mut guessed = guess(input, hints)?;
    let mut read = survey(input, &guessed, true, progress)?;
    if read.invalid && guessed.dialect.encoding.is_none() {
        guessed.not_utf8();
        read = survey(input, &guessed, true, progress)?;
    }
    if guessed.guess_nulls {
        guessed.dialect.nulls = null_tokens(&read.root);
    }
    let nulls = &guessed.dialect.nulls;
    if !nulls.is_empty() {
        guessed.said.push(format!("{} mean null (--null)", nulls.join(", ")));
    }
    let none = std::collections::BTreeSet::new();
    let Survey { root, records, given: types, malformed, first_malformed, .. } = &read;
    let mut found = match types {
        None => fields(root, root.objects, "", Choice { nulls, texts: &none, nullable: &none }),
        Some(Given::Columns(kind)) => given(kind, Some(root), *records, false),
        Some(Given::Avro(text)) => contract::avro::Schema::parse(text).map_or_else(
            |_| Vec::new(),
            |schema| given(&of_avro(&schema, schema.root(), &mut Vec::new()).kind, Some(root), *records, false),
        ),
    };
    super::rules::find(&mut found, root, nulls);
    let mut profiles = Vec::new();
    of_fields(&found, root, root.objects, "", nulls, &mut profiles);
    guessed.said.insert(0, super::named(guessed.format).to_owned());
    Ok(Profile {
        records: *records,
        malformed: first_malformed.filter(|_| *malformed > 0).map(|line| (*malformed, line)),
        said: guessed.said,
        fields: profiles,
    })
}

fn of_fields(
    fields: &[Field],
    place: &Place,
    records: u64,
    prefix: &str,
    nulls: &[String],
    out: &mut Vec<FieldProfile>,
) {
    for field in fields {
        let Some((_, seen)) = place.members.iter().find(|(name, _)| *name == field.original) else { continue };
        let path = format!("{prefix}{}", field.original);
        out.push(of_field(field, seen, records, path.clone(), nulls));
        let within = inner(seen);
        let path = if matches!(field.kind, Kind::Array(_)) { format!("{path}[]") } else { path };
        of_fields(&field.fields, within, within.objects, &format!("{path}."), nulls, out);
    }
}

fn of_field(field: &Field, place: &Place, records: u64, path: String, nulls: &[String]) -> FieldProfile {
    // Of an array its items are told.
    let leaf = match &place.items {
        Some(items) if place.arrays > 0 && !place.keyed => &items.leaf,
        _ => &place.leaf,
    };
    let (_, token_values) = tokens(leaf, nulls);
    let blanks = if field.kind == Kind::Text { place.leaf.blanks } else { 0 };
    let count = place.present() + token_values + blanks;
    let (exact, counted) = match leaf.counted.all() {
        Some(all) => (true, all),
        None => (false, Vec::new()),
    };
    let deep = leaf.deep.as_deref();
    let (mut top, mut top_exact) = (counted, true);
    if !exact && let Some(deep) = deep {
        (top, top_exact) = deep.top(TOP);
    }
    let estimate = deep.map_or(0, |deep| deep.distinct.estimate().round() as u64);
    let distinct = if exact { top.len() as u64 } else { estimate.min(leaf.present()) };
    top.truncate(TOP);
    let personal = field.classification.is_some();
    let numbers = &leaf.numbers;
    let number = numbers.count > 0 && !matches!(field.kind, Kind::Text | Kind::Date);
    let (least, greatest) = match number {
        true => (Some(numbers.least.to_string()), Some(numbers.most.to_string())),
        false => moments(field, place),
    };
    let histogram = deep.filter(|_| number && numbers.most > numbers.least);
    FieldProfile {
        path,
        kind: kind_name(&field.kind).to_owned(),
        count,
        nulls: records.saturating_sub(count),
        distinct,
        least: least.filter(|_| !personal),
        greatest: greatest.filter(|_| !personal),
        lengths: (field.kind == Kind::Text
            && leaf.texts > 0
            && leaf.longest < u64::MAX
            && leaf.shortest <= leaf.longest)
            .then_some((leaf.shortest, leaf.longest)),
        quantiles: deep.filter(|_| number && !personal).and_then(|deep| {
            let clamp = |value: f64| value.clamp(numbers.least, numbers.most);
            let mut quantiles = [0.0; 5];
            for (quantile, q) in quantiles.iter_mut().zip(QUANTILES) {
                *quantile = clamp(deep.histogram.quantile(q)?);
            }
            Some(quantiles)
        }),
        top: top.into_iter().filter(|_| !personal).map(|(value, count)| (value.to_owned(), count)).collect(),
        top_exact,
        histogram: histogram.map_or_else(Vec::new, |deep| bars(deep, numbers.least, numbers.most)),
        personal,
    }
}

fn moments(field: &Field, place: &Place) -> (Option<String>, Option<String>) {
    let leaf = &place.leaf;
    let span = leaf.way().and_then(|way| leaf.moments.get(way)).filter(|(first, last)| first <= last);
    let Some((first, last)) = span else { return (None, None) };
    let show = |seconds: i64| match field.kind {
        Kind::Date => Some(moment::date(seconds.div_euclid(86_400))),
        Kind::Time { .. } => Some(moment::time(seconds, 1)),
        Kind::Timestamp { local, .. } => Some(moment::date_time(seconds, 1, !local)),
        _ => None,
    };
    (show(*first), show(*last))
}

/// Buckets that grow with their numbers, poured into bars of the same width.
fn bars(deep: &super::values::Deep, least: f64, most: f64) -> Vec<u64> {
    let width = (most - least) / BARS as f64;
    let mut bars = vec![0.0_f64; BARS];
    for bucket in deep.histogram.to_buckets() {
        let (low, high) = bucket_bounds(bucket.index);
        let (low, high) = (low.max(least), high.min(most).max(low.max(least)));
        let at = |value: f64| (((value - least) / width) as usize).min(BARS - 1);
        let (first, last) = (at(low), at(high));
        let share = bucket.count as f64 / (last - first + 1) as f64;
        bars.iter_mut().take(last + 1).skip(first).for_each(|bar| *bar += share);
    }
    bars.into_iter().map(|bar| bar.round() as u64).collect()
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Decimal { .. } => "decimal",
        Kind::Date => "date",
        Kind::Time { .. } => "time",
        Kind::Timestamp { local: true, .. } => "local timestamp",
        Kind::Timestamp { local: false, .. } => "timestamp",
        Kind::Uuid => "uuid",
        Kind::Text => "string",
        Kind::Bytes => "bytes",
        Kind::Symbols => "enum",
        Kind::Fixed => "fixed",
        Kind::Array(_) => "array",
        Kind::Map(_) => "map",
        Kind::Record(_) => "record",
        Kind::Union(_) => "several types",
    }
}
