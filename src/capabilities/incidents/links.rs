//! Signed links: whoever has one may acknowledge one incident until the link ends, without a key.
//!
//! A link ends in `INCIDENT.UNTIL.NONCE.PROOF`; the proof is an HMAC-SHA256 over what stands before
//! it. The signing key is drawn at the first use and kept in `secrets/incident_links` of the home
//! folder, for the owner alone: backups and journals never hold it. Deleting it ends all links.

use std::fmt::{self, Debug};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use subtle::ConstantTimeEq as _;

use crate::base::hex;
use crate::seams::files::{Access, Files, read_whole};
use crate::seams::ids::{Ids as _, SystemIds};

/// Bytes of the signing key: as many as its hash gives (RFC 2104 §3).
const KEY_BYTES: usize = 32;
/// Bytes of a nonce (our own choice: links of one incident and hour differ).
const NONCE_BYTES: usize = 8;
/// Longest link that is looked at, in bytes.
const LONGEST: usize = 256;
/// What the key's file may not let others do: anything.
const OTHERS: u32 = 0o077;

/// Makes and checks links.
pub(super) struct Links {
    files: Arc<dyn Files>,
    folder: PathBuf,
    key: Mutex<Option<[u8; KEY_BYTES]>>,
}

impl Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}

impl Links {
    /// Links of this home.
    pub(super) fn new(files: Arc<dyn Files>, home: &Path) -> Self {
        Self {
            files,
            folder: home.join("secrets"),
            key: Mutex::default(),
        }
    }

    /// The end of a link for `incident` that is good until `until`.
    pub(super) fn token(&self, incident: &str, until: DateTime<Utc>) -> io::Result<String> {
        let drawn = SystemIds.random()?;
        let nonce = hex::of(drawn.get(..NONCE_BYTES).unwrap_or_default());
        let told = format!("{incident}.{}.{nonce}", until.timestamp());
        let proof = hex::of(&self.proof(&told)?);
        Ok(format!("{told}.{proof}"))
    }

    /// The incident that `token` is for; `None` where it has ended or is none of ours.
    pub(super) fn incident(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
        if token.len() > LONGEST {
            return None;
        }
        let (told, proof) = token.rsplit_once('.')?;
        let expected = match self.proof(told) {
            Ok(expected) => hex::of(&expected),
            Err(error) => {
                tracing::error!("links of incidents cannot be checked: {error}");
                return None;
            }
        };
        let is_ours = bool::from(expected.as_bytes().ct_eq(proof.as_bytes()));
        let mut parts = told.split('.');
        let (incident, until) = (parts.next()?, parts.next()?.parse::<i64>().ok()?);
        (is_ours && now.timestamp() < until).then(|| incident.to_owned())
    }

    fn proof(&self, told: &str) -> io::Result<Vec<u8>> {
        let key = PKey::hmac(&self.key()?)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        Ok(signer.sign_oneshot_to_vec(told.as_bytes())?)
    }

    fn key(&self) -> io::Result<[u8; KEY_BYTES]> {
        let mut known = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = *known {
            return Ok(key);
        }
        let key = match self.kept() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.draw()?,
            kept => kept?,
        };
        *known = Some(key);
        Ok(key)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("incident_links")
    }

    fn kept(&self) -> io::Result<[u8; KEY_BYTES]> {
        let mut file = self.files.open_read(&self.path())?;
        if file.stat()?.mode & OTHERS != 0 {
            let told = "`secrets/incident_links` can be read by others: chmod 600 mends it";
            return Err(io::Error::other(told));
        }
        let bytes = read_whole(&mut *file, KEY_BYTES as u64)?;
        let told = "`secrets/incident_links` is not a key of ours: delete it for a new one";
        bytes.try_into().map_err(|_| io::Error::other(told))
    }

    fn draw(&self) -> io::Result<[u8; KEY_BYTES]> {
        let key = SystemIds.random()?;
        self.files.create_dir_all(&self.folder)?;
        match self.files.write_new(&self.path(), &key, Access::PRIVATE) {
            Ok(()) => {
                self.files.sync_dir(&self.folder)?;
                Ok(key)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.kept(),
            Err(error) => Err(error),
        }
    }
}
