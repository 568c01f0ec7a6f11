//! Secrets of the doors outward, by name. They come from outside the home folder and are in no file
//! of it, no answer and no log.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use crate::base::secret::Secret;

/// Names of the secrets that are looked for: as a variable, or in small letters as a credential.
pub const NAMES: [&str; 1] = [AUTOSCALE_WEBHOOK];

/// Signs the calls of autoscale.
pub const AUTOSCALE_WEBHOOK: &str = "AUTOSCALE_WEBHOOK_SECRET";

/// The secrets that were given. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    given: BTreeMap<&'static str, Arc<Secret>>,
}

impl Secrets {
    /// With one more.
    pub fn give(&mut self, name: &'static str, secret: Secret) {
        self.given.insert(name, Arc::new(secret));
    }

    /// The secret `name`, if it was given.
    pub fn get(&self, name: &str) -> Option<Arc<Secret>> {
        self.given.get(name).cloned()
    }
}

impl Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}
