//! The journal: what was recorded leads to the state there was, at every point that a crash can leave.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use kafka_protocol::messages::DeleteGroupsRequest;

const GROUPS: [&str; 2] = ["g", "h"];

/// Something a client, an operator or time does.
#[derive(Debug, Clone)]
enum Step {
    /// The member goes on with whatever is next for it: join, sync or a heartbeat.
    Proceed(usize),
    Rejoin(usize),
    /// The member forgets its id, as by a restart.
    Restart(usize),
    Leave(usize),
    Commit {
        member: usize,
        partition: i32,
        offset: i64,
    },
    SimpleCommit {
        group: usize,
        partition: i32,
        offset: i64,
    },
    TxnCommit {
        group: usize,
        producer: i64,
        partition: i32,
        offset: i64,
    },
    EndTransaction {
        producer: i64,
        committed: bool,
    },
    DeleteGroup(usize),
    DeleteTopic(bool),
    Wait(i64),
    Disk {
        fails: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (member, group, partition, offset, producer) = (0..6usize, 0..2usize, 0..2i32, 0..100i64, 0..2i64);
    prop_oneof![
        12 => member.clone().prop_map(Step::Proceed),
        2 => member.clone().prop_map(Step::Rejoin),
        2 => member.clone().prop_map(Step::Restart),
        1 => member.clone().prop_map(Step::Leave),
        3 => (member, partition.clone(), offset.clone())
            .prop_map(|(member, partition, offset)| Step::Commit { member, partition, offset }),
        2 => (group.clone(), partition.clone(), offset.clone())
            .prop_map(|(group, partition, offset)| Step::SimpleCommit { group, partition, offset }),
        3 => (group.clone(), producer.clone(), partition, offset)
            .prop_map(|(group, producer, partition, offset)| Step::TxnCommit { group, producer, partition, offset }),
        2 => (producer, any::<bool>())
            .prop_map(|(producer, committed)| Step::EndTransaction { producer, committed }),
        1 => group.prop_map(Step::DeleteGroup),
        1 => any::<bool>().prop_map(Step::DeleteTopic),
        2 => prop_oneof![Just(1_000), Just(11_000), Just(700_000), Just(8 * 24 * 3_600_000)].prop_map(Step::Wait),
        1 => prop::bool::weighted(0.2).prop_map(|fails| Step::Disk { fails }),
    ]
}

/// A member and what it waits for.
struct Actor {
    consumer: Consumer,
    joining: Option<Receiver<JoinGroupResponse>>,
    /// Requests that the client has given up or does not look at.
    left_joining: Vec<Receiver<JoinGroupResponse>>,
    left_syncing: Vec<Receiver<SyncGroupResponse>>,
    leads: bool,
    stable: bool,
}

impl Actor {
    fn new(index: usize) -> Self {
        let group = GROUPS[index % 2];
        let consumer = if index < 2 { static_consumer(group, "one") } else { consumer(group) };
        Self {
            consumer,
            joining: None,
            left_joining: Vec::new(),
            left_syncing: Vec::new(),
            leads: false,
            stable: false,
        }
    }

    fn take(&mut self, response: &JoinGroupResponse) {
        if response.error_code == 0 {
            self.consumer.joined(response);
            self.leads = response.leader == response.member_id;
        } else {
            self.consumer.member = response.member_id.to_string();
            self.consumer.generation = -1;
        }
    }

    fn join(&mut self, broker: &Broker, at: i64) {
        self.stable = false;
        match self.consumer.join(broker, at) {
            Reply::Now(response) => self.take(&response),
            Reply::Later(receiver) => self.left_joining.extend(self.joining.replace(receiver)),
        }
    }

    fn proceed(&mut self, broker: &Broker, at: i64) {
        if let Some(mut receiver) = self.joining.take() {
            match receiver.try_recv() {
                Ok(response) => self.take(&response),
                Err(_) => self.joining = Some(receiver),
            }
        } else if self.consumer.generation < 0 {
            self.join(broker, at);
        } else if self.stable {
            if self.consumer.heartbeat(broker, at) != 0 {
                self.join(broker, at);
            }
        } else {
            let own = [(&self.consumer, "all")];
            let assignments = if self.leads { &own[..] } else { &[] };
            match self.consumer.sync(broker, assignments, at) {
                Reply::Now(response) if response.error_code == 0 => self.stable = true,
                Reply::Now(_) => self.consumer.generation = -1,
                Reply::Later(receiver) => self.left_syncing.push(receiver),
            }
        }
    }

    fn forget(&mut self) {
        self.consumer.member = String::new();
        self.consumer.generation = -1;
        self.left_joining.extend(self.joining.take());
    }

