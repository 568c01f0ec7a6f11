//! TLS through the door: which certificates hold, and what is known of those that do not. The
//! authority of the tests reaches OpenSSL as the owner's would, by `SSL_CERT_FILE`, so each test
//! runs once more in a process of its own that has it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::seams::outbound::{
    CertInfo, Contact, Host, Outbound as _, OutboundError, Request, Stage, Target, TlsFault, Url,
};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslVersion};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Name};
use tokio::io::AsyncWriteExt as _;
use tokio_openssl::SslStream;

use super::outbound_lab::{AMPLE, answering, door, own_machine, server};

/// A certificate with its key.
#[derive(Clone)]
struct Signed {
    cert: X509,
    key: PKey<Private>,
}

/// Makes a certificate for `names`, valid for these days from now, signed by `by` or by itself.
fn signed(subject: &str, names: &[&str], days: (i64, i64), by: Option<&Signed>) -> Signed {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("CN", subject).unwrap();
    let name = name.build();
    let at = |days| (Utc::now() + TimeDelta::days(days)).timestamp();
    let mut cert = X509::builder().unwrap();
    cert.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    cert.set_serial_number(&serial).unwrap();
    cert.set_subject_name(&name).unwrap();
    let issuer = by.map_or(&*name, |by| by.cert.subject_name());
    cert.set_issuer_name(issuer).unwrap();
    cert.set_pubkey(&key).unwrap();
    cert.set_not_before(&Asn1Time::from_unix(at(days.0)).unwrap())
        .unwrap();
    cert.set_not_after(&Asn1Time::from_unix(at(days.1)).unwrap())
        .unwrap();
    if names.is_empty() {
        let authority = BasicConstraints::new().critical().ca().build().unwrap();
        cert.append_extension(authority).unwrap();
    } else {
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            match name.parse::<std::net::IpAddr>() {
                Ok(_) => alternatives.ip(name),
                Err(_) => alternatives.dns(name),
            };
        }
        let context = cert.x509v3_context(by.map(|by| &*by.cert), None);
        let alternatives = alternatives.build(&context).unwrap();
        cert.append_extension(alternatives).unwrap();
    }
    let signer = by.map_or(&key, |by| &by.key);
    cert.sign(signer, MessageDigest::sha256()).unwrap();
    let cert = cert.build();
    Signed { cert, key }
}

/// A server that shows `shown` and answers each request with 200, and its target for the door.
async fn tls_server(shown: &Signed, newest: Option<SslVersion>) -> SocketAddr {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&shown.key).unwrap();
    acceptor.set_certificate(&shown.cert).unwrap();
    if newest == Some(SslVersion::TLS1_1) {
        acceptor.set_min_proto_version(None).unwrap();
        acceptor.set_max_proto_version(newest).unwrap();
    }
    let acceptor = Arc::new(acceptor.build());
    server(move |stream| {
        let ssl = Ssl::new(acceptor.context()).unwrap();
        async move {
            let mut stream = SslStream::new(ssl, stream).unwrap();
            if Pin::new(&mut stream).accept().await.is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _gone = stream.write_all(answer).await;
                std::future::pending::<()>().await;
            }
        }
    })
    .await
}

/// Runs the test named `test` again where `SSL_CERT_FILE` is the authority of `folder`; `None` when
/// this is that run.
fn authority_of(test: &str) -> Option<Signed> {
    let key_of = |folder: &Path| folder.join("ca.key");
    if let Some(file) = std::env::var_os("ECHOPILOT_TEST_CA") {
        let file = Path::new(&file);
        let cert = X509::from_pem(&fs::read(file).unwrap()).unwrap();
        let key = fs::read(key_of(file.parent().unwrap())).unwrap();
        let key = PKey::private_key_from_pem(&key).unwrap();
        return Some(Signed { cert, key });
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = signed("Test Authority", &[], (-1, 100), None);
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca.cert.to_pem().unwrap()).unwrap();
    let key = ca.key.private_key_to_pem_pkcs8().unwrap();
    fs::write(key_of(folder.path()), key).unwrap();
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("seams::outbound_tls::{test}")])
        .env("SSL_CERT_FILE", &file)
        .env("ECHOPILOT_TEST_CA", &file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(told.contains("1 passed"), "{told}");
    None
}

async fn shaken(at: SocketAddr, name: &str) -> Result<Contact, OutboundError> {
    let name = Host::parse(name).unwrap();
    let target = Target::parse(&at.to_string()).unwrap();
    door()
        .tls(&own_machine(), &target, Some(&name), AMPLE)
        .await
}

/// The fault of a refused handshake, and the certificate that was refused.
async fn refused(at: SocketAddr, name: &str) -> (TlsFault, Option<CertInfo>) {
    let error = shaken(at, name).await.unwrap_err();
    assert_eq!(error.stage(), Stage::Tls, "{error}");
    match error {
        OutboundError::Tls { fault, cert, .. } => (fault, cert.map(|cert| *cert)),
        other => panic!("{other}"),
    }
}

/// Whether `instant` is so many days from now, give or take a minute.
fn in_days(instant: DateTime<Utc>, days: i64) -> bool {
    (instant - Utc::now() - TimeDelta::days(days))
        .num_minutes()
        .abs()
        < 2
}

