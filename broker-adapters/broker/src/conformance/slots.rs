//! Membership of the group that shares the slots.

use std::collections::BTreeSet;
use std::time::Duration;

use schemas::Slot;

use super::World;
use super::bench::{Outcome, STEP, Said, create, eventually, holds, same};
use crate::lane::{SlotEvent, SlotMember, SlotOptions};

/// A member that does what it is told at once.
struct Process {
    member: Box<dyn SlotMember>,
    slots: BTreeSet<Slot>,
}

impl Process {
    fn join(world: &World, instance: &str) -> Outcome<Self> {
        let options = SlotOptions {
            topic: world.names.slots(),
            group: world.names.slots_group(),
            instance: instance.to_owned(),
            session_timeout: Duration::from_secs(6),
        };
        Ok(Self { member: world.broker.join_slots(&options).said("join")?, slots: BTreeSet::new() })
    }

    fn step(&mut self) -> Outcome {
        match self.member.poll(STEP / 4).said("poll the membership")? {
            Some(SlotEvent::Taken(slots)) => self.slots.extend(slots),
            Some(SlotEvent::Revoked(gone) | SlotEvent::Lost(gone)) => {
                self.slots.retain(|slot| !gone.contains(slot));
                self.member.released().said("release")?;
            }
            None => {}
        }
        Ok(())
    }
}

pub(super) fn shared(world: &World) -> Outcome {
    create(world, &[(&world.names.slots(), 4, &[])])?;
    let all: BTreeSet<Slot> = (0..4).map(Slot).collect();
    let mut first = Process::join(world, "first")?;
    eventually("all slots with the only member", || {
        first.step()?;
        Ok((first.slots == all).then_some(()))
    })?;
    let mut second = Process::join(world, "second")?;
    eventually("two slots each", || {
        first.step()?;
        second.step()?;
        holds(first.slots.is_disjoint(&second.slots), || {
            format!("no slot has two owners: {:?} and {:?}", first.slots, second.slots)
        })?;
        Ok((first.slots.len() == 2 && second.slots.len() == 2).then_some(()))
    })?;
    first.member.leave();
    eventually("all slots with the one that stayed", || {
        second.step()?;
        Ok((second.slots == all).then_some(()))
    })?;
    same("the slots of the one that stayed", &second.slots, &all)?;
    second.member.leave();
    Ok(())
}
