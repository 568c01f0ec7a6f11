//! What the experiments journal means now: who was exposed to what, and what they did.
//!
//! A *group* is one (experiment, variant) for exposures, or one (experiment, variant, event). Each
//! keeps an exact count, sum and sum of squares, and the exact set of its users as numbers.

use std::collections::{HashMap, HashSet};

use hashbrown::HashTable;

use super::event::{self, EVENT, EXPOSURE};
use super::fingerprint::{Fingerprint, Key, bucket};
use super::ids::Ids;
use super::users::{UserSet, Users, in_several};
use crate::storage::line::{self, OwnLine};
use crate::storage::view::{Reader, View, put_bytes, put_u32, put_u64};

/// Counts of one group.
#[derive(Debug)]
pub struct Group {
    prefix: Box<[u8]>,
    /// The experiment.
    pub exp: Box<str>,
    /// The variant.
    pub variant: Box<str>,
    /// The event; `None` for exposures.
    pub event: Option<Box<str>>,
    /// Who.
    pub users: UserSet,
    /// Lines.
    pub count: u64,
    /// Sum of the values, in the order of the journal.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// Lines on their way to the journal.
    expected: u64,
}

/// Names of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    /// The experiment.
    pub exp: Box<str>,
    /// The variant.
    pub variant: Box<str>,
    /// The event; `None` for exposures.
    pub event: Option<Box<str>>,
}

/// The view.
#[derive(Debug)]
pub struct ExperimentsView {
    key: Key,
    users: Users,
    groups: Vec<Group>,
    index: HashTable<u32>,
    /// In how many groups each event name has lines, committed or on their way.
    event_names: HashMap<Box<str>, u32>,
    /// Event groups whose lines were all refused; they are used again.
    free: Vec<u32>,
    /// Ids of logged events.
    pub ids: Ids,
    /// Exposures on their way to the journal.
    pending: HashSet<(u32, Fingerprint)>,
    last_seq: u64,
    skipped: u64,
    /// The parser's numbers of groups, as ours.
    parsed_groups: Vec<u32>,
}

/// One line as it changes the view.
#[derive(Debug, Clone, Copy)]
pub struct Delta {
    /// The group it counts in.
    pub group: u32,
    /// Who.
    pub user: Fingerprint,
    /// The value.
    pub value: Option<f64>,
}

impl ExperimentsView {
    /// A view of an empty journal that remembers `window` ids.
    pub fn new(key: Key, window: usize) -> Self {
        Self {
            key,
            users: Users::default(),
            groups: Vec::new(),
            index: HashTable::new(),
            event_names: HashMap::new(),
            free: Vec::new(),
            ids: Ids::new(window),
            pending: HashSet::new(),
            last_seq: 0,
            skipped: 0,
            parsed_groups: Vec::new(),
        }
    }

    /// What users and ids are fingerprinted with.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The group with this prefix, if there is one.
    pub fn find_group(&self, prefix: &[u8]) -> Option<u32> {
        let same = |at: &u32| *self.groups[*at as usize].prefix == *prefix;
        self.index.find(bucket(prefix), same).copied()
    }

