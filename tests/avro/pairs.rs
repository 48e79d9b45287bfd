//! Whether one schema reads another: the contract crate's answer is Avro Java's, on thousands of pairs, in
//! both directions, and each reason that it gives is one of Avro Java's, in the same place.

use std::collections::{BTreeMap, BTreeSet};

use contract::avro::{Schema, can_read};
use serde_json::Value as Json;

use super::proof::random::Random;
use super::proof::{evolve, generate};
use super::{judge, many, mutate, seed};

/// Two schemas that have something to do with each other.
pub(crate) fn pair(random: &mut Random) -> (String, String) {
    let written = generate::schema(random);
    let mut one: Json = serde_json::from_str(&written.text(true)).expect("JSON");
    let mut other = one.clone();
    match random.below(4) {
        0 => other = serde_json::from_str(&evolve::evolved(&written, random).text(true)).expect("JSON"),
        1 => mutate::mutate(&mut one, random),
        _ => {}
    }
    mutate::mutate(&mut other, random);
    (one.to_string(), other.to_string())
}

#[derive(Debug, Default)]
struct Tally {
    compatible: usize,
    incompatible: usize,
    /// Texts that neither takes for a schema.
    refused: usize,
    /// Where Avro Java has no answer: a field of the reader that two of the writer's could be.
    ambiguous: usize,
    /// Names used before they are defined, which the specification forbids and Avro Java 1.12 alone allows.
    early: usize,
    /// Names of no namespace, used in another one inside their own definition: Avro Java 1.11 and we find them,
    /// Avro Java 1.12 does not.
    inside: usize,
    kinds: BTreeMap<String, usize>,
}

/// Compares both answers; what is wrong, if anything.
fn hold(reader: &str, writer: &str, answer: &Json, tally: &mut Tally) -> Option<String> {
    let schemas = (Schema::parse(reader), Schema::parse(writer));
    let (ours, theirs) = match (&schemas, answer["error"].as_str()) {
        ((Ok(reader), Ok(writer)), None) => (can_read(reader, writer), answer),
        ((Ok(_), Ok(_)), Some(error)) if error.contains("matches multiple fields in writer") => {
            tally.ambiguous += 1;
            return None;
        }
        ((Ok(_), Ok(_)), Some(error)) if error.contains("Undefined schema: elsewhere.") => {
            tally.inside += 1;
            return None;
        }
        ((Ok(_), Ok(_)), Some(error)) => return Some(format!("only Java refuses: {error}")),
        ((one, other), None) => {
            let why = one.as_ref().err().or(other.as_ref().err()).map(ToString::to_string).unwrap_or_default();
            if why.contains("is defined before this place") {
                tally.early += 1;
                return None;
            }
            return Some(format!("only we refuse: {why}"));
        }
        (_, Some(_)) => {
            tally.refused += 1;
            return None;
        }
    };
    let ours: BTreeSet<String> =
        ours.iter().map(|reason| format!("{} at {}", reason.kind.as_str(), reason.path)).collect();
    let reasons = theirs["reasons"].as_array().expect("a list");
    let theirs: BTreeSet<String> = reasons.iter().map(|reason| reason.as_str().expect("text").to_owned()).collect();
    for reason in &theirs {
        *tally.kinds.entry(reason.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    if theirs.is_empty() {
        tally.compatible += 1;
    } else {
        tally.incompatible += 1;
    }
    // Where it meets a pair of types again, Java says its reasons again, with the place of the first time.
    let same = ours.is_empty() == theirs.is_empty() && ours.is_subset(&theirs);
    (!same).then(|| format!("we say {ours:?}, Java says {theirs:?}"))
}

#[test]
fn avro_java_reads_the_same_schemas_with_the_same() {
    let mut random = Random::new(seed());
    let pairs: Vec<(String, String)> = (0..many(6_000)).map(|_| pair(&mut random)).collect();
    let questions: Vec<Json> = pairs.iter().flat_map(|(a, b)| [judge::pair(a, b), judge::pair(b, a)]).collect();
    let answers = judge::answers(&questions);
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for ((a, b), answers) in pairs.iter().zip(answers.chunks(2)) {
        for ((reader, writer), answer) in [(a, b), (b, a)].into_iter().zip(answers) {
            if let Some(why) = hold(reader, writer, answer, &mut tally) {
                wrong.push(format!("{why}\n    reader {reader}\n    writer {writer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}, {tally:?}:\n  {}", wrong.len(), questions.len(), shown(&wrong));
    // Every kind of answer was met often enough to mean something.
    let enough = questions.len() / 10;
    assert!(tally.compatible > enough && tally.incompatible > enough && tally.refused < 3 * enough, "{tally:?}");
    assert!(tally.ambiguous > 0 && tally.kinds.len() == 6, "{tally:?}");
    assert!(tally.early < enough / 2 && tally.inside < enough / 2, "{tally:?}");
}

fn shown(wrong: &[String]) -> String {
    wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n  ")
}
