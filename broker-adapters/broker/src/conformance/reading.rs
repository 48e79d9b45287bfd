//! Readers.

use std::time::{Duration, Instant};

use schemas::{Companion, Offset, Partition, Timestamp, TopicPartition};

use super::World;
use super::bench::{
    Outcome, STEP, Said, create, eventually, holds, now, read, record, same, text, texts, topic, write,
};
use crate::lane::TimestampType;
use crate::log::{Isolation, OutRecord, Position, Reader};

/// The values that a reader brings until it is at the end.
fn drain(reader: &mut dyn Reader) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    eventually("the end", || {
        let chunk = reader.poll(STEP).said("read")?;
        found.extend(texts(&chunk.records));
        Ok(chunk.at_end.then_some(()))
    })?;
    Ok(found)
}

pub(super) fn positions(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "positions")?;
    create(world, &[(&name, 1, &[])])?;
    let base = now().0 - 10_000;
    let records = (0i64..4)
        .map(|n| OutRecord { timestamp: Some(Timestamp(base + n * 1_000)), ..record(&name, 0, "k", &format!("v{n}")) })
        .collect();
    write(world, "positions", records)?;
    read(world, &name, 0, 4)?;
    let at = TopicPartition::new(name, Partition(0));
    let cases: [(Position, &[&str]); 5] = [
        (Position::Beginning, &["v0", "v1", "v2", "v3"]),
        (Position::End, &[]),
        (Position::At(Offset(2)), &["v2", "v3"]),
        (Position::Since(Timestamp(base + 1_500)), &["v2", "v3"]),
        (Position::Since(Timestamp(base + 60_000_000)), &[]),
    ];
    for (position, expected) in cases {
        let mut reader = world.broker.reader(&[(at.clone(), position)], Isolation::Committed).said("make a reader")?;
        let found = drain(reader.as_mut())?;
        same(&format!("what {position:?} brings"), &found, &expected.iter().map(|v| (*v).to_owned()).collect())?;
    }
    Ok(())
}

pub(super) fn tailing(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "tailing")?;
    create(world, &[(&name, 2, &[])])?;
    let from: Vec<_> = (0..2).map(|p| (TopicPartition::new(name.clone(), Partition(p)), Position::Beginning)).collect();
    let mut reader = world.broker.reader(&from, Isolation::Committed).said("make a reader")?;
    same("what an empty topic brings", &drain(reader.as_mut())?, &Vec::new())?;

    let started = Instant::now();
    let idle = reader.poll(STEP).said("read")?;
    same("records at the end", &idle.records.len(), &0)?;
    holds(started.elapsed() >= STEP / 2, || "a reader at the end waits".to_owned())?;

    write(world, "tailing", vec![record(&name, 0, "a", "a"), record(&name, 1, "b", "b")])?;
    let mut found = Vec::new();
    eventually("both records", || {
        let chunk = reader.poll(Duration::from_secs(1)).said("read")?;
        found.extend(texts(&chunk.records));
        Ok((found.len() >= 2 && chunk.at_end).then_some(()))
    })?;
    found.sort();
    same("what came later", &found, &vec!["a".to_owned(), "b".to_owned()])?;
    for (at, offset) in reader.positions() {
        holds(offset >= Offset(1), || format!("the position in {at} is after its record, not {offset}"))?;
    }
    Ok(())
}

pub(super) fn fidelity(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "fidelity")?;
    create(world, &[(&name, 1, &[])])?;
    let time = Timestamp(now().0 - 1_234);
    let headers = vec![("h".to_owned(), Some(vec![0, 255])), ("h".to_owned(), None), (String::new(), Some(Vec::new()))];
    let sent = [
        OutRecord { key: None, headers: headers.clone(), timestamp: Some(time), ..record(&name, 0, "", "no key") },
        OutRecord { value: None, timestamp: Some(time), ..record(&name, 0, "tombstone", "") },
        OutRecord { timestamp: Some(time), ..record(&name, 0, "", "") },
    ];
    write(world, "fidelity", sent.to_vec())?;
    for (found, sent) in read(world, &name, 0, 3)?.iter().zip(&sent) {
        let found = (&found.key, &found.value, &found.headers, found.timestamp, found.timestamp_type);
        same("a record", &found, &(&sent.key, &sent.value, &sent.headers, time, TimestampType::CreateTime))?;
    }
    Ok(())
}

pub(super) fn append_time(world: &World) -> Outcome {
    let name = topic(world, Companion::Product, "append-time")?;
    create(world, &[(&name, 1, &[("message.timestamp.type", "LogAppendTime")])])?;
    let old = Timestamp(now().0 - 3_600_000);
    write(world, "append-time", vec![OutRecord { timestamp: Some(old), ..record(&name, 0, "k", "v") }])?;
    for found in read(world, &name, 0, 1)? {
        same("who set the time", &found.timestamp_type, &TimestampType::LogAppendTime)?;
        holds(found.timestamp > old, || format!("the time of {} is the broker's", text(found.value.as_deref())))?;
    }
    Ok(())
}
