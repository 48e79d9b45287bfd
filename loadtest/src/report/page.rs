//! A report as one HTML page: its table, a plot of every figure by round, and the spread of the latencies. Plots are
//! SVG in the page itself, which asks for no other file.

use std::fmt::Write as _;

use super::{Curve, Figure, Report, Spread, shown};
use crate::rounds::Side;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;\
color:#1c2430;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.5rem}table{border-collapse:collapse;\
width:100%}th,td{text-align:right;padding:.2rem .6rem;border-bottom:1px solid #dde2e8;white-space:nowrap}\
th:first-child,td:first-child{text-align:left;white-space:normal}.plots{display:grid;gap:1.5rem;\
grid-template-columns:repeat(auto-fill,minmax(19rem,1fr))}figure{margin:0}figcaption{font-size:.85rem}\
svg{width:100%;height:auto}.weir{fill:#0b6e99;stroke:#0b6e99}.kafka{fill:#b5562b;stroke:#b5562b}.line{fill:none;\
stroke-width:2}.axis{stroke:#9aa5b1;fill:none}text{font:11px system-ui,sans-serif;fill:#4a5560}\
.no{color:#b00020}.key{font-weight:600}.key.weir{color:#0b6e99}.key.kafka{color:#b5562b}";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let title = escaped(report.title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    head(report, &mut html);
    table(report, &mut html);
    html.push_str("<h2>Latency: milliseconds by share of the records</h2>\n<div class=\"plots\">\n");
    for pair in report.curves.chunks(2) {
        curves(pair, &mut html);
    }
    html.push_str("</div>\n<h2>Each figure by round</h2>\n<div class=\"plots\">\n");
    for figure in &report.figures {
        by_round(figure, &mut html);
    }
    html.push_str("</div>\n</body></html>\n");
    html
}

/// Adds formatted text; writing to a `String` cannot fail.
macro_rules! add {
    ($html:expr, $($what:tt)*) => { let _always_fits = write!($html, $($what)*); };
}

fn head(report: &Report, html: &mut String) {
    let machine = &report.machine;
    let [weir, kafka] = &report.programs;
    add!(
        html,
        "<p><span class=\"key weir\">{}</span> and <span class=\"key kafka\">{}</span>, {}, on {} ({} cores, {} GB, Linux {}).</p>\n<ul>\n",
        escaped(weir),
        escaped(kafka),
        escaped(&report.date),
        escaped(&machine.processor),
        machine.cores,
        shown(machine.memory as f64 / 1e9),
        escaped(&machine.kernel)
    );
    for condition in &report.conditions {
        add!(html, "<li>{}</li>\n", escaped(condition));
    }
    let loads: Vec<String> = report.load_averages.iter().map(|load| format!("{load:.2}")).collect();
    add!(html, "<li>load average of the machine when each run began: {}</li>\n", loads.join(", "));
    let (sent, read) = report.counted.iter().fold((0, 0), |(sent, read), all| (sent + all.sent, read + all.read));
    add!(html, "<li>{sent} records acknowledged, {read} read back</li>\n</ul>\n");
}

fn table(report: &Report, html: &mut String) {
    html.push_str("<table><tr><th>figure<th>unit<th>weir<th>Kafka<th>ratio<th>from – to<th>goal<th>met</tr>\n");
    for figure in &report.figures {
        let median = |values: &[f64]| Spread::of(values).map_or_else(String::new, |all| shown(all.median));
        let ratios = figure.ratios();
        let apart = Spread::of(&ratios).map(|all| format!("{} – {}", shown(all.least), shown(all.most)));
        let met = match figure.met() {
            Some(true) => "<td>yes",
            Some(false) => "<td class=\"no\">no",
            None => "<td>",
        };
        add!(
            html,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}{met}</tr>\n",
            escaped(figure.name),
            escaped(figure.unit),
            median(&figure.weir),
            median(&figure.kafka),
            median(&ratios),
            apart.unwrap_or_default(),
            figure.goal
        );
    }
    html.push_str("</table>\n");
}

/// The plots' size and margins, in their own units.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 160.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 10.0;

fn begin(html: &mut String, label: &str) {
    add!(
        html,
        "<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\
         <path class=\"axis\" d=\"M{LEFT} {TOP}V{y}H{WIDTH}\"/>",
        escaped(label),
        y = HEIGHT - BOTTOM
    );
}

fn end(html: &mut String, label: &str) {
    add!(html, "</svg><figcaption>{}</figcaption></figure>\n", escaped(label));
}

/// Where a share from 0 (below) to 1 (above) lies.
fn height(share: f64) -> f64 {
    TOP + (1.0 - share.clamp(0.0, 1.0)) * (HEIGHT - BOTTOM - TOP)
}

fn class(side: Side) -> &'static str {
    match side {
        Side::Weir => "weir",
        Side::Kafka => "kafka",
    }
}

