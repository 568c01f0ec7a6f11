//! Secrets of the doors outward, by name: tokens of channels, passwords of mailboxes, what signs
//! calls. They come from systemd's credentials, from files for the owner alone (`secrets/NAME` in
//! the home folder) or from the environment, are looked up at each use and are in no configuration,
//! no answer and no log. Which form a name has in each place is the vault's affair.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use crate::base::secret::Secret;

/// Signs the calls of autoscale.
pub const AUTOSCALE_WEBHOOK: &str = "AUTOSCALE_WEBHOOK_SECRET";

/// Signs the calls of recovery actions.
pub const INCIDENT_WEBHOOK: &str = "INCIDENT_WEBHOOK_SECRET";

/// Longest name of a secret, in bytes (our own choice).
const LONGEST_NAME: usize = 64;
/// Beginnings of names that are none of these secrets: keys of our own callers and settings.
const RESERVED: [&str; 3] = ["DASHBOARD_KEY", "ADMIN_TOKEN", "ECHOPILOT_"];

/// Why a secret that is there cannot be used; its text names the place and the cure, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFault(pub String);

impl Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretFault {}

/// Where secrets are kept.
pub trait Vault: Send + Sync {
    /// The secret `name`; `None` where it was not given.
    fn find(&self, name: &str) -> Result<Option<Secret>, SecretFault>;
}

/// The secrets that were given. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    given: BTreeMap<String, Arc<Secret>>,
    vault: Option<Arc<dyn Vault>>,
}

impl Secrets {
    /// Those of `vault`.
    pub fn of(vault: Arc<dyn Vault>) -> Self {
        Self {
            given: BTreeMap::new(),
            vault: Some(vault),
        }
    }

    /// With one more, which goes before the vault's.
    pub fn give(&mut self, name: &str, secret: Secret) {
        self.given.insert(name.to_owned(), Arc::new(secret));
    }

    /// The secret `name`; `None` where it was not given, or where `name` cannot be a secret's.
    pub fn find(&self, name: &str) -> Result<Option<Arc<Secret>>, SecretFault> {
        if let Some(given) = self.given.get(name) {
            return Ok(Some(Arc::clone(given)));
        }
        match &self.vault {
            Some(vault) if is_secret_name(name) => Ok(vault.find(name)?.map(Arc::new)),
            _ => Ok(None),
        }
    }
}

/// Whether a configuration may name this secret: capital letters, digits and `_`, such as
/// `SLACK_WEBHOOK_URL`, and none that opens our own doors.
pub fn is_secret_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= LONGEST_NAME
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(letters)
        && !RESERVED.iter().any(|reserved| name.starts_with(reserved))
}

impl Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.given.keys()).finish()
    }
}
