//! The keys that are known, as digests. Unknown identity, wrong secret, expired, revoked and not
//! yet valid all take the same path and give the same answer: none.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::credential::id_of;
use crate::platform::http::{Caller, Role};
use crate::platform::limits::{Bucket, Quota};

/// What is known of a key before it is put into a ring.
#[derive(Clone)]
pub struct KeySpec {
    /// Names the key in histories, such as `ab12cd34`, or `env:dash` for one that is not ours.
    pub id: String,
    /// For people: who holds it; empty when nothing was said.
    pub name: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of the whole token.
    pub digest: [u8; 32],
    /// Not valid before.
    pub not_before: Option<DateTime<Utc>>,
    /// Not valid from then on.
    pub not_after: Option<DateTime<Utc>>,
    /// Taken back.
    pub revoked: bool,
    /// Requests a minute; `None` for the server's general bound.
    pub per_minute: Option<u32>,
    /// Whether the token is spelt `ep_ROLE_ID_SECRET`, so that its identity can be looked up.
    pub ours: bool,
}

impl Debug for KeySpec {
    /// Without the digest: it is of no use to a reader, and of some to a guesser.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` ({:?})", self.id, self.role)
    }
}

impl KeySpec {
    /// A key of any spelling, such as one from the environment, known under `id`.
    pub fn fixed(id: &str, role: Role, token: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: String::new(),
            role,
            digest: Sha256::digest(token.as_bytes()).into(),
            not_before: None,
            not_after: None,
            revoked: false,
            per_minute: None,
            ours: false,
        }
    }

    /// How its holder is called in histories. A name alone would not do: a key and the one that
    /// takes its place have the same, and both live in the overlap.
    fn actor(&self) -> String {
        match (self.ours, self.name.as_str()) {
            (false, _) => self.id.clone(),
            (true, "") => format!("key:{}", self.id),
            (true, name) => format!("key:{name}({})", self.id),
        }
    }
}

/// What is remembered of a key while the process runs.
#[derive(Debug, Default)]
pub struct KeyUse {
    /// Milliseconds since 1970 of the last request; 0 = not used yet.
    last_used: AtomicI64,
    /// Its share of requests.
    pub(crate) bucket: Bucket,
}

/// A key in force.
pub struct Key {
    spec: KeySpec,
    /// As whom its holder calls.
    caller: Caller,
    /// Its own bound, if it has one.
    quota: Option<Quota>,
    usage: Arc<KeyUse>,
}

impl Key {
    fn new(spec: KeySpec, usage: Arc<KeyUse>) -> Self {
        let name = spec.actor();
        let caller = Caller {
            name: name.into(),
            role: Some(spec.role),
        };
        let quota = spec.per_minute.map(Quota::per_minute);
        Self {
            spec,
            caller,
            quota,
            usage,
        }
    }

    /// As whom its holder calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What its holder may do.
    pub fn role(&self) -> Role {
        self.spec.role
    }

    /// Its own bound on requests, if it has one.
    pub fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    pub(crate) fn usage(&self) -> &KeyUse {
        &self.usage
    }

    fn is_live(&self, now: DateTime<Utc>) -> bool {
        !self.spec.revoked
            && self.spec.not_before.is_none_or(|from| from <= now)
            && self.spec.not_after.is_none_or(|end| now < end)
    }
}

