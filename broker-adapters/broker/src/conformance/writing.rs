//! Writers.

use schemas::{Companion, Offset, Partition, TopicPartition};

use super::World;
use super::bench::{Outcome, Said, create, eventually, holds, read, record, same, texts, topic, write};
use crate::log::{OutRecord, Progress, WriteError};
use crate::memory::partition_of;

pub(super) fn atomic(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "atomic")?;
    create(world, &[(&name, 2, &[])])?;
    let group = world.names.produce_group("atomic");
    let source = TopicPartition::new(name.clone(), Partition(0));
    let progress = Progress {
        group: group.clone(),
        partition: source.clone(),
        offset: Offset(42),
        metadata: "line 42".to_owned(),
    };
    let mut writer = world.broker.writer(&world.names.produce_producer("atomic")).said("make a writer")?;
    let records = vec![record(&name, 0, "a", "a0"), record(&name, 1, "b", "b0"), record(&name, 0, "a", "a1")];
    let written = writer.commit(records, Some(&progress)).said("write")?;
    let stands: Vec<_> = written.iter().map(|w| (w.partition.partition.0, w.offset.0)).collect();
    same("where the records stand", &stands, &vec![(0, 0), (1, 0), (0, 1)])?;
    same("partition 0", &texts(&read(world, &name, 0, 2)?), &vec!["a0".to_owned(), "a1".to_owned()])?;
    same("partition 1", &texts(&read(world, &name, 1, 1)?), &vec!["b0".to_owned()])?;
    let committed = eventually("the progress", || {
        let mut offsets = world.broker.group_offsets(&group, std::slice::from_ref(&source)).said("read progress")?;
        Ok(offsets.remove(&source))
    })?;
    same("the progress", &(committed.offset, committed.metadata.as_str()), &(Offset(42), "line 42"))?;
    writer.commit(vec![record(&name, 1, "b", "b1")], None).said("write again")?;
    read(world, &name, 1, 2).map(drop)
}

pub(super) fn fencing(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "fencing")?;
    create(world, &[(&name, 1, &[])])?;
    let id = world.names.produce_producer("fencing");
    let mut first = world.broker.writer(&id).said("make a writer")?;
    first.commit(vec![record(&name, 0, "k", "first")], None).said("write")?;
    let mut second = world.broker.writer(&id).said("make another writer")?;
    let late = first.commit(vec![record(&name, 0, "k", "late")], None);
    same("what the first is told", &late, &Err(WriteError::Fenced(id)))?;
    second.commit(vec![record(&name, 0, "k", "second")], None).said("write as the second")?;
    same("what is there", &texts(&read(world, &name, 0, 2)?), &vec!["first".to_owned(), "second".to_owned()])
}

pub(super) fn refused(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "refused")?;
    create(world, &[(&name, 1, &[("max.message.bytes", "2000")])])?;
    let mut writer = world.broker.writer(&world.names.produce_producer("refused")).said("make a writer")?;
    // Bytes that do not compress.
    let large: Vec<u8> = (0u32..5_000).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let records = vec![record(&name, 0, "k", "small"), OutRecord { value: Some(large), ..record(&name, 0, "k", "") }];
    let outcome = writer.commit(records, None);
    holds(matches!(outcome, Err(WriteError::Refused { index: 1, .. })), || {
        format!("record 1 is refused, not {outcome:?}")
    })?;
    write(world, "refused", vec![record(&name, 0, "k", "after")])?;
    same("what is there", &texts(&read(world, &name, 0, 1)?), &vec!["after".to_owned()])
}

pub(super) fn spread(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "spread")?;
    create(world, &[(&name, 5, &[])])?;
    let keys = ["21", "foobar", "a-little-bit-long-string", "abc", "order-1", "order-2", ""];
    let records = keys.iter().map(|key| OutRecord { partition: None, ..record(&name, 0, key, key) }).collect();
    for (written, key) in write(world, "spread", records)?.iter().zip(keys) {
        let expected = i32::try_from(partition_of(key.as_bytes(), 5)).said("count partitions")?;
        same(&format!("the partition of {key:?}"), &written.partition.partition, &Partition(expected))?;
    }
    Ok(())
}