/// A dot for each side and round, from 0 up.
fn by_round(figure: &Figure, html: &mut String) {
    let label = format!("{}, {}", figure.name, figure.unit);
    begin(html, &label);
    let most = figure.weir.iter().chain(&figure.kafka).copied().fold(f64::MIN_POSITIVE, f64::max);
    for share in [0.0, 0.5, 1.0] {
        add!(
            html,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            height(share) + 4.0,
            shown(most * share)
        );
    }
    let rounds = figure.weir.len().max(1);
    let step = (WIDTH - LEFT) / rounds as f64;
    for (side, values) in [(Side::Weir, &figure.weir), (Side::Kafka, &figure.kafka)] {
        for (round, value) in values.iter().enumerate() {
            let x = LEFT + step * (round as f64 + 0.5);
            let y = height(value / most);
            add!(html, "<circle class=\"{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>", class(side));
        }
    }
    for round in 0..rounds {
        let x = LEFT + step * (round as f64 + 0.5);
        add!(html, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", HEIGHT - 8.0, round + 1);
    }
    end(html, &label);
}

/// The spread of both sides' latencies: shares towards 1, and milliseconds, both by powers of ten.
fn curves(pair: &[Curve], html: &mut String) {
    let Some(name) = pair.first().map(|curve| curve.name.as_str()) else { return };
    begin(html, name);
    let values = || pair.iter().flat_map(|curve| &curve.points).map(|(_, millis)| millis.max(0.001).log10());
    let (low, high) = (values().fold(f64::MAX, f64::min).floor(), values().fold(f64::MIN, f64::max).ceil());
    let range = (high - low).max(1.0);
    let mut power = low;
    while power <= high {
        let y = height((power - low) / range) + 4.0;
        add!(html, "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, 10f64.powf(power));
        power += 1.0;
    }
    // Four powers of ten: 0, 90 %, 99 %, 99.9 %, 99.99 %.
    let across = |share: f64| LEFT + (WIDTH - LEFT - 14.0) * -(1.0 - share).max(1e-4).log10() / 4.0;
    for (share, text) in [(0.0, "0"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")] {
        add!(html, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", across(share), HEIGHT - 8.0);
    }
    for curve in pair {
        let points = curve.points.iter().filter(|(share, _)| *share < 1.0).map(|(share, millis)| {
            format!("{:.1},{:.1}", across(*share), height((millis.max(0.001).log10() - low) / range))
        });
        let points: Vec<String> = points.collect();
        add!(
            html,
            "<polyline class=\"line {}\" style=\"fill:none\" points=\"{}\"/>",
            class(curve.side),
            points.join(" ")
        );
    }
    end(html, name);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn a_page_has_all_figures_and_asks_for_nothing_else() {
        let page = report().page();
        for part in ["&lt;8&gt; cores &amp; more", "speed", "at night", "0.50, 1.50", "5 records acknowledged, 5 read"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(page.matches("<circle").count(), 6);
        assert_eq!(page.matches("<polyline").count(), 2);
        assert!(!page.contains("http") && !page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