    /// The group with this prefix, made if there is none. An empty group counts nowhere.
    pub fn group(&mut self, prefix: &[u8], name: impl FnOnce() -> GroupName) -> u32 {
        if let Some(found) = self.find_group(prefix) {
            return found;
        }
        let GroupName {
            exp,
            variant,
            event,
        } = name();
        let group = Group {
            prefix: prefix.into(),
            exp,
            variant,
            event,
            users: UserSet::default(),
            count: 0,
            sum: 0.0,
            squares: 0.0,
            expected: 0,
        };
        let number = if let Some(free) = self.free.pop() {
            self.groups[free as usize] = group;
            free
        } else {
            self.groups.push(group);
            u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX)
        };
        let groups = &self.groups;
        let hash = |at: &u32| bucket(&groups[*at as usize].prefix);
        self.index.insert_unique(bucket(prefix), number, hash);
        number
    }

    /// Whether events of this name are counted already.
    pub fn knows_event(&self, name: &str) -> bool {
        self.event_names.contains_key(name)
    }

    /// How many different event names there are.
    pub fn event_names(&self) -> usize {
        self.event_names.len()
    }

    /// Lines that could not be read.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Different users over all.
    pub fn users(&self) -> u32 {
        self.users.count()
    }

    /// Groups that count something.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.count > 0)
    }

    /// Users of an experiment who were exposed to more than one variant.
    pub fn exposed_to_several(&self, exp: &str) -> u64 {
        let exposures = |group: &&Group| group.event.is_none() && *group.exp == *exp;
        let sets: Vec<&UserSet> = self
            .groups
            .iter()
            .filter(exposures)
            .map(|group| &group.users)
            .collect();
        in_several(&sets)
    }

    /// Whether a user counts in a group.
    pub fn contains(&self, group: u32, user: Fingerprint) -> bool {
        let number = self.users.find(user);
        number.is_some_and(|number| self.groups[group as usize].users.contains(number))
    }

    /// Takes note that an exposure is on its way; `false` when it was already.
    pub fn expect_exposure(&mut self, group: u32, user: Fingerprint) -> bool {
        self.pending.insert((group, user))
    }

    /// An exposure has arrived or was refused.
    pub fn exposure_ended(&mut self, group: u32, user: Fingerprint) {
        self.pending.remove(&(group, user));
    }

    /// Takes note that a line of an event is on its way.
    pub fn expect_event(&mut self, group: u32) {
        self.hold_name(group);
        self.groups[group as usize].expected += 1;
    }

    /// A line of an event has been counted or was refused. A group that is left without any line
    /// is given up, and its name with it: what was never written takes no room.
    pub fn event_ended(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        group.expected = group.expected.saturating_sub(1);
        if group.expected > 0 || group.count > 0 {
            return;
        }
        if let Some(event) = &group.event
            && let Some(held) = self.event_names.get_mut(event)
        {
            *held -= 1;
            if *held == 0 {
                self.event_names.remove(event);
            }
        }
        let hash = bucket(&group.prefix);
        if let Ok(found) = self.index.find_entry(hash, |at| *at == number) {
            found.remove();
            self.free.push(number);
        }
    }

    /// A group's first line holds the name of its event.
    fn hold_name(&mut self, group: u32) {
        let group = &self.groups[group as usize];
        if group.count == 0
            && group.expected == 0
            && let Some(event) = &group.event
        {
            *self.event_names.entry(event.clone()).or_default() += 1;
        }
    }

    /// Counts a line.
    pub fn count(&mut self, delta: Delta) {
        self.hold_name(delta.group);
        let number = self.users.number(delta.user);
        let group = &mut self.groups[delta.group as usize];
        group.users.insert(number);
        group.count += 1;
        if let Some(value) = delta.value {
            group.sum += value;
            group.squares += value * value;
        }
    }
}

/// Lines read from the journal, not yet counted.
#[derive(Debug, Default)]
pub struct Batch {
    names: Vec<(Box<[u8]>, GroupName)>,
    deltas: Vec<Delta>,
    ids: Vec<(Fingerprint, u32, u64)>,
    skipped: u64,
    last_seq: u64,
}

/// Remembers the prefixes met, so that a group is looked up by its bytes.
#[derive(Debug)]
pub struct Parser {
    key: Key,
    prefixes: Vec<Box<[u8]>>,
    index: HashTable<u32>,
}

impl Parser {
    fn group(&mut self, prefix: &[u8], batch: &mut Batch, name: impl FnOnce() -> GroupName) -> u32 {
        let hash = bucket(prefix);
        let prefixes = &self.prefixes;
        if let Some(found) = self
            .index
            .find(hash, |at| *prefixes[*at as usize] == *prefix)
        {
            return *found;
        }
        let number = u32::try_from(self.prefixes.len()).unwrap_or(u32::MAX);
        self.prefixes.push(prefix.into());
        let prefixes = &self.prefixes;
        self.index
            .insert_unique(hash, number, |at| bucket(&prefixes[*at as usize]));
        batch.names.push((prefix.into(), name()));
        number
    }

    fn line(&mut self, line: &[u8], batch: &mut Batch) {
        let Some(own) = line::parse(line) else {
            batch.skipped += 1;
            return;
        };
        batch.last_seq = own.seq;
        let exposure = own.kind == EXPOSURE.as_bytes();
        if !exposure && own.kind != EVENT.as_bytes() {
            // The engine's own lines, such as the opening of a segment.
            return;
        }
        if !self.quick(&own, exposure, batch) && !self.any(line, own.seq, batch) {
            batch.skipped += 1;
        }
    }

