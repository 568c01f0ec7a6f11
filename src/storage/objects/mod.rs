//! Objects in a bucket of an S3-compatible store, for work that waits on a thread of its own.
//!
//! The protocol is spoken by the crate `object_store`; every request of it leaves through the door
//! outward (`door`) and is signed by OpenSSL (`crypto`). Objects are sent and read in parts of
//! bounded size, so memory does not grow with them; one is there whole or not at all. No error
//! names a key of the store's owner.

mod crypto;
mod door;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, ObjectStore as _, ObjectStoreExt as _, RetryConfig};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::base::secret::Secret;
use crate::seams::outbound::{Allow, Outbound, OutboundError};

/// Bytes that are sent or read at once: 8 MiB, between the 5 MiB that S3 asks of a part and what
/// two of them may take of a small machine's memory.
const PART_BYTES: usize = 8 << 20;
/// Characters of a store's answer that are told.
const MOST_TOLD: usize = 300;

/// Who opens a bucket, and where it is.
pub struct Opening {
    /// The service, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The id of the access key.
    pub access_key: Arc<Secret>,
    /// The secret access key.
    pub secret_key: Arc<Secret>,
    /// The door outward.
    pub outbound: Arc<dyn Outbound>,
    /// What may be reached by it.
    pub allow: Arc<Allow>,
    /// Where requests are driven.
    pub runtime: Handle,
    /// Ends every wait.
    pub stop: CancellationToken,
}

/// What went wrong with a store.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} in the bucket `{bucket}`: {found}")]
pub struct ObjectsError {
    /// The verb and its object.
    pub doing: String,
    /// The bucket.
    pub bucket: String,
    /// What was found.
    pub found: String,
    /// The cure; may be empty.
    pub hint: String,
}

/// An open bucket.
#[derive(Debug)]
pub struct Bucket {
    store: AmazonS3,
    name: String,
    runtime: Handle,
    stop: CancellationToken,
}

impl Bucket {
    /// Prepares to speak with it; nothing is sent yet.
    pub fn open(opening: Opening) -> Result<Self, ObjectsError> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(200),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            // What does not go then, the next run of the task tries again.
            max_retries: 2,
            retry_timeout: Duration::from_mins(1),
        };
        let name = opening.bucket;
        let store = AmazonS3Builder::new()
            .with_endpoint(opening.endpoint)
            .with_region(opening.region)
            .with_bucket_name(&name)
            .with_access_key_id(opening.access_key.reveal())
            .with_secret_access_key(opening.secret_key.reveal())
            // Whether it is encrypted on the way is the owner's choice of the endpoint.
            .with_allow_http(true)
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_crypto_provider(Arc::new(crypto::OpenSsl))
            .with_http_connector(door::Door::new(opening.outbound, opening.allow))
            .build();
        let fault = |error| told(&name, "be prepared to work".to_owned(), &error);
        Ok(Self {
            store: store.map_err(fault)?,
            name,
            runtime: opening.runtime,
            stop: opening.stop,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for `work`, on this thread, until it is told to stop.
    fn wait<T>(
        &self,
        doing: impl Fn() -> String,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ObjectsError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(ObjectsError {
                    doing: doing(),
                    bucket: self.name.clone(),
                    found: "it was told to stop".to_owned(),
                    hint: String::new(),
                }),
                done = work => done.map_err(|error| told(&self.name, doing(), &error)),
            }
        })
    }

    /// The whole object `key` of at most `most` bytes; `None` where there is none.
    pub fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, ObjectsError> {
        let Some(size) = self.size(key)? else {
            return Ok(None);
        };
        let mut body = Vec::new();
        let read = self.reader(key, size.min(most)).read_to_end(&mut body);
        read.map_err(|error| ObjectsError {
            doing: format!("read `{key}`"),
            bucket: self.name.clone(),
            found: error.to_string(),
            hint: String::new(),
        })?;
        Ok(Some(body))
    }

    /// Bytes of the object `key`; `None` where there is none.
    pub fn size(&self, key: &str) -> Result<Option<u64>, ObjectsError> {
        let path = Path::from(key);
        let asked = async {
            match self.store.head(&path).await {
                // A HEAD has no body, so only a GET tells a missing object from a missing bucket.
                Err(Error::NotFound { .. }) => match self.store.get(&path).await {
                    Ok(found) => Ok(Some(found.meta.size)),
                    Err(Error::NotFound { source, path }) => {
                        if source.to_string().contains("NoSuchBucket") {
                            return Err(Error::NotFound { source, path });
                        }
                        Ok(None)
                    }
                    Err(error) => Err(error),
                },
                head => head.map(|head| Some(head.size)),
            }
        };
        self.wait(|| format!("look for `{key}`"), asked)
    }

    /// Reads the object `key`, of which the first `size` bytes are wanted, part by part.
    pub fn reader<'b>(&'b self, key: &str, size: u64) -> impl Read + use<'b> {
        Reader {
            bucket: self,
            path: Path::from(key),
            at: 0,
            size,
            part: Bytes::new(),
        }
    }

    /// Makes the object `key` of all that `source` gives. It is there whole or not at all.
    pub fn put(&self, key: &str, source: &mut dyn Read) -> Result<(), ObjectsError> {
        let unread = |error: io::Error| ObjectsError {
            doing: format!("write `{key}`"),
            bucket: self.name.clone(),
            found: format!("what was to be sent cannot be read: {error}"),
            hint: String::new(),
        };
        let doing = || format!("write `{key}`");
        let path = Path::from(key);
        let first = part_of(source).map_err(unread)?;
        if first.len() < PART_BYTES {
            let put = self.store.put(&path, Bytes::from(first).into());
            return self.wait(doing, put).map(|_| ());
        }
        let mut upload = self.wait(doing, self.store.put_multipart(&path))?;
        let mut next = first;
        let sent = loop {
            if next.is_empty() {
                break Ok(());
            }
            let part = upload.put_part(Bytes::from(next).into());
            if let Err(error) = self.wait(doing, part) {
                break Err(error);
            }
            match part_of(source) {
                Ok(read) => next = read,
                Err(error) => break Err(unread(error)),
            }
        };
        let done = sent.and_then(|()| self.wait(doing, upload.complete()).map(|_| ()));
        if done.is_err() {
            // Parts that nobody completes are paid for; where this fails, the bucket's own rule
            // for incomplete uploads takes them away.
            let _aborted = self.wait(doing, upload.abort());
        }
        done
    }

    /// Bytes of every object whose key begins with `prefix` and a slash; of all where it is empty.
    pub fn list(&self, prefix: &str) -> Result<BTreeMap<String, u64>, ObjectsError> {
        let path = (!prefix.is_empty()).then(|| Path::from(prefix));
        let listing = async {
            let mut found = BTreeMap::new();
            let mut rows = self.store.list(path.as_ref());
            while let Some(row) = rows.try_next().await? {
                found.insert(row.location.to_string(), row.size);
            }
            Ok(found)
        };
        self.wait(|| "list the objects".to_owned(), listing)
    }

    /// Takes the object `key` away.
    pub fn delete(&self, key: &str) -> Result<(), ObjectsError> {
        let path = Path::from(key);
        let doing = || format!("take `{key}` away");
        self.wait(doing, self.store.delete(&path))
    }
}

