//! What was measured, as values: each figure of both sides in every round, their ratios, and what was asked of them.
//! Knows nothing of how it was measured.

mod page;

use serde::{Serialize, Serializer};

use crate::latency::Latencies;
use crate::machine::Machine;
use crate::phases::Counted;
use crate::rounds::Side;

/// What is asked of a figure of ours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Nothing; it is told.
    None,
    /// At least this many times the other's.
    AtLeast(f64),
    /// At most this many times the other's.
    AtMost(f64),
    /// Less than this, whatever the other's is.
    Below(f64),
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtLeast(ratio) => write!(f, "≥ {ratio} ×"),
            Self::AtMost(ratio) => write!(f, "≤ {ratio} ×"),
            Self::Below(value) => write!(f, "≤ {value}"),
        }
    }
}

/// One figure, measured on both sides in every round.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// What is asked of it.
    pub goal: Goal,
    /// Ours, by round.
    pub weir: Vec<f64>,
    /// The other's, by round.
    pub kafka: Vec<f64>,
}

/// The middle of some values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The median.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of some values; `None` where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.get((sorted.len() - 1) / 2..=sorted.len() / 2)?;
        Some(Self { least, median: middle.iter().sum::<f64>() / middle.len() as f64, most })
    }
}

impl Figure {
    /// Without values yet.
    pub(crate) fn new(name: &'static str, unit: &'static str, goal: Goal) -> Self {
        Self { name, unit, goal, weir: Vec::new(), kafka: Vec::new() }
    }

    /// Ours divided by the other's, by round.
    pub fn ratios(&self) -> Vec<f64> {
        self.weir.iter().zip(&self.kafka).map(|(weir, kafka)| weir / kafka).collect()
    }

    /// Whether the median does what is asked; `None` where nothing is.
    pub fn met(&self) -> Option<bool> {
        let ratio = Spread::of(&self.ratios())?.median;
        match self.goal {
            Goal::None => None,
            Goal::AtLeast(least) => Some(ratio >= least),
            Goal::AtMost(most) => Some(ratio <= most),
            Goal::Below(most) => Some(Spread::of(&self.weir)?.median <= most),
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            name: &'a str,
            unit: &'a str,
            weir: &'a [f64],
            kafka: &'a [f64],
            ratios: &'a [f64],
            ratio: Option<Spread>,
            goal: String,
            met: Option<bool>,
        }
        let ratios = self.ratios();
        Whole {
            name: self.name,
            unit: self.unit,
            weir: &self.weir,
            kafka: &self.kafka,
            ratio: Spread::of(&ratios),
            ratios: &ratios,
            goal: self.goal.to_string(),
            met: self.met(),
        }
        .serialize(serializer)
    }
}

/// How times are spread: what share of them took how long at most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// Of what.
    pub name: String,
    /// Whose.
    pub side: Side,
    /// How many times.
    pub count: u64,
    /// Share (0 to 1) and milliseconds.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// The shares that are told.
    const SHARES: [f64; 12] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 1.0];

    pub(crate) fn new(name: String, side: Side, latencies: &Latencies) -> Self {
        let points = Self::SHARES.iter().map(|share| (*share, latencies.quantile(*share))).collect();
        Self { name, side, count: latencies.count(), points }
    }
}

/// All that came of a measurement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was compared.
    pub title: &'static str,
    /// When, in UTC.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// Which programs, ours first.
    pub programs: [String; 2],
    /// Under what conditions.
    pub conditions: Vec<String>,
    /// What else the machine did when each run began: processes that wanted a processor.
    pub load_averages: Vec<f64>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// How latencies are spread, over all rounds.
    pub curves: Vec<Curve>,
    /// What was sent and read, run by run.
    pub counted: Vec<Counted>,
}

impl Report {
    /// Without figures yet.
    pub(crate) fn new(title: &'static str, machine: Machine) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string();
        Self {
            title,
            date,
            machine,
            programs: Default::default(),
            conditions: Vec::new(),
            load_averages: Vec::new(),
            figures: Vec::new(),
            curves: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// The report as one HTML page that needs nothing else.
    pub fn page(&self) -> String {
        page::page(self)
    }
}

/// A value with the digits that mean something.
pub fn shown(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{value:.digits$}");
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let grouped = whole.char_indices().fold(String::new(), |mut text, (at, digit)| {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
        text
    });
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests;
