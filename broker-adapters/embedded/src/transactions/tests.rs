//! The coordinator over a reach that only writes down what is asked of it, and can be made to fail.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;

const ID: &str = "writer";
const TIMEOUT_MS: i32 = 60_000;

#[derive(Default)]
struct Notes {
    written: Mutex<Vec<String>>,
    remembered: Mutex<BTreeMap<String, Transaction>>,
    ids: AtomicI64,
    marking_fails: AtomicBool,
}

impl Reach for Arc<Notes> {
    fn remember(&self, transaction: &Transaction) -> io::Result<()> {
        let mut remembered = self.remembered.lock().unwrap();
        remembered.insert(transaction.transactional_id.clone(), transaction.clone());
        Ok(())
    }

    fn forget(&self, transactional_id: &str) -> io::Result<()> {
        self.remembered.lock().unwrap().remove(transactional_id);
        Ok(())
    }

    fn new_producer_id(&self) -> io::Result<i64> {
        Ok(self.ids.fetch_add(1, Ordering::SeqCst))
    }

    fn mark(&self, topic: &str, partition: i32, producer: Producer, marker: Marker) -> io::Result<()> {
        if self.marking_fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is full"));
        }
        self.written.lock().unwrap().push(format!("{marker:?} {topic}-{partition} {}/{}", producer.id, producer.epoch));
        Ok(())
    }

    fn end_offsets(&self, producer_id: i64, marker: Marker) -> io::Result<()> {
        self.written.lock().unwrap().push(format!("{marker:?} offsets {producer_id}"));
        Ok(())
    }
}

impl Notes {
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.written.lock().unwrap())
    }
}

fn coordinator() -> (Transactions, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (Transactions::new(Box::new(Arc::clone(&notes)), 10, Duration::from_secs(900)), notes)
}

fn init(transactions: &Transactions, now: i64) -> Producer {
    transactions.init(Some(ID), TIMEOUT_MS, Producer::NONE, now).unwrap()
}

fn add(transactions: &Transactions, producer: Producer, now: i64) -> Result<(), ResponseError> {
    let reached = partitions([("a".to_owned(), 0), ("b".to_owned(), 1)].into_iter());
    transactions.add_partitions(ID, producer, reached, true, now)
}

#[test]
fn a_transaction_ends_once_and_its_end_may_be_asked_for_again() {
    let (transactions, notes) = coordinator();
    let producer = init(&transactions, 0);
    assert_eq!(producer, Producer { id: 0, epoch: 0 });
    let commit = || transactions.end(ID, producer, Marker::Commit, true, 2);
    assert_eq!(commit(), Err(ResponseError::InvalidTxnState), "nothing is open");
    add(&transactions, producer, 1).unwrap();
    commit().unwrap();
    assert_eq!(notes.taken(), ["Commit a-0 0/0", "Commit b-1 0/0", "Commit offsets 0"]);
    commit().unwrap();
    assert!(notes.taken().is_empty(), "its answer was lost, the end is there");
    assert_eq!(transactions.end(ID, producer, Marker::Abort, true, 3), Err(ResponseError::InvalidTxnState));
}

#[test]
fn who_takes_over_aborts_what_is_open_and_fences_who_was_before() {
    let (transactions, notes) = coordinator();
    let old = init(&transactions, 0);
    add(&transactions, old, 1).unwrap();
    let new = init(&transactions, 2);
    // The epoch between the two belongs to nobody, and ends what was open.
    assert_eq!(notes.taken(), ["Abort a-0 0/1", "Abort b-1 0/1", "Abort offsets 0"]);
    assert_eq!(new, Producer { id: 0, epoch: 2 });
    assert_eq!(add(&transactions, old, 3), Err(ResponseError::ProducerFenced));
    assert_eq!(transactions.end(ID, old, Marker::Commit, false, 3), Err(ResponseError::InvalidProducerEpoch));
    let written = transactions.within(ID, old, |_| true, || panic!("a fenced producer writes"));
    assert_eq!(written, Err(ResponseError::InvalidProducerEpoch));
    add(&transactions, new, 4).unwrap();
    assert_eq!(transactions.within(ID, new, |open| open.has_partition("a", 0), || 7), Ok(7));
    let elsewhere = transactions.within(ID, new, |open| open.has_partition("a", 1), || 7);
    assert_eq!(elsewhere, Err(ResponseError::InvalidTxnState));
}

