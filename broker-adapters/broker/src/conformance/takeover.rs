//! What happens when a slot changes hands.

use schemas::Offset;

use super::World;
use super::bench::{Bench, Outcome, Said, poll, read, same, silent, texts, values};
use crate::lane::{Control, LaneError, Route};

pub(super) fn fences(world: &World) -> Outcome {
    let bench = Bench::new(world, "fences", 1, &[])?;
    bench.fill(0, &["a", "b"])?;
    let mut old = bench.lane()?;
    poll(old.as_mut(), 2)?;
    // The new owner comes while the outputs of the old one are sent and not committed.
    let mut new = Err("the control records were not asked for".to_owned());
    let late = old.commit(&[Route::Forward, Route::Forward], &mut |_| {
        new = bench.lane();
        Control::default()
    });
    let mut new = new?;
    same("what the old owner is told", &late.map(drop), &Err(LaneError::Fenced))?;
    // The last stable offset is past what was aborted, or this would not reach the end.
    read(world, &bench.product, 0, 0)?;
    same("what is committed", &bench.committed(0)?, &None)?;
    poll(new.as_mut(), 2)?;
    new.commit(&[Route::Forward, Route::Forward], &mut silent).said("commit as the new owner")?;
    same("what is there, once", &texts(&read(world, &bench.product, 0, 2)?), &vec!["a".to_owned(), "b".to_owned()])
}

pub(super) fn goes_on(world: &World) -> Outcome {
    let bench = Bench::new(world, "goes-on", 1, &[])?;
    bench.fill(0, &["a", "b"])?;
    let mut old = bench.lane()?;
    poll(old.as_mut(), 2)?;
    let catalog = |offset: u32| move |_: &[_]| Control { records: Vec::new(), metadata: vec![offset.to_string()] };
    let outputs = old.commit(&[Route::Forward, Route::Forward], &mut catalog(3)).said("commit")?.outputs;
    let to = outputs.first().map(|output| output.to);
    let mut new = bench.take()?;
    let committed = new.committed(&[bench.at(0)]).said("read committed")?.remove(&bench.at(0));
    same("what the new owner reads", &committed.as_ref().map(|c| c.offset), &to)?;
    same("and its metadata", &committed.as_ref().map(|c| c.metadata.as_str()), &Some("3"))?;
    let start = committed.map_or(Offset::ZERO, |committed| committed.offset);
    new.assign(&bench.assignment(start)).said("assign")?;
    bench.fill(0, &["c"])?;
    poll(new.as_mut(), 1)?;
    same("what is next", &values(new.as_ref()).remove(&0), &Some(vec!["c".to_owned()]))
}
