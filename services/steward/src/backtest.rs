//! What a tightening would have held back: the latest records of the inbox, judged under both versions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use broker::{Isolation, Lookup, Position, Weather};
use contract::avro::Schema;
use contract::{Context, Contract, KeyKind, KeyProgram, KeySchema, Program, Scratch, Verdict};
use schemas::{Frame, Offset, SchemaId, Timestamp, Topic, TopicPartition};

use crate::Steward;

/// Records looked at, over all partitions.
const LATEST: i64 = 10_000;

type Programs = Option<(Program, Program)>;
type KeyPrograms = Option<(KeyProgram, KeyProgram)>;

impl Steward {
    /// `(would newly be held back, of)`; `None` where the inbox is not there yet.
    pub(crate) fn held_back(
        &self,
        inbox: &Topic,
        old: &Arc<Contract>,
        new: &Arc<Contract>,
    ) -> Result<Option<(u64, u64)>, Weather> {
        let Some(description) = self.broker.topic(inbox)? else { return Ok(None) };
        let partitions: Vec<_> = description
            .partitions
            .iter()
            .map(|(partition, _)| TopicPartition::new(inbox.clone(), *partition))
            .collect();
        let ends = self.broker.ends(&partitions, true)?;
        let each = LATEST / i64::try_from(partitions.len().max(1)).unwrap_or(1);
        let from: Vec<_> = ends
            .iter()
            .map(|(partition, (first, end))| (partition.clone(), Position::At(Offset((end.0 - each).max(first.0)))))
            .collect();
        let mut reader = self.broker.reader(&from, Isolation::Committed)?;
        let mut programs: HashMap<SchemaId, Programs> = HashMap::new();
        let mut key_programs: HashMap<SchemaId, KeyPrograms> = HashMap::new();
        let avro_keys = [old, new].iter().any(|contract| contract.settings.key.kind == KeyKind::Avro);
        let (mut held, mut of) = (0, 0);
        let now = Timestamp::now();
        let mut scratch = Scratch::default();
        let mut conforms = |program: &Program, key: Option<&[u8]>, reads: Option<&KeyProgram>, body: &[u8]| {
            let context = Context { key, key_schema: reads.map(KeySchema::Known), now };
            program.judge(body, &context, &mut scratch, None) == Verdict::Conforms
        };
        loop {
            let chunk = reader.poll(Duration::from_secs(2))?;
            for record in &chunk.records {
                of += 1;
                let Some(Ok(framed)) = record.value.as_deref().map(Frame::parse) else { continue };
                let programs = match programs.entry(framed.schema) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new_id) => new_id.insert(self.compile_both(framed.schema, old, new)?),
                };
                let Some((before, after)) = programs else { continue };
                let key = record.key.as_deref();
                let keys = match key.map(Frame::parse) {
                    Some(Ok(key)) if avro_keys => match key_programs.entry(key.schema) {
                        Entry::Occupied(known) => known.into_mut().as_ref(),
                        Entry::Vacant(new_id) => new_id.insert(self.compile_keys(key.schema, old, new)?).as_ref(),
                    },
                    _ => None,
                };
                let (reads_before, reads_after) = keys.map(|(before, after)| (before, after)).unzip();
                if conforms(before, key, reads_before, framed.body) && !conforms(after, key, reads_after, framed.body) {
                    held += 1;
                }
            }
            if chunk.at_end {
                return Ok(Some((held, of)));
            }
        }
    }

    fn compile_both(&self, id: SchemaId, old: &Arc<Contract>, new: &Arc<Contract>) -> Result<Programs, Weather> {
        let Lookup::Avro(text) = self.registry.schema(id)? else { return Ok(None) };
        let Ok(writer) = Schema::parse(&text) else { return Ok(None) };
        Ok(Program::compile(&writer, old).ok().zip(Program::compile(&writer, new).ok()))
    }

    fn compile_keys(&self, id: SchemaId, old: &Contract, new: &Contract) -> Result<KeyPrograms, Weather> {
        let Lookup::Avro(text) = self.registry.schema(id)? else { return Ok(None) };
        let Ok(writer) = Schema::parse(&text) else { return Ok(None) };
        Ok(KeyProgram::compile(&writer, old).ok().zip(KeyProgram::compile(&writer, new).ok()))
    }
}