#[tokio::test]
async fn a_certificate_that_holds_is_told() {
    let Some(ca) = authority_of("a_certificate_that_holds_is_told") else {
        return;
    };
    let names = ["app.example", "*.wide.example", "127.0.0.1", "localhost"];
    let shown = signed("app.example", &names, (-1, 20), Some(&ca));
    let address = tls_server(&shown, None).await;
    for name in ["app.example", "a.wide.example", "127.0.0.1", "APP.example."] {
        let contact = shaken(address, name).await.expect(name);
        let cert = contact.cert.expect("a certificate");
        assert_eq!(
            (&*cert.subject, &*cert.issuer),
            ("app.example", "Test Authority")
        );
        assert_eq!(cert.names, names);
        assert!(
            in_days(cert.not_after, 20) && in_days(cert.not_before, -1),
            "{cert:?}"
        );
        assert!(contact.timings.tls.is_some());
    }
    let url = format!("https://localhost:{}/", address.port());
    let mut request = Request::get(Url::parse(&url).unwrap());
    request.limits = AMPLE;
    let answer = door()
        .http(&own_machine(), &request)
        .await
        .expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
    assert!(in_days(
        answer.contact.cert.expect("a certificate").not_after,
        20
    ));
    assert!(answer.contact.timings.tls.is_some());
}

#[tokio::test]
async fn a_certificate_that_does_not_hold_is_refused_and_told() {
    let Some(ca) = authority_of("a_certificate_that_does_not_hold_is_refused_and_told") else {
        return;
    };
    let own = &["app.example"];
    let stranger = signed("Other Authority", &[], (-1, 100), None);
    for (shown, name, fault, days) in [
        (
            signed("a", own, (-9, -3), Some(&ca)),
            "app.example",
            TlsFault::Expired,
            -3,
        ),
        (
            signed("a", own, (3, 9), Some(&ca)),
            "app.example",
            TlsFault::NotYetValid,
            9,
        ),
        (
            signed("a", own, (-1, 9), Some(&ca)),
            "other.example",
            TlsFault::WrongName,
            9,
        ),
        (
            signed("a", own, (-1, 9), Some(&ca)),
            "127.0.0.1",
            TlsFault::WrongName,
            9,
        ),
        (
            signed("a", own, (-1, 9), None),
            "app.example",
            TlsFault::SelfSigned,
            9,
        ),
        (
            signed("a", own, (-1, 9), Some(&stranger)),
            "app.example",
            TlsFault::UnknownIssuer,
            9,
        ),
    ] {
        let address = tls_server(&shown, None).await;
        let (found, cert) = refused(address, name).await;
        assert_eq!(found, fault);
        let cert = cert.expect("what was refused is known");
        assert!(in_days(cert.not_after, days), "{fault}: {cert:?}");
        assert_eq!(cert.names, own);
        assert!(!found.hint().is_empty());

        // HTTP is refused alike, before anything is sent.
        let url = Url::parse(&format!("https://{address}/?secret")).unwrap();
        let mut request = Request::get(url);
        request.limits = AMPLE;
        let error = door().http(&own_machine(), &request).await.unwrap_err();
        assert_eq!(error.stage(), Stage::Tls, "{error}");
    }
}

#[tokio::test]
async fn a_common_name_alone_is_no_name() {
    let Some(ca) = authority_of("a_common_name_alone_is_no_name") else {
        return;
    };
    let shown = signed("app.example", &["other.example"], (-1, 9), Some(&ca));
    let (fault, _) = refused(tls_server(&shown, None).await, "app.example").await;
    assert_eq!(fault, TlsFault::WrongName);
}

#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    // In this process `SSL_CERT_FILE` is whatever the machine has: the test's authority is unknown.
    let ca = signed("Test Authority", &[], (-1, 100), None);
    let shown = signed("a", &["app.example"], (-1, 9), Some(&ca));
    let (fault, cert) = refused(tls_server(&shown, None).await, "app.example").await;
    assert_eq!(fault, TlsFault::UnknownIssuer);
    assert_eq!(cert.expect("a certificate").issuer, "Test Authority");
}

#[tokio::test]
async fn what_is_not_tls_is_told() {
    let plain = answering("HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    let closing = server(|_| async {}).await;
    let old = signed("a", &["app.example"], (-1, 9), None);
    let old = tls_server(&old, Some(SslVersion::TLS1_1)).await;
    for address in [closing, old] {
        let (fault, cert) = refused(address, "app.example").await;
        assert!(matches!(fault, TlsFault::Protocol(_)), "{fault:?}");
        assert_eq!(cert, None);
    }
    // The plain server waits for the end of a head that a handshake does not have.
    let target = Target::parse(&plain.to_string()).unwrap();
    let short = super::outbound_lab::SHORT;
    let error = door()
        .tls(&own_machine(), &target, None, short)
        .await
        .unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Tls, "deadline"));
    let chatty = server(|mut stream| async move {
        let _gone = stream.write_all(b"220 mail.example ESMTP\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let (fault, _) = refused(chatty, "app.example").await;
    assert_eq!(fault, TlsFault::Protocol("wrong version number".into()));
}
