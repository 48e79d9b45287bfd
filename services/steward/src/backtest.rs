//! What a tightening would have held back: the latest records of the inbox, judged under both versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::Weather;
use contract::{Contract, RuleId};

use crate::Steward;
use crate::audit::{Judge, Span, TopicSpan};
use crate::topics;

/// Records looked at, over all partitions.
const LATEST: u64 = 100_000;

/// What a change of a contract would have held back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackTest {
    /// Records that the version in force lets through and the new one would not.
    pub held_back: u64,
    /// Of so many records, the latest of the inbox.
    pub of: u64,
    /// Of those held back, how many break which rule.
    pub rules: BTreeMap<RuleId, u64>,
}

impl Steward {
    /// Judges the latest records under both; `None` where the inbox is not there yet.
    pub(crate) fn held_back(&self, old: &Arc<Contract>, new: &Arc<Contract>) -> Result<Option<BackTest>, Weather> {
        let mut before = Judge::new(&*self.registry, old, &topics::product(&self.names, old));
        let mut after = Judge::new(&*self.registry, new, &topics::product(&self.names, new));
        let mut test = BackTest::default();
        let topic = topics::inbox(&self.names, new);
        let source = TopicSpan { broker: &*self.broker, topic: &topic, span: Span::Last(LATEST) };
        let there = source.read(&mut |_, _| {}, &mut |record| {
            test.of += 1;
            let (was, is) = (before.judge(record)?, after.judge(record)?);
            if before.rules(&was).is_empty() {
                let broken = after.rules(&is);
                test.held_back += u64::from(!broken.is_empty());
                for rule in broken {
                    *test.rules.entry(rule.clone()).or_default() += 1;
                }
            }
            Ok(())
        })?;
        Ok(there.then_some(test))
    }
}
