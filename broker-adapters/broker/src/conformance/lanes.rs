//! What a lane does with the records of its slot.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::{Offset, Run, Timestamp, TopicPartition};

use super::World;
use super::bench::{
    Bench, Outcome, STEP, Said, WIDE, eventually, holds, now, poll, read, read_as, record, same, silent, texts, values,
    write,
};
use crate::lane::{CommittedOffset, Control, Incident, Lane, LaneError, PollLimits, Route};
use crate::log::{Isolation, OutRecord};

fn quarantine(reason: &str) -> Route {
    Route::Quarantine(Box::new(vec![("weir.rule".into(), reason.into()), ("weir.rule".into(), b"again".to_vec())]))
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

pub(super) fn routes(world: &World) -> Outcome {
    let bench = Bench::new(world, "routes", 1, &[])?;
    let time = Timestamp(now().0 - 4_321);
    let headers = vec![("h".to_owned(), Some(vec![0, 255])), ("h".to_owned(), None), ("z".to_owned(), Some(vec![]))];
    let original = |value: &str| OutRecord {
        headers: headers.clone(),
        timestamp: Some(time),
        ..record(&bench.inbox, 0, "key", value)
    };
    let tombstone = OutRecord { key: None, value: None, ..original("") };
    let sent = vec![original("forward"), original("replace"), original("quarantine"), original("withhold"), tombstone];
    write(world, "routes", sent.clone())?;
    let mut lane = bench.lane()?;
    poll(lane.as_mut(), 5)?;
    let routes =
        [Route::Forward, Route::Replace(b"other".to_vec()), quarantine("why"), Route::Withhold, Route::Forward];
    let batch = lane.batch();
    let seen: Vec<_> = batch.headers(0).into_iter().map(|(n, v)| (n.into_owned(), v.map(|v| v.into_owned()))).collect();
    same("the headers of the batch's first record", &seen, &headers)?;
    lane.commit(&routes, &mut silent).said("commit")?;

    let product: Vec<_> = read(world, &bench.product, 0, 3)?
        .into_iter()
        .map(|found| (found.key, found.value, found.headers, found.timestamp))
        .collect();
    let key = Some(b"key".to_vec());
    let expected = vec![
        (key.clone(), Some(b"forward".to_vec()), headers.clone(), time),
        (key.clone(), Some(b"other".to_vec()), headers.clone(), time),
        (None, None, headers.clone(), time),
    ];
    same("the product topic", &product, &expected)?;
    let held: Vec<_> = read(world, &bench.quarantine, 0, 1)?
        .into_iter()
        .map(|found| (found.key, found.value, found.headers, found.timestamp))
        .collect();
    let mut reasons = headers.clone();
    reasons.push(("weir.rule".to_owned(), Some(b"why".to_vec())));
    reasons.push(("weir.rule".to_owned(), Some(b"again".to_vec())));
    same("the quarantine topic", &held, &vec![(key, Some(b"quarantine".to_vec()), reasons, time)])
}

pub(super) fn runs(world: &World) -> Outcome {
    let bench = Bench::new(world, "runs", 2, &[])?;
    bench.fill(0, &["a", "b", "c", "d", "e", "f"])?;
    bench.fill(1, &["x"])?;
    let mut lane = bench.lane()?;
    poll(lane.as_mut(), 7)?;
    let batch = lane.batch();
    let routes: Vec<Route> = (0..batch.len())
        .map(|index| match batch.record(index).value {
            Some(b"c") => quarantine("c"),
            Some(b"f") => Route::Withhold,
            _ => Route::Forward,
        })
        .collect();
    let mut told = Vec::new();
    let committed = lane
        .commit(&routes, &mut |outputs| {
            told = outputs.to_vec();
            Control::default()
        })
        .said("commit")?;
    same("outputs told before and after the commit", &committed.outputs, &told)?;
    let by: BTreeMap<_, _> = committed.outputs.iter().map(|output| (output.inbox.partition.0, output)).collect();
    let Some(output) = by.get(&0) else { return Err("partition 0 moved and is not told".to_owned()) };
    let run = |first, count, output| Run { first: Offset(first), count, output_first: Offset(output) };
    same("from", &output.from, &Offset::ZERO)?;
    holds(output.to >= Offset(6), || format!("to is after the last record, not {}", output.to))?;
    same("product runs", &output.product, &vec![run(0, 2, 0), run(3, 2, 2)])?;
    same("quarantine runs", &output.quarantine, &vec![run(2, 1, 0)])?;
    same("withheld runs", &output.withheld, &vec![run(5, 1, -1)])?;
    for found in read(world, &bench.product, 0, 4)? {
        let input = output.product.iter().find_map(|run| run.input_of(found.offset));
        holds(input.is_some(), || format!("a run covers product offset {}", found.offset))?;
    }
    same("the other partition", &by.get(&1).map(|output| output.product.clone()), &Some(vec![run(0, 1, 0)]))
}

pub(super) fn offsets(world: &World) -> Outcome {
    let bench = Bench::new(world, "offsets", 2, &[])?;
    bench.fill(0, &["a", "b"])?;
    bench.fill(1, &["x"])?;
    let mut lane = bench.lane()?;
    same("committed at first", &lane.committed(&[bench.at(0)]).said("read committed")?, &BTreeMap::new())?;
    poll(lane.as_mut(), 3)?;
    let control = bench.control.clone();
    let committed = lane
        .commit(&vec![Route::Forward; 3], &mut |outputs| Control {
            records: vec![record(&control, 0, "lineage", &format!("{} partitions", outputs.len()))],
            metadata: outputs.iter().map(|output| format!("catalog of {}", output.inbox.partition)).collect(),
        })
        .said("commit")?;
    for output in &committed.outputs {
        let number = output.inbox.partition.0;
        let found = eventually("the committed offset", || bench.committed(number))?;
        same("offset and metadata", &found, &(output.to, format!("catalog of {number}")))?;
    }
    let held = lane.committed(&[bench.at(0), bench.at(1)]).said("read committed")?;
    same("what the lane says is committed", &held.len(), &2)?;
    same("control records", &texts(&read(world, &control, 0, 1)?), &strings(&["2 partitions"]))
}

pub(super) fn isolation(world: &World) -> Outcome {
    let bench = Bench::new(world, "isolation", 1, &[])?;
    bench.fill(0, &["a", "b"])?;
    let mut lane = bench.lane()?;
    poll(lane.as_mut(), 2)?;
    let mut seen = Err("the control records were not asked for".to_owned());
    let look = || -> Outcome {
        read_as(world, &bench.product, 0, 2, Isolation::Uncommitted)?;
        read_as(world, &bench.product, 0, 0, Isolation::Committed)?;
        same("what is committed", &bench.committed(0)?, &None)
    };
    lane.commit(&[Route::Forward, Route::Forward], &mut |_| {
        seen = look();
        Control::default()
    })
    .said("commit")?;
    seen?;
    read(world, &bench.product, 0, 2).map(drop)
}

pub(super) fn again(world: &World) -> Outcome {
    let bench = Bench::new(world, "again", 1, &[])?;
    bench.fill(0, &["a", "b"])?;
    let mut lane = bench.lane()?;
    for _ in 0..2 {
        poll(lane.as_mut(), 2)?;
        same("the batch", &values(lane.as_ref()).remove(&0), &Some(strings(&["a", "b"])))?;
    }
    lane.commit(&[Route::Forward, Route::Forward], &mut silent).said("commit")?;
    bench.fill(0, &["c"])?;
    poll(lane.as_mut(), 1)?;
    same("what comes after a commit", &values(lane.as_ref()).remove(&0), &Some(strings(&["c"])))
}

pub(super) fn gapless(world: &World) -> Outcome {
    let bench = Bench::new(world, "gapless", 1, &[])?;
    let mut lane = bench.lane()?;
    let (mut next, mut consumed) = (Offset::ZERO, 0);
    for value in ["a", "b", "c"] {
        bench.fill(0, &[value, value])?;
        poll(lane.as_mut(), 2)?;
        let routes = vec![Route::Forward; lane.batch().len()];
        let committed = lane.commit(&routes, &mut silent).said("commit")?;
        for output in committed.outputs {
            same("where the range begins", &output.from, &next)?;
            let inside =
                output.product.iter().all(|run| run.first >= output.from && run.first.0 + run.count <= output.to.0);
            holds(inside, || format!("the runs are inside the range: {output:?}"))?;
            consumed += output.product.iter().map(|run| run.count).sum::<i64>();
            next = output.to;
        }
    }
    same("records consumed", &consumed, &6)
}

pub(super) fn waiting(world: &World) -> Outcome {
    let bench = Bench::new(world, "waiting", 2, &[])?;
    bench.fill(0, &["a", "b", "c"])?;
    bench.fill(1, &["x"])?;
    let mut lane = bench.lane()?;
    poll(lane.as_mut(), 4)?;
    let batch = lane.batch();
    let routes: Vec<Route> = (0..batch.len())
        .map(|index| if batch.record(index).value == Some(b"b") { Route::Wait } else { Route::Forward })
        .collect();
    let committed = lane.commit(&routes, &mut silent).said("commit")?;
    let to = committed.outputs.iter().find(|output| output.inbox == bench.at(0)).map(|output| output.to);
    same("where the waiting partition stands", &to, &Some(Offset(1)))?;
    same("what was forwarded", &texts(&read(world, &bench.product, 0, 1)?), &strings(&["a"]))?;

    bench.fill(1, &["y"])?;
    poll(lane.as_mut(), 1)?;
    same("only the other partition", &values(lane.as_ref()), &[(1, strings(&["y"]))].into_iter().collect())?;
    lane.commit(&[Route::Forward], &mut silent).said("commit the other")?;

    lane.resume(&bench.at(0)).said("resume")?;
    poll(lane.as_mut(), 2)?;
    same("what waited", &values(lane.as_ref()), &[(0, strings(&["b", "c"]))].into_iter().collect())?;
    let nothing = lane.commit(&[Route::Wait, Route::Wait], &mut silent).said("commit nothing")?;
    same("outputs of a batch that waits", &nothing.outputs, &Vec::new())?;
    lane.resume(&bench.at(0)).said("resume again")?;
    poll(lane.as_mut(), 2)?;
    lane.commit(&[Route::Forward, Route::Forward], &mut silent).said("commit what waited")?;
    same("all of it, in order", &texts(&read(world, &bench.product, 0, 3)?), &strings(&["a", "b", "c"]))
}

pub(super) fn refused(world: &World) -> Outcome {
    let bench = Bench::new(world, "refused-lane", 1, &[("max.message.bytes", "2000")])?;
    let large: Vec<u8> = (0u32..5_000).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    let records = vec![
        record(&bench.inbox, 0, "k", "small"),
        OutRecord { value: Some(large), ..record(&bench.inbox, 0, "k", "") },
    ];
    write(world, "refused-lane", records)?;
    let mut lane = bench.lane()?;
    let refused = tried(lane.as_mut(), 2)?;
    same("the refused record", &refused, &Some((bench.at(0), Offset(1))))?;
    read(world, &bench.product, 0, 0)?;
    poll(lane.as_mut(), 2)?;
    lane.commit(&[Route::Forward, quarantine("too large")], &mut silent).said("quarantine it")?;
    read(world, &bench.quarantine, 0, 1)?;
    same("the product topic", &texts(&read(world, &bench.product, 0, 1)?), &strings(&["small"]))?;
    // Together they are larger than the topic's limit; none of them is.
    let crowd: Vec<String> = (0..60).map(|number| format!("{number:0100}")).collect();
    bench.fill(0, &crowd.iter().map(String::as_str).collect::<Vec<_>>())?;
    same("what is refused of a crowd", &tried(lane.as_mut(), crowd.len())?, &None)?;
    read(world, &bench.product, 0, 1 + crowd.len()).map(drop)
}

/// Forwards a batch of so many records: which record is refused, if any. A lane may abort to find out.
fn tried(lane: &mut dyn Lane, count: usize) -> Outcome<Option<(TopicPartition, Offset)>> {
    for _ in 0..3 {
        poll(lane, count)?;
        match lane.commit(&vec![Route::Forward; count], &mut silent) {
            Ok(_) => return Ok(None),
            Err(LaneError::Refused { inbox, offset, .. }) => return Ok(Some((inbox, offset))),
            Err(LaneError::Aborted { partitions, .. }) if partitions.is_empty() => {}
            Err(other) => return Err(format!("a batch is committed or refused, not {other:?}")),
        }
    }
    Err("it was not found out which record is refused".to_owned())
}

pub(super) fn out_of_range(world: &World) -> Outcome {
    let bench = Bench::new(world, "range", 1, &[])?;
    bench.fill(0, &["a"])?;
    let mut lane = bench.take()?;
    lane.assign(&bench.assignment(Offset(1_000))).said("assign beyond the end")?;
    let gone = eventually("the incident", || Ok(lane.poll(STEP, WIDE).said("poll")?.pop()))?;
    same("the incident", &gone, &Incident::OutOfRange { inbox: bench.at(0), position: Offset(1_000) })?;
    same("later incidents", &lane.poll(STEP, WIDE).said("poll")?, &Vec::new())?;
    same("records meanwhile", &lane.batch().len(), &0)?;
    let (start, end) = lane.watermarks(&bench.at(0)).said("ask for watermarks")?;
    holds(start == Offset::ZERO && end >= Offset(1), || format!("watermarks are 0 and the end, not {start}, {end}"))?;
    lane.assign(&bench.assignment(start)).said("assign again")?;
    poll(lane.as_mut(), 1)
}

pub(super) fn assigning(world: &World) -> Outcome {
    let bench = Bench::new(world, "assigning", 2, &[])?;
    bench.fill(0, &["a"])?;
    let mut lane = bench.take()?;
    let both = bench.assignment(Offset::ZERO);
    lane.assign(&both.iter().take(1).cloned().collect::<Vec<_>>()).said("assign one")?;
    poll(lane.as_mut(), 1)?;
    lane.commit(&[Route::Forward], &mut silent).said("commit")?;
    bench.fill(1, &["x"])?;
    lane.assign(&both).said("assign both")?;
    poll(lane.as_mut(), 1)?;
    same("only what is new", &values(lane.as_ref()), &[(1, strings(&["x"]))].into_iter().collect())
}

pub(super) fn annotate(world: &World) -> Outcome {
    let bench = Bench::new(world, "annotate", 1, &[])?;
    let mut lane = bench.lane()?;
    let activated = vec![record(&bench.control, 0, "inbox/0", "activated")];
    let at = CommittedOffset { offset: Offset::ZERO, metadata: "catalog 5".to_owned() };
    lane.annotate(activated, &[(bench.at(0), at)]).said("annotate")?;
    let found = eventually("the offset", || bench.committed(0))?;
    same("offset and metadata", &found, &(Offset::ZERO, "catalog 5".to_owned()))?;
    same("the control record", &texts(&read(world, &bench.control, 0, 1)?), &strings(&["activated"]))?;
    bench.fill(0, &["a"])?;
    poll(lane.as_mut(), 1)?;
    let refused = lane.annotate(Vec::new(), &[]);
    holds(refused.is_err(), || "annotating is refused while there is a batch".to_owned())
}

pub(super) fn limits(world: &World) -> Outcome {
    let bench = Bench::new(world, "limits", 1, &[])?;
    bench.fill(0, &["a", "b", "c", "d", "e"])?;
    let mut lane = bench.lane()?;
    let mut found = Vec::new();
    eventually("all five, two at a time", || {
        lane.poll(Duration::from_secs(1), PollLimits { records: 2, bytes: 1 << 20 }).said("poll")?;
        let count = lane.batch().len();
        holds(count <= 2, || format!("a batch of at most 2, not {count}"))?;
        found.extend(values(lane.as_ref()).remove(&0).unwrap_or_default());
        lane.commit(&vec![Route::Forward; count], &mut silent).said("commit")?;
        Ok((found.len() >= 5).then_some(()))
    })?;
    same("what came", &found, &strings(&["a", "b", "c", "d", "e"]))
}
