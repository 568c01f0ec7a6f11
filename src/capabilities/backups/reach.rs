//! Opening a bucket with the secrets that its configuration names; for the task and for whoever
//! restores from it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::model::Bucket;
use crate::base::secret::Secret;
use crate::platform::secrets::Secrets;
use crate::seams::outbound::{Allow, Outbound};
use crate::storage::backup::sync::BucketTarget;
use crate::storage::objects::{self, Opening};

/// What it takes to speak with a store.
#[derive(Debug, Clone)]
pub struct Means {
    /// Where secrets are.
    pub secrets: Secrets,
    /// The door outward.
    pub outbound: Arc<dyn Outbound>,
    /// What may be reached by it.
    pub allow: Arc<Allow>,
    /// Where requests are driven.
    pub runtime: Handle,
    /// Ends every wait.
    pub stop: CancellationToken,
}

/// The replica in `bucket`, or why it cannot be opened. Nothing is sent yet.
pub fn target(bucket: &Bucket, means: &Means) -> Result<BucketTarget, String> {
    let opening = Opening {
        endpoint: bucket.endpoint.clone(),
        region: bucket.region.clone(),
        bucket: bucket.bucket.clone(),
        access_key: secret(&means.secrets, &bucket.access_key)?,
        secret_key: secret(&means.secrets, &bucket.secret_key)?,
        outbound: Arc::clone(&means.outbound),
        allow: Arc::clone(&means.allow),
        runtime: means.runtime.clone(),
        stop: means.stop.clone(),
    };
    let opened = objects::Bucket::open(opening).map_err(|error| error.to_string())?;
    Ok(BucketTarget::new(opened, &bucket.prefix))
}

fn secret(secrets: &Secrets, name: &str) -> Result<Arc<Secret>, String> {
    let found = secrets.find(name).map_err(|fault| fault.to_string())?;
    let file = name.to_ascii_lowercase();
    found.ok_or_else(|| {
        format!(
            "the secret `{name}` was not given; hint: write it to `secrets/{file}` of mode 0600, \
             or give it as the credential `{file}`"
        )
    })
}