impl Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` ({:?})", self.spec.id, self.spec.role)
    }
}

/// All keys that are known.
#[derive(Debug, Default)]
pub struct KeyRing {
    ours: HashMap<String, Key>,
    fixed: Vec<Key>,
}

/// Whether two digests are equal, in a time that does not depend on where they differ. By words,
/// not bytes: the barrier against a clever compiler is paid four times instead of 32.
fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let (left, right) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
    let pairs = left.iter().zip(right);
    let equal = pairs.fold(Choice::from(1), |equal, (left, right)| {
        equal & u64::from_ne_bytes(*left).ct_eq(&u64::from_ne_bytes(*right))
    });
    equal.into()
}

/// Compared with when no key fits, so that the work is the same; no token has this digest.
const NOBODY: [u8; 32] = [0; 32];

impl KeyRing {
    /// A ring of `specs`.
    pub fn new(specs: Vec<KeySpec>) -> Self {
        Self::after(&Self::default(), specs)
    }

    /// A ring of `specs` that remembers what `earlier` knew of the use of keys that stay.
    pub(super) fn after(earlier: &Self, specs: Vec<KeySpec>) -> Self {
        let usage = |id: &str| {
            earlier
                .keys()
                .find(|key| key.spec.id == id)
                .map_or_else(Arc::default, |key| Arc::clone(&key.usage))
        };
        let mut ring = Self::default();
        for spec in specs {
            let key = Key::new(spec.clone(), usage(&spec.id));
            if spec.ours {
                ring.ours.insert(spec.id, key);
            } else {
                ring.fixed.push(key);
            }
        }
        ring
    }

    /// The live key whose token this is.
    pub fn find(&self, token: &[u8], now: DateTime<Utc>) -> Option<&Key> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let named = id_of(token).and_then(|id| self.ours.get(id));
        let known = named.map_or(&NOBODY, |key| &key.spec.digest);
        let mut found = same(known, &digest).then_some(named).flatten();
        // Every fixed key is compared, found or not: the time tells nothing.
        for key in &self.fixed {
            if same(&key.spec.digest, &digest) {
                found = Some(key);
            }
        }
        let key = found.filter(|key| key.is_live(now))?;
        key.usage
            .last_used
            .store(now.timestamp_millis(), Ordering::Relaxed);
        Some(key)
    }

    /// Whether any key of `role` is good now.
    pub fn has_role(&self, role: Role, now: DateTime<Utc>) -> bool {
        self.keys()
            .any(|key| key.spec.role == role && key.is_live(now))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.ours.values().chain(&self.fixed)
    }

    /// When each key was last used, for the report; keys that were never used are left out.
    pub fn last_used(&self) -> Vec<(String, DateTime<Utc>)> {
        let mut uses: Vec<_> = self
            .keys()
            .filter_map(|key| {
                let at = key.usage.last_used.load(Ordering::Relaxed);
                let at = DateTime::from_timestamp_millis(at).filter(|_| at > 0)?;
                Some((key.spec.id.clone(), at))
            })
            .collect();
        uses.sort();
        uses
    }

    /// Learns that key `id` was used at `at`, in an earlier run; a later use stays.
    pub fn recall_use(&self, id: &str, at: DateTime<Utc>) {
        if let Some(key) = self.keys().find(|key| key.spec.id == id) {
            let last_used = &key.usage.last_used;
            last_used.fetch_max(at.timestamp_millis(), Ordering::Relaxed);
        }
    }

    /// Live keys that end within `span`, with their end, for the warning (rule H8).
    pub fn expiring(
        &self,
        now: DateTime<Utc>,
        span: chrono::TimeDelta,
    ) -> Vec<(String, DateTime<Utc>)> {
        let mut soon: Vec<_> = self
            .keys()
            .filter(|key| key.is_live(now))
            .filter_map(|key| key.spec.not_after.map(|end| (key.spec.id.clone(), end)))
            .filter(|(_, end)| *end - now <= span)
            .collect();
        soon.sort();
        soon
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::KeyText;
    use super::*;
    use crate::seams::ids::FakeIds;

    fn drawn(role: Role) -> (String, KeySpec) {
        let key = KeyText::draw(role, &FakeIds::default()).unwrap();
        let token = key.text.reveal().to_owned();
        let mut spec = KeySpec::fixed(&key.id, role, &token);
        spec.ours = true;
        (token, spec)
    }

    #[test]
    fn h07_a_key_is_found_by_its_identity_and_proved_by_its_digest() {
        let (token, spec) = drawn(Role::Dash);
        assert!(token.starts_with("ep_dash_"), "{token}");
        assert_eq!(token.len(), "ep_dash_".len() + 8 + 1 + 64);
        let ring = KeyRing::new(vec![spec]);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert!(ring.find(token.as_bytes(), now).is_some());
        let wrong = token.replace("_dash_", "_admin_");
        assert!(
            ring.find(wrong.as_bytes(), now).is_none(),
            "the role is part of the digest"
        );
        assert!(
            ring.find(&token.as_bytes()[..token.len() - 1], now)
                .is_none()
        );
        assert!(ring.find(b"", now).is_none());
        assert_eq!(ring.last_used().len(), 1);
    }

    #[test]
    fn h08_times_and_revocation_decide_at_the_moment_of_the_request() {
        let (token, spec) = drawn(Role::Reader);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let live = |change: &dyn Fn(&mut KeySpec)| {
            let mut spec = spec.clone();
            change(&mut spec);
            KeyRing::new(vec![spec])
                .find(token.as_bytes(), now)
                .is_some()
        };
        assert!(live(&|_| {}));
        assert!(!live(&|key| key.revoked = true));
        assert!(!live(&|key| key.not_after = Some(now)));
        assert!(live(
            &|key| key.not_after = Some(now + TimeDelta::seconds(1))
        ));
        assert!(!live(
            &|key| key.not_before = Some(now + TimeDelta::seconds(1))
        ));
        assert!(live(&|key| key.not_before = Some(now)));
    }

    #[test]
    fn h08_keys_that_end_within_two_weeks_are_told() {
        let (_, mut spec) = drawn(Role::Admin);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        spec.not_after = Some(now + TimeDelta::days(13));
        let ring = KeyRing::new(vec![spec]);
        assert_eq!(ring.expiring(now, TimeDelta::days(14)).len(), 1);
        assert_eq!(ring.expiring(now, TimeDelta::days(12)).len(), 0);
    }
}
