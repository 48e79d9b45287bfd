//! The group that shares the slots, in memory: static members, sessions that expire, slots that move only
//! when their owner let go of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemas::{Slot, Topic};

use super::state::State;
use super::{Shared, deadline};
use crate::lane::{SlotEvent, SlotMember, SlotOptions};
use crate::log::Weather;

/// The members of a group by their instance ids.
#[derive(Debug, Default)]
pub(super) struct SlotGroup {
    members: BTreeMap<String, Member>,
    serial: u64,
}

#[derive(Debug)]
struct Member {
    /// Which process of this instance: a later one replaces an earlier one.
    serial: u64,
    timeout: Duration,
    seen: Instant,
    granted: BTreeSet<Slot>,
    /// Told to let go of, and not yet released.
    revoking: BTreeSet<Slot>,
}

impl SlotGroup {
    fn join(&mut self, instance: &str, timeout: Duration) -> u64 {
        self.serial += 1;
        let (serial, seen) = (self.serial, Instant::now());
        let member = self.members.entry(instance.to_owned()).or_insert_with(|| Member {
            serial,
            timeout,
            seen,
            granted: BTreeSet::new(),
            revoking: BTreeSet::new(),
        });
        // A restart: the slots stay where they were, and nobody is left to release any.
        member.granted.append(&mut member.revoking);
        (member.serial, member.timeout, member.seen) = (serial, timeout, seen);
        serial
    }

    /// Forgets a member; its slots are free.
    pub(super) fn remove(&mut self, instance: &str) {
        self.members.remove(instance);
    }

    fn expire(&mut self, now: Instant) {
        self.members.retain(|_, member| now.saturating_duration_since(member.seen) < member.timeout);
    }

    fn member(&mut self, instance: &str, serial: u64) -> Option<&mut Member> {
        self.members.get_mut(instance).filter(|member| member.serial == serial)
    }

    /// How many slots each member should have: who has more now keeps more.
    fn quotas(&self, slots: usize) -> BTreeMap<String, usize> {
        let mut order: Vec<(&String, usize)> = self.members.iter().map(|(name, m)| (name, m.granted.len())).collect();
        order.sort_by_key(|(_, granted)| std::cmp::Reverse(*granted));
        let count = order.len().max(1);
        let share = |place: usize| slots / count + usize::from(place < slots % count);
        order.into_iter().enumerate().map(|(place, (name, _))| (name.clone(), share(place))).collect()
    }

    /// Hands free slots to members that have fewer than their share.
    fn grant(&mut self, slots: u16) {
        let quotas = self.quotas(usize::from(slots));
        let taken: BTreeSet<Slot> =
            self.members.values().flat_map(|m| m.granted.iter().chain(&m.revoking)).copied().collect();
        let mut free = (0..slots).map(Slot).filter(|slot| !taken.contains(slot));
        for (name, member) in &mut self.members {
            let quota = quotas.get(name).copied().unwrap_or_default();
            while member.granted.len() < quota {
                let Some(slot) = free.next() else { return };
                member.granted.insert(slot);
            }
        }
    }
}

/// One process's membership.
#[derive(Debug)]
pub(super) struct MemoryMember {
    shared: Arc<Shared>,
    options: SlotOptions,
    serial: u64,
    /// What the process was told it owns.
    held: BTreeSet<Slot>,
    /// Another process has this instance id: nothing brings this one back.
    replaced: bool,
}

impl MemoryMember {
    pub(super) fn join(shared: &Arc<Shared>, options: &SlotOptions) -> Self {
        let mut state = shared.lock();
        let group = state.slot_groups.entry(options.group.clone()).or_default();
        let serial = group.join(&options.instance, options.session_timeout);
        drop(state);
        shared.changed.notify_all();
        Self { shared: Arc::clone(shared), options: options.clone(), serial, held: BTreeSet::new(), replaced: false }
    }

    fn weather(&self, why: &str) -> Weather {
        Weather::new(format!("keep the membership of {} in {}", self.options.instance, self.options.group), why)
    }

    /// One look at the group: what changed for this member, if anything.
    fn look(&mut self, state: &mut State) -> Result<Option<SlotEvent>, Weather> {
        if let Some(why) = &state.outage {
            return Err(self.weather(why));
        }
        let slots = slots_of(state, &self.options.topic);
        let group = state.slot_groups.entry(self.options.group.clone()).or_default();
        let now = Instant::now();
        if let Some(member) = group.member(&self.options.instance, self.serial) {
            member.seen = now;
        }
        group.expire(now);
        if group.member(&self.options.instance, self.serial).is_none() {
            return self.lost(group);
        }
        group.grant(slots);
        let quota = group.quotas(usize::from(slots)).get(&self.options.instance).copied().unwrap_or_default();
        let Some(member) = group.member(&self.options.instance, self.serial) else { return Ok(None) };
        let surplus: BTreeSet<Slot> = member.granted.iter().skip(quota).copied().collect();
        if !surplus.is_empty() {
            member.granted.retain(|slot| !surplus.contains(slot));
            let told: BTreeSet<Slot> = surplus.intersection(&self.held).copied().collect();
            if !told.is_empty() {
                member.revoking.extend(&told);
                self.held.retain(|slot| !told.contains(slot));
                return Ok(Some(SlotEvent::Revoked(told.into_iter().collect())));
            }
        }
        let new: Vec<Slot> = member.granted.difference(&self.held).copied().collect();
        if new.is_empty() {
            return Ok(None);
        }
        self.held.extend(&new);
        Ok(Some(SlotEvent::Taken(new)))
    }

    /// The group does not know this member any more: say what is gone, and join again if that is possible.
    fn lost(&mut self, group: &mut SlotGroup) -> Result<Option<SlotEvent>, Weather> {
        self.replaced |= group.members.contains_key(&self.options.instance);
        if !self.replaced {
            self.serial = group.join(&self.options.instance, self.options.session_timeout);
        }
        if !self.held.is_empty() {
            return Ok(Some(SlotEvent::Lost(std::mem::take(&mut self.held).into_iter().collect())));
        }
        if self.replaced {
            return Err(self.weather("another process joined with the same instance id; give each its own"));
        }
        Ok(None)
    }
}

impl SlotMember for MemoryMember {
    fn poll(&mut self, max_wait: Duration) -> Result<Option<SlotEvent>, Weather> {
        let deadline = deadline(max_wait);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            let event = self.look(&mut state)?;
            if event.is_some() {
                shared.changed.notify_all();
            }
            if event.is_some() || Instant::now() >= deadline {
                return Ok(event);
            }
            state = shared.wait(state, deadline);
        }
    }

    fn released(&mut self) -> Result<(), Weather> {
        let mut state = self.shared.lock();
        if let Some(why) = &state.outage {
            return Err(self.weather(why));
        }
        let group = state.slot_groups.get_mut(&self.options.group);
        if let Some(member) = group.and_then(|group| group.member(&self.options.instance, self.serial)) {
            member.revoking.clear();
            member.seen = Instant::now();
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    fn leave(self: Box<Self>) {
        let mut state = self.shared.lock();
        if let Some(group) = state.slot_groups.get_mut(&self.options.group)
            && group.member(&self.options.instance, self.serial).is_some()
        {
            group.remove(&self.options.instance);
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

/// The slots are the partitions of the topic; none where it does not exist.
fn slots_of(state: &State, topic: &Topic) -> u16 {
    let count = state.topics.get(topic).map_or(0, |topic| topic.partitions.len());
    u16::try_from(count).unwrap_or(u16::MAX)
}