    /// Whether every request that waited has been answered.
    fn all_answered(mut self) -> bool {
        self.left_joining.extend(self.joining.take());
        self.left_joining.iter_mut().all(|receiver| receiver.try_recv().is_ok())
            && self.left_syncing.iter_mut().all(|receiver| receiver.try_recv().is_ok())
    }
}

struct Run {
    broker: Broker,
    actors: Vec<Actor>,
    at: i64,
}

impl Run {
    fn new() -> Self {
        Self { broker: broker(), actors: (0..6).map(Actor::new).collect(), at: 0 }
    }

    fn play(&mut self, step: &Step) {
        let (broker, at) = (&self.broker, self.at);
        match *step {
            Step::Proceed(member) => self.actors[member].proceed(broker, at),
            Step::Rejoin(member) => self.actors[member].join(broker, at),
            Step::Restart(member) => self.actors[member].forget(),
            Step::Leave(member) => {
                self.actors[member].consumer.leave(broker, at);
            }
            Step::Commit { member, partition, offset } => {
                self.actors[member].consumer.commit(broker, "orders", partition, offset, at);
            }
            Step::SimpleCommit { group, partition, offset } => {
                consumer(GROUPS[group]).commit(broker, "payments", partition, offset, at);
            }
            Step::TxnCommit { group, producer, partition, offset } => {
                consumer(GROUPS[group]).txn_commit(broker, producer, partition, offset, at);
            }
            Step::EndTransaction { producer, committed } => {
                drop(broker.groups.end_transaction(ProducerId(producer), committed));
            }
            Step::DeleteGroup(group) => {
                let request = DeleteGroupsRequest::default().with_groups_names(vec![group_id(GROUPS[group])]);
                broker.groups.delete_groups(&request, 2, at);
            }
            Step::DeleteTopic(orders) => {
                drop(broker.groups.topic_deleted(if orders { "orders" } else { "payments" }));
            }
            Step::Wait(duration) => {
                self.at += duration;
                broker.groups.tick(self.at);
            }
            Step::Disk { fails } => broker.journal.fails.store(fails, Ordering::Relaxed),
        }
    }
}

fn replayed(events: &[GroupEvent]) -> Vec<GroupEvent> {
    let broker = broker();
    for event in events {
        broker.groups.replay(event.clone());
    }
    broker.groups.snapshot()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_leads_to_the_state_there_was_after_every_call(steps in vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.play(step);
            let snapshot = run.broker.groups.snapshot();
            prop_assert_eq!(&replayed(&run.broker.journal.events()), &snapshot);
            prop_assert_eq!(&replayed(&snapshot), &snapshot);
        }
    }

    #[test]
    fn a_broker_started_from_any_prefix_serves_on(steps in vec(step(), 1..60), more in vec(step(), 1..60), cut in 0.0..1.0f64) {
        let mut run = Run::new();
        for step in &steps {
            run.play(step);
        }
        let events = run.broker.journal.events();
        let kept = (events.len() as f64 * cut) as usize;
        let restarted = broker();
        for event in &events[..kept] {
            restarted.groups.replay(event.clone());
        }
        restarted.groups.start(run.at);
        // The journal goes on from the snapshot, as after a compaction.
        restarted.journal.record(&restarted.groups.snapshot()).unwrap();
        run.broker = restarted;
        for step in &more {
            run.play(step);
            prop_assert_eq!(&replayed(&run.broker.journal.events()), &run.broker.groups.snapshot());
        }
    }

    #[test]
    fn every_request_that_waits_is_answered_in_the_end(steps in vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in &steps {
            run.play(step);
        }
        run.play(&Step::Disk { fails: false });
        for _ in 0..60 {
            run.play(&Step::Wait(11_000));
        }
        for group in GROUPS {
            prop_assert!(["Empty", "Dead"].contains(&run.broker.state(group).as_str()));
        }
        prop_assert!(run.actors.into_iter().all(Actor::all_answered));
    }

    #[test]
    fn no_bytes_of_a_subscription_make_the_coordinator_panic(bytes in vec(any::<u8>(), 0..64)) {
        let bytes = Bytes::from(bytes);
        drop(crate::groups::state::subscription(&bytes));
        let broker = broker();
        let member = Consumer { protocols: vec![("range", bytes)], ..consumer("g") };
        broker.stable(member).commit(&broker, "orders", 0, 1, 0);
        broker.groups.tick(1);
    }
}

#[test]
fn nothing_but_what_was_recorded_is_in_a_snapshot() {
    let broker = broker();
    let member = broker.stable(consumer("g"));
    let before = broker.groups.snapshot();
    later(consumer("g").enter(&broker, 0));
    assert_eq!(broker.state("g"), "PreparingRebalance");
    assert_eq!(broker.groups.snapshot(), before);
    let restarted = broker.restarted(0);
    assert_eq!(restarted.state("g"), "Stable");
    assert_eq!(member.heartbeat(&restarted, 0), 0);
    assert_eq!(broker.groups.with_snapshot(|events| events), before);
}
