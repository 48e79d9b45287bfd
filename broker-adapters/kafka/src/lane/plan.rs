//! What routes make of a batch: which records are consumed, which partitions wait, and what became of the rest.

use std::collections::{BTreeMap, BTreeSet};

use broker::{Batch, Destination, PartitionOutput, Route};
use schemas::{Offset, Run, TopicPartition};

use super::batch::LaneBatch;
use super::intake::Intake;
use super::leaders::Output;

/// Where each record of the batch came to stand.
pub(super) struct Sent(Vec<Option<Offset>>);

impl Sent {
    pub(super) fn new(len: usize) -> Self {
        Self(vec![None; len])
    }

    /// A record's output offset; reports of control records are beyond the batch and of no interest.
    pub(super) fn set(&mut self, index: usize, offset: Offset) {
        if let Some(place) = self.0.get_mut(index) {
            *place = Some(offset);
        }
    }

    fn get(&self, index: usize) -> Option<Offset> {
        self.0.get(index).copied().flatten()
    }
}

/// See the module.
pub(super) struct Plan {
    /// Per record of the batch: it is consumed.
    consumed: Vec<bool>,
    /// Per partition of the batch: the record that it stops at.
    stops: Vec<Option<usize>>,
}

impl Plan {
    /// A record that waits keeps back itself and every later one of its partition.
    pub(super) fn new(routes: &[Route], batch: &LaneBatch) -> Self {
        let mut stops: Vec<Option<usize>> = vec![None; batch.partitions().len()];
        let consumed = routes
            .iter()
            .zip(batch.places())
            .enumerate()
            .map(|(index, (route, place))| {
                let Some(stop) = stops.get_mut(*place) else { return false };
                if *route == Route::Wait {
                    stop.get_or_insert(index);
                }
                stop.is_none()
            })
            .collect();
        Self { consumed, stops }
    }

    /// The indices of the records that are consumed.
    pub(super) fn consumed(&self) -> impl Iterator<Item = usize> + '_ {
        self.consumed.iter().enumerate().filter(|(_, consumed)| **consumed).map(|(index, _)| index)
    }

    /// The partitions that wait, each at the record it stopped at.
    pub(super) fn waits(&self, batch: &LaneBatch) -> BTreeMap<TopicPartition, Offset> {
        let stops = batch.partitions().iter().zip(&self.stops);
        stops
            .filter_map(|(inbox, stop)| Some((inbox.clone(), Offset(batch.messages.get((*stop)?)?.offset()))))
            .collect()
    }

    /// The output partitions that the routes write to.
    pub(super) fn outputs_wanted<'a>(
        &self,
        routes: &[Route],
        batch: &'a LaneBatch,
        intake: &'a Intake,
    ) -> BTreeSet<Output<'a>> {
        // Per partition of the batch: product, quarantine.
        let mut wanted = vec![(false, false); batch.partitions().len()];
        for index in self.consumed() {
            let place = batch.places().get(index).and_then(|place| wanted.get_mut(*place));
            match (place, routes.get(index)) {
                (Some((product, _)), Some(Route::Forward | Route::Replace(_))) => *product = true,
                (Some((_, quarantine)), Some(Route::Quarantine(_))) => *quarantine = true,
                _ => {}
            }
        }
        let of = |(inbox, (product, quarantine)): (&'a TopicPartition, (bool, bool))| {
            let destination = intake.held(inbox).map(|held| &held.destination);
            let of_one = move |to: &'a Destination| {
                let product = product.then_some(Output { inbox, topic: &to.product, quarantine: false });
                let quarantine = quarantine.then_some(Output { inbox, topic: &to.quarantine, quarantine: true });
                product.into_iter().chain(quarantine)
            };
            destination.into_iter().flat_map(of_one)
        };
        batch.partitions().iter().zip(wanted).flat_map(of).collect()
    }

    /// What became of each partition that moved.
    ///
    /// # Errors
    /// A record that was sent has no report: the transaction is to be aborted.
    pub(super) fn outputs(
        &self,
        routes: &[Route],
        batch: &LaneBatch,
        intake: &Intake,
        sent: &Sent,
    ) -> Result<Vec<PartitionOutput>, String> {
        let mut outputs: Vec<Option<PartitionOutput>> = vec![None; batch.partitions().len()];
        for index in self.consumed() {
            let (Some(route), Some(message), Some(place)) =
                (routes.get(index), batch.messages.get(index), batch.places().get(index))
            else {
                continue;
            };
            let (Some(inbox), Some(output)) = (batch.partitions().get(*place), outputs.get_mut(*place)) else {
                continue;
            };
            let output = match output {
                Some(output) => output,
                None => output.insert(self.empty_output(*place, inbox, batch, intake)?),
            };
            let input = Offset(message.offset());
            let at = sent.get(index);
            let reported = || at.map(Some).ok_or_else(|| format!("the delivery of {inbox}@{input} was not reported"));
            match route {
                Route::Forward | Route::Replace(_) => Run::push(&mut output.product, input, reported()?),
                Route::Quarantine(_) => Run::push(&mut output.quarantine, input, reported()?),
                Route::Withhold => Run::push(&mut output.withheld, input, None),
                Route::Wait => {}
            }
        }
        Ok(outputs.into_iter().flatten().collect())
    }

    fn empty_output(
        &self,
        place: usize,
        inbox: &TopicPartition,
        batch: &LaneBatch,
        intake: &Intake,
    ) -> Result<PartitionOutput, String> {
        let unknown = || format!("{inbox} is in the batch and not assigned");
        let from = intake.held(inbox).ok_or_else(unknown)?.committed;
        let stop = self.stops.get(place).copied().flatten().and_then(|stop| batch.messages.get(stop));
        let to = match stop {
            Some(message) => Offset(message.offset()),
            None => intake.after(inbox).ok_or_else(unknown)?,
        };
        Ok(PartitionOutput {
            inbox: inbox.clone(),
            from,
            to,
            product: Vec::new(),
            quarantine: Vec::new(),
            withheld: Vec::new(),
        })
    }
}
