//! What the store's crate needs to sign a request, by OpenSSL: the one such library that we have.

use object_store::client::{
    CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm,
};
use object_store::{Error, Result};
use openssl::error::ErrorStack;
use openssl::hash::{Hasher, MessageDigest};
use openssl::pkey::{PKey, Private};

/// OpenSSL.
#[derive(Debug)]
pub(super) struct OpenSsl;

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}

fn unknown(what: &str) -> Error {
    Error::NotSupported {
        source: what.to_owned().into(),
    }
}

impl CryptoProvider for OpenSsl {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        if algorithm != DigestAlgorithm::Sha256 {
            return Err(unknown("only SHA-256 is used here"));
        }
        let hasher = Hasher::new(MessageDigest::sha256()).map_err(failed)?;
        Ok(Box::new(Digesting {
            hasher,
            fault: None,
            sum: Vec::new(),
        }))
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        if algorithm != DigestAlgorithm::Sha256 {
            return Err(unknown("only SHA-256 is used here"));
        }
        Ok(Box::new(Mac {
            key: PKey::hmac(secret).map_err(failed)?,
            text: Vec::new(),
            sum: Vec::new(),
        }))
    }

    fn sign(&self, _algorithm: SigningAlgorithm, _pem: &[u8]) -> Result<Box<dyn Signer>> {
        Err(unknown("S3 needs no RSA"))
    }
}

/// A checksum under way.
struct Digesting {
    hasher: Hasher,
    fault: Option<ErrorStack>,
    sum: Vec<u8>,
}

impl DigestContext for Digesting {
    fn update(&mut self, data: &[u8]) {
        if let Err(fault) = self.hasher.update(data) {
            self.fault.get_or_insert(fault);
        }
    }

    fn finish(&mut self) -> Result<&[u8]> {
        if let Some(fault) = self.fault.take() {
            return Err(failed(fault));
        }
        self.sum = self.hasher.finish().map_err(failed)?.to_vec();
        Ok(&self.sum)
    }
}

/// A keyed checksum under way. What is signed is a few hundred bytes, so it is gathered.
struct Mac {
    key: PKey<Private>,
    text: Vec<u8>,
    sum: Vec<u8>,
}

impl HmacContext for Mac {
    fn update(&mut self, data: &[u8]) {
        self.text.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        let signer = openssl::sign::Signer::new(MessageDigest::sha256(), &self.key);
        let sum = signer.and_then(|mut signer| signer.sign_oneshot_to_vec(&self.text));
        self.sum = sum.map_err(failed)?;
        Ok(&self.sum)
    }
}

#[test]
fn sums_are_those_of_the_standards() {
    use crate::base::hex;
    // FIPS 180-4, "abc"; RFC 4231, test case 2.
    let mut sum = OpenSsl.digest(DigestAlgorithm::Sha256).unwrap();
    sum.update(b"a");
    sum.update(b"bc");
    assert_eq!(
        hex::of(sum.finish().unwrap()),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let mut mac = OpenSsl.hmac(DigestAlgorithm::Sha256, b"Jefe").unwrap();
    mac.update(b"what do ya want ");
    mac.update(b"for nothing?");
    assert_eq!(
        hex::of(mac.finish().unwrap()),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
}