    fn quick(&mut self, own: &OwnLine<'_>, exposure: bool, batch: &mut Batch) -> bool {
        let Some(quick) = event::parse_quick(own.members, exposure) else {
            return false;
        };
        // An unknown prefix goes the slow way once: there its names are read in full.
        let prefixes = &self.prefixes;
        let same = |at: &u32| *prefixes[*at as usize] == *quick.prefix;
        let Some(&group) = self.index.find(bucket(quick.prefix), same) else {
            return false;
        };
        let user = self.key.of(quick.line.user);
        if let Some(id) = quick.line.id {
            let body = self.key.of_event(quick.prefix, user, quick.line.value);
            batch.ids.push((self.key.of(id), body, own.seq));
        }
        batch.deltas.push(Delta {
            group,
            user,
            value: quick.line.value,
        });
        true
    }

    fn any(&mut self, line: &[u8], seq: u64, batch: &mut Batch) -> bool {
        let Some(any) = event::parse_any(line) else {
            return false;
        };
        let mut prefix = Vec::new();
        event::push_prefix(&mut prefix, &any.exp, &any.variant, any.event.as_deref());
        let group = self.group(&prefix, batch, || GroupName {
            exp: any.exp.into(),
            variant: any.variant.into(),
            event: any.event.map(Into::into),
        });
        let user = self.key.of(any.user.as_bytes());
        if let Some(id) = any.id {
            let body = self.key.of_event(&prefix, user, any.value);
            batch.ids.push((self.key.of(id.as_bytes()), body, seq));
        }
        batch.deltas.push(Delta {
            group,
            user,
            value: any.value,
        });
        true
    }
}

impl View for ExperimentsView {
    const NAME: &'static str = "results";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = Batch;
    type Parser = Parser;

    fn parser(&self) -> Parser {
        Parser {
            key: self.key,
            prefixes: Vec::new(),
            index: HashTable::new(),
        }
    }

    fn parse(parser: &mut Parser, lines: &[u8], batch: &mut Batch) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines) {
            parser.line(lines.get(start..end).unwrap_or_default(), batch);
            start = end + 1;
        }
    }

    fn apply(&mut self, batch: &mut Batch) {
        for (prefix, name) in batch.names.drain(..) {
            let group = self.group(&prefix, || name);
            self.parsed_groups.push(group);
        }
        for delta in batch.deltas.drain(..) {
            let group = self.parsed_groups[delta.group as usize];
            self.count(Delta { group, ..delta });
        }
        for (id, body, seq) in batch.ids.drain(..) {
            self.ids.replay(id, body, seq);
        }
        self.skipped += std::mem::take(&mut batch.skipped);
        self.reached(std::mem::take(&mut batch.last_seq));
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.key.0);
        put_u64(out, self.last_seq);
        put_u64(out, self.skipped);
        self.users.save(out);
        put_u64(out, self.groups().count() as u64);
        for group in self.groups() {
            put_bytes(out, group.exp.as_bytes());
            put_bytes(out, group.variant.as_bytes());
            put_u32(out, u32::from(group.event.is_some()));
            put_bytes(out, group.event.as_deref().unwrap_or_default().as_bytes());
            put_u64(out, group.count);
            put_u64(out, group.sum.to_bits());
            put_u64(out, group.squares.to_bits());
            group.users.save(out);
        }
        self.ids.save(out);
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let key = Key(*saved.take(16)?.first_chunk()?);
        let mut view = Self::new(key, 2);
        view.last_seq = saved.u64()?;
        view.skipped = saved.u64()?;
        view.users = Users::restore(saved)?;
        // No group takes fewer than 64 bytes.
        for _ in 0..saved.count(64)? {
            let exp: Box<str> = saved.text()?.into();
            let variant: Box<str> = saved.text()?.into();
            let has_event = saved.u32()? == 1;
            let event: Option<Box<str>> = Some(saved.text()?.into()).filter(|_| has_event);
            let mut prefix = Vec::new();
            event::push_prefix(&mut prefix, &exp, &variant, event.as_deref());
            let number = view.group(&prefix, || GroupName {
                exp,
                variant,
                event,
            });
            view.hold_name(number);
            let group = view.groups.get_mut(number as usize)?;
            group.count = saved.u64()?;
            group.sum = f64::from_bits(saved.u64()?);
            group.squares = f64::from_bits(saved.u64()?);
            group.users = UserSet::restore(saved)?;
        }
        view.ids = Ids::restore(saved)?;
        Some(view)
    }
}
