//! Which fields statistics are kept of, and which: the same for every program of one contract, because it
//! comes from the contract alone.

use std::sync::Arc;

use super::RULES_BUILT_IN;
use super::compile::scale_of;
use crate::avro::{Kind, Logical, NodeId, Schema};
use crate::model::{Contract, Measure, Path, RuleId, Segment, Severity};

/// A rule as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// Its id.
    pub id: RuleId,
    /// What breaking it means.
    pub severity: Severity,
}

/// At most so many fields are measured; a contract with more is measured in its first ones.
const LEAVES: usize = 512;

/// How deep measured fields may lie.
const DEPTH: usize = 16;

/// Rules and measured fields of a contract.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) rules: Vec<RuleInfo>,
    pub(super) leaves: Vec<Leaf>,
    /// How many leaves have a sketch of distinct values.
    pub(super) sketches: usize,
    /// The leaves that have quantiles or are the event's time.
    pub(super) sampled: Vec<u32>,
}

/// A measured field.
#[derive(Debug, PartialEq)]
pub(super) struct Leaf {
    pub(super) path: Path,
    pub(super) text: String,
    /// Least and greatest mean something.
    pub(super) number: bool,
    /// What one unit in the record is worth: a decimal's scale.
    pub(super) unit: f64,
    pub(super) sketch: Option<u32>,
    pub(super) quantiles: bool,
    /// Its units in a millisecond, where it is the time of the event.
    pub(super) event_time: Option<f64>,
}

impl Layout {
    pub(super) fn of(contract: &Contract) -> Arc<Self> {
        let built_in = RULES_BUILT_IN.iter().map(|id| RuleInfo { id: RuleId::new(*id), severity: Severity::Error });
        let rules = contract.rules.iter().map(|rule| RuleInfo { id: rule.id.clone(), severity: rule.severity });
        let conditions =
            contract.conditions.iter().map(|rule| RuleInfo { id: rule.id.clone(), severity: rule.severity });
        let mut layout = Self {
            rules: built_in.chain(rules).chain(conditions).collect(),
            leaves: Vec::new(),
            sketches: 0,
            sampled: Vec::new(),
        };
        let mut walk =
            Walk { schema: &contract.schema, measures: &contract.measures, path: Vec::new(), within: Vec::new() };
        walk.leaves(contract.schema.root(), &mut layout);
        Arc::new(layout)
    }
}

struct Walk<'s> {
    schema: &'s Schema,
    measures: &'s [Measure],
    path: Vec<Segment>,
    within: Vec<NodeId>,
}

impl Walk<'_> {
    fn leaves(&mut self, node: NodeId, layout: &mut Layout) {
        let inner = self.schema.nullable(node).unwrap_or(node);
        if layout.leaves.len() >= LEAVES || self.path.len() > DEPTH || self.within.contains(&inner) {
            return;
        }
        match &self.schema.node(inner).kind {
            Kind::Record(record) => {
                self.within.push(inner);
                for field in &record.fields {
                    self.path.push(Segment::Field(Arc::from(field.name.as_str())));
                    self.leaves(field.node, layout);
                    self.path.pop();
                }
                self.within.pop();
            }
            Kind::Array(_) | Kind::Map(_) | Kind::Null => {}
            kind => {
                let number = !matches!(kind, Kind::Enum(_) | Kind::Union(_));
                self.leaf(inner, number, layout);
            }
        }
    }

    fn leaf(&mut self, node: NodeId, number: bool, layout: &mut Layout) {
        let path = Path(self.path.clone());
        let asked =
            |wish: fn(&Measure) -> bool| self.measures.iter().any(|measure| measure.path == path && wish(measure));
        let sketch = asked(|measure| measure.distinct).then(|| {
            layout.sketches += 1;
            layout.sketches as u32 - 1
        });
        if asked(|measure| measure.quantiles || measure.event_time) {
            layout.sampled.push(layout.leaves.len() as u32);
        }
        let event_time = asked(|measure| measure.event_time).then(|| per_millisecond(self.schema.node(node).logical));
        layout.leaves.push(Leaf {
            text: path.to_string(),
            number,
            unit: 10_f64.powi(-i32::try_from(scale_of(self.schema, node)).unwrap_or(0)),
            sketch,
            quantiles: asked(|measure| measure.quantiles),
            event_time,
            path,
        });
    }
}

/// Units in a millisecond.
fn per_millisecond(logical: Option<Logical>) -> f64 {
    match logical {
        Some(Logical::TimestampMicros | Logical::LocalTimestampMicros) => 1e3,
        Some(Logical::TimestampNanos | Logical::LocalTimestampNanos) => 1e6,
        Some(Logical::Date) => 1.0 / 86_400_000.0,
        _ => 1.0,
    }
}