/// The next part of `source`; shorter only at its end.
fn part_of(source: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART_BYTES);
    source.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(part)
}

/// Reads an object part by part.
struct Reader<'b> {
    bucket: &'b Bucket,
    path: Path,
    at: u64,
    size: u64,
    part: Bytes,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.part.is_empty() {
            if self.at >= self.size {
                return Ok(0);
            }
            let end = self.size.min(self.at + PART_BYTES as u64);
            let path = self.path.clone();
            let ranged = self.bucket.store.get_range(&path, self.at..end);
            let doing = || format!("read `{}`", self.path);
            let part = self.bucket.wait(doing, ranged);
            self.part = part.map_err(|error| io::Error::other(error.to_string()))?;
            if self.part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.at += self.part.len() as u64;
        }
        let count = buffer.len().min(self.part.len());
        let taken = self.part.split_to(count);
        buffer
            .get_mut(..count)
            .unwrap_or_default()
            .copy_from_slice(&taken);
        Ok(count)
    }
}

/// What `error` says, in one sentence, and its cure.
fn told(bucket: &str, doing: String, error: &Error) -> ObjectsError {
    let mut chain = Vec::new();
    let mut outbound = None;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = next {
        outbound = outbound.or_else(|| one.downcast_ref::<OutboundError>());
        chain.push(one.to_string());
        next = one.source();
    }
    let all = chain.join(": ");
    let (found, hint) = match outbound {
        Some(fault) => (fault.to_string(), fault.hint()),
        None => match said(&all) {
            Some((code, message)) => (format!("{code}: {message}"), hint_of(&code)),
            None => unsaid(error, &all),
        },
    };
    ObjectsError {
        doing,
        bucket: bucket.to_owned(),
        found,
        hint,
    }
}

/// What the store itself said: `<Code>` and `<Message>` of its answer.
fn said(text: &str) -> Option<(String, String)> {
    let inner = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        let (inner, _) = rest.split_once(&format!("</{tag}>"))?;
        Some(inner.chars().take(MOST_TOLD).collect::<String>())
    };
    Some((inner("Code")?, inner("Message").unwrap_or_default()))
}

/// What is told, and the cure, where the store said nothing but a status, as it does to a look from
/// outside.
fn unsaid(error: &Error, all: &str) -> (String, String) {
    if let Error::PermissionDenied { .. } | Error::Unauthenticated { .. } = error {
        let hint = "see whether both secrets are those of the store, and whether the key may list, \
                    read, write and delete there";
        return ("the store refuses the key".to_owned(), hint.to_owned());
    }
    (all.chars().take(MOST_TOLD).collect(), String::new())
}

fn hint_of(code: &str) -> String {
    let hint = match code {
        "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "NotSignedUp" => {
            "see whether both secrets are those of the store, without a space or an end of line"
        }
        "AccessDenied" => "the key may not do that: it needs to list, read, write and delete there",
        "NoSuchBucket" => "make the bucket, or mend its name in configs/backups.json",
        "RequestTimeTooSkewed" => "set this machine's clock",
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "mend `region` and `endpoint` in configs/backups.json"
        }
        _ => "",
    };
    hint.to_owned()
}
