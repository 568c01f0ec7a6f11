//! How calls to other machines are signed: Standard Webhooks 1.0, so that any library of theirs
//! checks ours. Sends nothing by itself.

use chrono::{DateTime, Utc};
use openssl::base64::{decode_block, encode_block};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// What a secret begins with; the rest is its bytes in base64.
const PREFIX: &str = "whsec_";
/// Bytes of a secret at least (Standard Webhooks 1.0).
const LEAST_BYTES: usize = 24;
/// Bytes of a secret at most (Standard Webhooks 1.0).
const MOST_BYTES: usize = 64;

/// A secret that cannot sign.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("it must be `whsec_` and the base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")]
pub struct BadSecret;

/// The three headers of a call: who it is, when, and the proof. The same `id` is the same call,
/// also when it is sent again.
pub fn headers(
    secret: &str,
    id: &str,
    now: DateTime<Utc>,
    body: &[u8],
) -> Result<[(&'static str, String); 3], BadSecret> {
    let key = secret.strip_prefix(PREFIX).ok_or(BadSecret)?;
    let key = decode_block(key).map_err(|_| BadSecret)?;
    if !(LEAST_BYTES..=MOST_BYTES).contains(&key.len()) {
        return Err(BadSecret);
    }
    let stamp = now.timestamp().to_string();
    let mut signed = format!("{id}.{stamp}.").into_bytes();
    signed.extend_from_slice(body);
    let key = PKey::hmac(&key).map_err(|_| BadSecret)?;
    let proof = Signer::new(MessageDigest::sha256(), &key)
        .and_then(|mut signer| signer.sign_oneshot_to_vec(&signed))
        .map_err(|_| BadSecret)?;
    Ok([
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{}", encode_block(&proof))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_signed_as_the_standard_says() {
        // The example of the standard's own libraries.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let now = DateTime::from_timestamp(1_614_265_330, 0).expect("a time");
        let signed = headers(
            secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            now,
            br#"{"test": 2432232314}"#,
        );
        let [_, stamp, proof] = signed.expect("a good secret");
        assert_eq!(stamp.1, "1614265330");
        assert_eq!(proof.1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_weak_or_broken_secret_signs_nothing() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "secret", "whsec_not base64"] {
            let signed = headers(bad, "id", DateTime::UNIX_EPOCH, b"");
            assert_eq!(signed, Err(BadSecret), "{bad}");
        }
    }
}
