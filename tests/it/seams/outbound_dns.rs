//! Questions to name servers through the door, against a server of the test's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use echopilot::seams::outbound::{
    Allow, Found, Limits, Outbound as _, OutboundError, Question, Rcode, RecordKind, Stage,
};
use simple_dns::rdata::{A, AAAA, CNAME, MX, RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::outbound_lab::{AMPLE, SHORT, door, own_machine};

/// What a packet by UDP is answered with; nothing when empty.
type Say = dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync;

/// A name server that answers packets with what `say` gives, and TCP with what `whole` gives.
async fn name_server(
    say: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + Sync + 'static,
    whole: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let say: Arc<Say> = Arc::new(say);
    tokio::spawn(async move {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in say(&buffer[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut asked = vec![0; usize::from(length)];
            stream.read_exact(&mut asked).await.unwrap();
            let answer = whole(&asked);
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_u16(length).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address
}

fn nothing(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

/// An answer to `asked` with these records, all of the name that was asked for.
fn answer(asked: &[u8], rcode: RCODE, records: Vec<RData<'static>>) -> Vec<u8> {
    let packet = Packet::parse(asked).unwrap();
    let name = packet.questions[0].qname.clone();
    let mut reply = packet.clone().into_reply();
    *reply.rcode_mut() = rcode;
    *reply.opt_mut() = None;
    for data in records {
        let record = ResourceRecord::new(name.clone(), CLASS::IN, 60, data);
        reply.answers.push(record);
    }
    reply.build_bytes_vec_compressed().unwrap()
}

fn a(last: u8) -> RData<'static> {
    RData::A(A {
        address: u32::from_be_bytes([192, 0, 2, last]),
    })
}

async fn asked(server: SocketAddr, kind: &str, limits: Limits) -> Result<Found, OutboundError> {
    let question = Question {
        name: "App.example".into(),
        kind: kind.parse::<RecordKind>().unwrap(),
        server: Some(server),
    };
    door().dns(&own_machine(), &question, limits).await
}

#[tokio::test]
async fn records_are_told_as_text() {
    let server = name_server(
        |asked| {
            let packet = Packet::parse(asked).unwrap();
            assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
            assert_eq!(packet.questions[0].qname.to_string(), "App.example");
            let name = |text| Name::new(text).unwrap();
            vec![answer(
                asked,
                RCODE::NoError,
                vec![
                    a(1),
                    RData::AAAA(AAAA { address: 1 }),
                    RData::CNAME(CNAME(name("Other.example"))),
                    RData::MX(MX {
                        preference: 10,
                        exchange: name("Mail.example"),
                    }),
                    RData::TXT(TXT::new().with_string("v=spf1 -ALL").unwrap()),
                ],
            )]
        },
        nothing,
    )
    .await;
    let found = asked(server, "a", AMPLE).await.expect("an answer");
    assert_eq!((found.rcode, found.server), (Rcode::NO_ERROR, server));
    let told: Vec<String> = found
        .records
        .iter()
        .map(|record| {
            format!(
                "{} {} {} {}",
                record.name, record.ttl, record.kind, record.data
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "app.example 60 A 192.0.2.1",
            "app.example 60 AAAA ::1",
            "app.example 60 CNAME other.example",
            "app.example 60 MX 10 mail.example",
            "app.example 60 TXT v=spf1 -ALL",
        ]
    );
}

#[tokio::test]
async fn a_name_that_is_not_is_an_answer() {
    for (code, word) in [
        (RCODE::NameError, "NXDOMAIN"),
        (RCODE::ServerFailure, "SERVFAIL"),
        (RCODE::Refused, "REFUSED"),
    ] {
        let say = move |asked: &[u8]| vec![answer(asked, code, vec![])];
        let server = name_server(say, nothing).await;
        let found = asked(server, "AAAA", AMPLE).await.expect("an answer");
        assert_eq!(found.rcode.to_string(), word);
        assert!(found.records.is_empty());
        assert_eq!(word.parse::<Rcode>(), Ok(found.rcode));
    }
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_by_tcp() {
    let cut = |asked: &[u8]| {
        let mut cut = answer(asked, RCODE::NoError, vec![a(1)]);
        cut[2] |= 0x02;
        vec![cut]
    };
    let whole = |asked: &[u8]| answer(asked, RCODE::NoError, (1..=40).map(a).collect());
    let server = name_server(cut, whole).await;
    let found = asked(server, "A", AMPLE).await.expect("an answer");
    assert_eq!(found.records.len(), 40);
}

#[tokio::test]
async fn answers_to_something_else_are_passed_over() {
    let server = name_server(
        |asked| {
            let right = answer(asked, RCODE::NoError, vec![a(7)]);
            let mut number = answer(asked, RCODE::NoError, vec![a(1)]);
            number[1] ^= 1;
            // A question instead of an answer, and an answer to another name.
            let question = asked.to_vec();
            let mut other = right.clone();
            other[13] = b'x';
            vec![number, question, other, vec![1, 2], right]
        },
        nothing,
    )
    .await;
    let found = asked(server, "A", AMPLE).await.expect("an answer");
    assert_eq!(found.records[0].data, "192.0.2.7");
}

#[tokio::test]
async fn a_lost_packet_is_sent_again() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let say = move |asked: &[u8]| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => vec![],
        _ => vec![answer(asked, RCODE::NoError, vec![a(1)])],
    };
    let server = name_server(say, nothing).await;
    let found = asked(server, "A", AMPLE).await.expect("an answer");
    assert_eq!(found.records.len(), 1);
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_silent_server_ends_with_the_bound_and_a_missing_one_at_once() {
    let server = name_server(|_| vec![], nothing).await;
    let error = asked(server, "A", SHORT).await.unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Answer, "deadline"));

    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let error = asked(address, "A", AMPLE).await.unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Connect, "refused"));

    let say = |asked: &[u8]| vec![[&asked[..2], &[0x80; 11]].concat()];
    let garbled = name_server(say, nothing).await;
    let error = asked(garbled, "A", AMPLE).await.unwrap_err();
    assert_eq!(error.kind(), "answer", "{error}");
}

#[tokio::test]
async fn a_server_that_the_rules_do_not_open_is_not_asked() {
    let question = Question {
        name: "app.example".into(),
        kind: RecordKind::A,
        server: Some("127.0.0.1:53".parse().unwrap()),
    };
    let error = door()
        .dns(&Allow::default(), &question, AMPLE)
        .await
        .unwrap_err();
    assert_eq!((error.stage(), error.kind()), (Stage::Check, "loopback"));
}

#[test]
fn kinds_are_written_as_everybody_does() {
    for word in RecordKind::words() {
        assert_eq!(word.parse::<RecordKind>().unwrap().to_string(), word);
    }
    assert!("AXFR".parse::<RecordKind>().is_err());
}