#[test]
fn what_was_decided_is_carried_out_later_where_it_cannot_be_now() {
    let (transactions, notes) = coordinator();
    let producer = init(&transactions, 0);
    add(&transactions, producer, 1).unwrap();
    notes.marking_fails.store(true, Ordering::SeqCst);
    let commit = |now| transactions.end(ID, producer, Marker::Commit, true, now);
    assert_eq!(commit(2), Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(transactions.end(ID, producer, Marker::Abort, true, 2), Err(ResponseError::InvalidTxnState));
    // Another process goes on with what is remembered.
    let (other, other_notes) = coordinator();
    for (id, transaction) in notes.remembered.lock().unwrap().clone() {
        other.replay(&id, Some(transaction));
    }
    other.tick(3);
    assert_eq!(other_notes.taken().len(), 3);
    assert_eq!(other.describe(ID).unwrap().state, State::CompleteCommit);
    notes.marking_fails.store(false, Ordering::SeqCst);
    commit(4).unwrap();
    assert_eq!(notes.taken().len(), 3);
}

#[test]
fn what_is_open_for_too_long_is_aborted_and_what_nobody_uses_forgotten() {
    let (transactions, notes) = coordinator();
    let producer = init(&transactions, 0);
    add(&transactions, producer, 1_000).unwrap();
    transactions.tick(1_000 + i64::from(TIMEOUT_MS));
    assert!(notes.taken().is_empty());
    transactions.tick(1_001 + i64::from(TIMEOUT_MS));
    assert_eq!(notes.taken(), ["Abort a-0 0/1", "Abort b-1 0/1", "Abort offsets 0"]);
    assert_eq!(transactions.end(ID, producer, Marker::Commit, true, 70_000), Err(ResponseError::ProducerFenced));
    transactions.tick(FORGET_AFTER_MS + 100_000);
    assert!(transactions.describe(ID).is_none() && notes.remembered.lock().unwrap().is_empty());
}

#[test]
fn a_producer_that_is_known_gets_the_next_epoch_and_again_the_same() {
    let (transactions, _notes) = coordinator();
    let first = init(&transactions, 0);
    let next = transactions.init(Some(ID), TIMEOUT_MS, first, 1).unwrap();
    assert_eq!(next, Producer { id: 0, epoch: 1 });
    assert_eq!(transactions.init(Some(ID), TIMEOUT_MS, first, 2), Ok(next), "its answer was lost");
    let stranger = Producer { id: 9, epoch: 0 };
    assert_eq!(transactions.init(Some(ID), TIMEOUT_MS, stranger, 3), Err(ResponseError::ProducerFenced));
    let old = Producer { id: 0, epoch: -1 };
    assert_eq!(transactions.init(Some(ID), TIMEOUT_MS, old, 3), Err(ResponseError::ProducerFenced));
}

#[test]
fn epochs_that_are_used_up_bring_a_new_producer_id() {
    let (transactions, _notes) = coordinator();
    init(&transactions, 0);
    let mut worn = transactions.describe(ID).unwrap();
    worn.epoch = i16::MAX - 1;
    transactions.replay(ID, Some(worn));
    assert_eq!(init(&transactions, 1), Producer { id: 1, epoch: 0 });
}

#[test]
fn what_is_asked_wrongly_is_refused() {
    let (transactions, _notes) = coordinator();
    let init = |id: &str, timeout| transactions.init(Some(id), timeout, Producer::NONE, 0);
    assert_eq!(init("", TIMEOUT_MS), Err(ResponseError::InvalidRequest));
    assert_eq!(init(ID, 0), Err(ResponseError::InvalidTransactionTimeout));
    assert_eq!(init(ID, 900_001), Err(ResponseError::InvalidTransactionTimeout));
    let nobody = Producer { id: 0, epoch: 0 };
    assert_eq!(add(&transactions, nobody, 0), Err(ResponseError::InvalidProducerIdMapping));
    assert_eq!(transactions.within(ID, nobody, |_| true, || ()), Err(ResponseError::InvalidTxnState));
    for number in 0..10 {
        init(&format!("writer-{number}"), TIMEOUT_MS).unwrap();
    }
    assert_eq!(init("one-too-many", TIMEOUT_MS), Err(ResponseError::PolicyViolation));
    assert_eq!(transactions.frozen(|| 5), 5);
}
