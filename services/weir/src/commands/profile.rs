//! `weir profile`: what a file holds.

use files::draft::{self, FieldProfile, Profile};
use serde_json::{Value, json};

use super::backbone::failed;
use super::init;
use super::progress::FileBar;
use crate::cli::ProfileArgs;
use crate::output::{Format, Rows, printable};
use crate::{CliError, Global, Outcome};

/// The bars of a small histogram.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Longest value shown in a table, in characters.
const MAX_VALUE: usize = 24;

/// Profiles.
pub(crate) fn run(global: &Global, args: &ProfileArgs) -> Result<Outcome, CliError> {
    let input = init::open(global, &args.from, &args.span)?;
    let mut bar = FileBar::new(input.size());
    let profile = draft::profile(&input, &args.dialect.hints(), &mut |bytes, _| bar.at("reading", bytes));
    bar.end();
    let profile = profile.map_err(failed)?;
    global.out.say(&printable(&format!("{}: {}; {} records", input.name(), profile.said.join("; "), profile.records)));
    if let Some((count, line)) = profile.malformed {
        global.out.say(&format!("{count} of its records are none, the first on line {line}"));
    }
    match (args.html, global.out.format()) {
        (true, _) => global.out.write(html(input.name(), &profile).as_bytes())?,
        (false, Format::Table) => global.out.rows(&table(&profile))?,
        (false, _) => global.out.json(&value(&profile))?,
    }
    Ok(Outcome::Done)
}

fn table(profile: &Profile) -> Rows {
    let mut rows =
        Rows::new(&["field", "type", "null", "distinct", "least", "median", "greatest", "histogram", "frequent"]);
    for field in &profile.fields {
        rows.push([
            json!(field.path),
            json!(field.kind),
            json!(percent(field, profile.records)),
            json!(field.distinct),
            json!(field.least.as_deref().map(cut).or_else(|| field.lengths.map(|(least, _)| format!("{least} chars")))),
            json!(field.quantiles.map(|[_, _, median, ..]| short(median))),
            json!(
                field.greatest.as_deref().map(cut).or_else(|| field.lengths.map(|(_, most)| format!("{most} chars")))
            ),
            json!(bars(&field.histogram)),
            json!(frequent(field)),
        ]);
    }
    rows
}

/// The share of nulls, as people read it.
fn percent(field: &FieldProfile, _records: u64) -> String {
    let all = field.count + field.nulls;
    match field.nulls {
        0 => "0 %".to_owned(),
        nulls => format!("{:.1} %", nulls as f64 * 100.0 / all as f64),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Four digits of a number.
fn short(number: f64) -> String {
    if number == 0.0 || (1e-3..1e9).contains(&number.abs()) {
        let digits = 3_i32.saturating_sub(number.abs().max(1e-9).log10().floor() as i32).clamp(0, 6);
        let text = format!("{number:.*}", usize::try_from(digits).unwrap_or(0));
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return text.to_owned();
    }
    format!("{number:.3e}")
}

fn bars(histogram: &[u64]) -> String {
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| {
        let height = if *count == 0 { 0 } else { 1 + (count * 7 / most) as usize };
        BARS.get(height).copied().unwrap_or('█')
    };
    histogram.iter().map(bar).collect()
}

fn frequent(field: &FieldProfile) -> String {
    if field.personal {
        return "(possibly personal)".to_owned();
    }
    let about = if field.top_exact { "" } else { "~" };
    let told: Vec<String> =
        field.top.iter().take(3).map(|(value, count)| format!("{} ×{about}{count}", cut(value))).collect();
    told.join(", ")
}

fn value(profile: &Profile) -> Value {
    let fields: Vec<Value> = profile.fields.iter().map(field_value).collect();
    let malformed = profile.malformed.map_or(0, |(count, _)| count);
    json!({"records": profile.records, "malformed": malformed, "found": profile.said, "fields": fields})
}

fn field_value(field: &FieldProfile) -> Value {
    let top: Vec<Value> = field.top.iter().map(|(value, count)| json!({"value": value, "count": count})).collect();
    let quantiles = field
        .quantiles
        .map(|[p5, p25, p50, p75, p95]| json!({"p5": p5, "p25": p25, "p50": p50, "p75": p75, "p95": p95}));
    let lengths = field.lengths.map(|(least, most)| json!({"min": least, "max": most}));
    json!({
        "field": field.path, "type": field.kind, "count": field.count, "nulls": field.nulls,
        "distinct": field.distinct, "min": field.least, "max": field.greatest, "lengths": lengths,
        "quantiles": quantiles, "top": top, "top_exact": field.top_exact, "histogram": field.histogram,
        "personal": field.personal,
    })
}

/// A page that needs nothing else.
fn html(name: &str, profile: &Profile) -> String {
    let mut page = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<style>body{{font:14px system-ui;margin:2em}}\
         table{{border-collapse:collapse}}td,th{{padding:.3em .8em;text-align:left;border-bottom:1px solid #ddd}}\
         td.n{{text-align:right}}rect{{fill:#4a7}}</style>\n<h1>{name}</h1>\n<p>{} records; {}</p>\n<table>\n<tr><th>Field\
         <th>Type<th>Null<th>Distinct<th>Least<th>Median<th>Greatest<th>Histogram<th>Frequent</tr>\n",
        profile.records,
        escaped(&profile.said.join("; ")),
        name = escaped(name),
    );
    for field in &profile.fields {
        let text = |value: Option<String>| escaped(&value.unwrap_or_default());
        page.push_str(&format!(
            "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td>{}<td class=\"n\">{}<td>{}<td>{}<td>{}</tr>\n",
            escaped(&field.path),
            field.kind,
            percent(field, profile.records),
            field.distinct,
            text(field.least.clone()),
            text(field.quantiles.map(|[_, _, median, ..]| short(median))),
            text(field.greatest.clone()),
            drawn(&field.histogram),
            escaped(&frequent(field)),
        ));
    }
    page.push_str("</table>\n");
    page
}

fn drawn(histogram: &[u64]) -> String {
    if histogram.is_empty() {
        return String::new();
    }
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    let mut svg = format!("<svg width=\"{}\" height=\"30\">", histogram.len() * 6);
    for (index, count) in histogram.iter().enumerate() {
        let height = (count * 30).div_ceil(most);
        svg.push_str(&format!(
            "<rect x=\"{}\" y=\"{}\" width=\"5\" height=\"{height}\"/>",
            index * 6,
            30 - height.min(30)
        ));
    }
    svg.push_str("</svg>");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_histograms_are_short() {
        let shown = [0.0, 12.5, 1301.0, 0.000_01, 123_456.789, -4.0].map(short);
        assert_eq!(shown, ["0", "12.5", "1301", "1.000e-5", "123457", "-4"]);
        assert_eq!(bars(&[0, 1, 100]), " ▁█");
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
