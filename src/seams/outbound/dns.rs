//! One question to a name server: by UDP, again with a new number when nothing comes, by TCP when
//! the answer was cut. An answer counts only from the address that was asked, with the number and
//! the question that were sent. The system's own name servers may be anywhere (they mostly are on
//! this machine or beside it); one that is named in the question is checked like any other target.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::allow::Allow;
use super::error::{OutboundError, Stage};
use super::real::Trip;
use super::url::Host;
use crate::seams::clock::Clock;
use crate::seams::ids::Ids;

/// How long one packet is waited for before the next is sent: half of what resolv.conf(5) has as
/// its default, so that a lost packet costs less.
const TRY_FOR: Duration = Duration::from_millis(2_500);
/// Bytes of an answer by UDP: what passes every network unbroken (DNS Flag Day 2020).
const UDP_BYTES: u16 = 1_232;
/// Records of an answer that are kept.
const MOST_RECORDS: usize = 64;
/// Port of name servers.
const PORT: u16 = 53;
/// Where the system says whom to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// What the name is another name for.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// Who may issue certificates.
    Caa,
    /// The name of an address.
    Ptr,
    /// The zone's head.
    Soa,
    /// Servers of a service.
    Srv,
    /// Free text.
    Txt,
}

/// The kinds, their words and their numbers in packets.
const KINDS: [(RecordKind, &str, TYPE); 10] = [
    (RecordKind::A, "A", TYPE::A),
    (RecordKind::Aaaa, "AAAA", TYPE::AAAA),
    (RecordKind::Cname, "CNAME", TYPE::CNAME),
    (RecordKind::Mx, "MX", TYPE::MX),
    (RecordKind::Ns, "NS", TYPE::NS),
    (RecordKind::Caa, "CAA", TYPE::CAA),
    (RecordKind::Ptr, "PTR", TYPE::PTR),
    (RecordKind::Soa, "SOA", TYPE::SOA),
    (RecordKind::Srv, "SRV", TYPE::SRV),
    (RecordKind::Txt, "TXT", TYPE::TXT),
];

impl RecordKind {
    /// Every kind, as it is written.
    pub fn words() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(_, word, _)| *word)
    }

    fn number(self) -> TYPE {
        let known = KINDS.iter().find(|(kind, ..)| *kind == self);
        known.map_or(TYPE::A, |(_, _, number)| *number)
    }
}

impl FromStr for RecordKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = KINDS
            .iter()
            .find(|(_, word, _)| word.eq_ignore_ascii_case(text));
        known.map(|(kind, ..)| *kind).ok_or(())
    }
}

impl Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = KINDS.iter().find(|(kind, ..)| kind == self);
        f.write_str(known.map_or("A", |(_, word, _)| *word))
    }
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, such as `example.com` or `_sip._tcp.example.com`.
    pub name: String,
    /// What is asked for.
    pub kind: RecordKind,
    /// Whom to ask; the system's name servers where it is `None`.
    pub server: Option<SocketAddr>,
}

/// What a name server says about a question, in the words of the DNS: `NOERROR`, `NXDOMAIN`, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rcode(pub u16);

impl Rcode {
    /// All is well, also when there is no record.
    pub const NO_ERROR: Self = Self(0);
    /// There is no such name.
    pub const NAME_ERROR: Self = Self(3);
}

/// The codes that have words.
const RCODES: [(u16, &str); 7] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (9, "NOTAUTH"),
];

impl FromStr for Rcode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = RCODES
            .iter()
            .find(|(_, word)| word.eq_ignore_ascii_case(text));
        known.map(|(code, _)| Self(*code)).ok_or(())
    }
}

impl Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RCODES.iter().find(|(code, _)| *code == self.0) {
            Some((_, word)) => f.write_str(word),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// One record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is, in lower case.
    pub name: String,
    /// Its kind, such as `A`.
    pub kind: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// What it says: an address, a name, `10 mail.example.com`, a text.
    pub data: String,
}

/// A name server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says about the question.
    pub rcode: Rcode,
    /// The records of the answer, at most 64.
    pub records: Vec<Record>,
    /// Who said it.
    pub server: SocketAddr,
    /// How long it took.
    pub elapsed: Duration,
}

/// Asks until there is an answer; whoever calls bounds it.
pub(super) async fn ask(
    clock: &dyn Clock,
    ids: &dyn Ids,
    trip: &Trip<'_>,
    allow: &Allow,
    question: &Question,
) -> Result<Found, OutboundError> {
    let servers = servers(trip, allow, question)?;
    trip.enters(Stage::Answer);
    let mut refused = 0;
    for &server in servers.iter().cycle() {
        let id = number(ids, trip)?;
        let asked = packet(id, question).map_err(|found| local(trip, found))?;
        let answer = tokio::select! {
            biased;
            answer = by_udp(server, &asked, question) => answer,
            () = clock.sleep(TRY_FOR) => continue,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                refused += 1;
                if refused >= servers.len() {
                    return Err(trip.unconnected(server, error));
                }
                continue;
            }
        };
        let cut = simple_dns::header_buffer::has_flags(&answer, PacketFlag::TRUNCATION);
        let answer = if cut.unwrap_or(false) {
            let whole = by_tcp(server, &asked, question).await;
            whole.map_err(|error| trip.unanswered(error.to_string()))?
        } else {
            answer
        };
        let (rcode, records) = understood(&answer)
            .ok_or_else(|| trip.unanswered("the name server's answer cannot be read"))?;
        return Ok(Found {
            rcode,
            records,
            server,
            elapsed: trip.elapsed(),
        });
    }
    Err(local(trip, "no name server is known".into()))
}

fn local(trip: &Trip<'_>, found: String) -> OutboundError {
    OutboundError::Local {
        host: trip.host.clone(),
        stage: Stage::Resolve,
        found,
    }
}

fn number(ids: &dyn Ids, trip: &Trip<'_>) -> Result<u16, OutboundError> {
    let bytes = ids
        .random()
        .map_err(|error| local(trip, error.to_string()))?;
    let [high, low, ..] = bytes;
    Ok(u16::from_be_bytes([high, low]))
}

fn servers(
    trip: &Trip<'_>,
    allow: &Allow,
    question: &Question,
) -> Result<Vec<SocketAddr>, OutboundError> {
    let Some(server) = question.server else {
        let servers = system_servers();
        if servers.is_empty() {
            let found = format!("`{RESOLV_CONF}` names no name server");
            return Err(local(trip, found));
        }
        return Ok(servers);
    };
    let host = Host::Address(server.ip().to_canonical());
    match allow.check(&host, server, false) {
        Ok(()) => Ok(vec![server]),
        Err(refusal) => Err(OutboundError::Refused {
            host: server.to_string(),
            address: server,
            refusal,
            place: allow.place(),
        }),
    }
}

/// Read anew for each question: it changes with the network, and is small.
#[expect(
    clippy::disallowed_methods,
    reason = "the system's file, mostly a link, which `seams::files` never follows"
)]
fn system_servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    listed(&text)
}

/// The name servers of a resolv.conf(5).
fn listed(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address: IpAddr = match words.next()? {
            "nameserver" => words.next()?.parse().ok()?,
            _ => return None,
        };
        Some(SocketAddr::new(address, PORT))
    });
    lines.collect()
}

fn packet(id: u16, question: &Question) -> Result<Vec<u8>, String> {
    let name = question.name.trim_end_matches('.');
    let name = Name::new(name).map_err(|error| error.to_string())?;
    let kind = QTYPE::TYPE(question.kind.number());
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = simple_dns::Question::new(name, kind, QCLASS::CLASS(CLASS::IN), false);
    packet.questions.push(asked);
    *packet.opt_mut() = Some(OPT {
        opt_codes: Vec::new(),
        udp_packet_size: UDP_BYTES,
        version: 0,
    });
    packet.build_bytes_vec().map_err(|error| error.to_string())
}

/// Whether `answer` is one to what was asked: same number, same question. A server that could not
/// read the question may leave it out.
fn belongs(answer: &[u8], asked: &[u8], question: &Question) -> bool {
    if answer.get(..2) != asked.get(..2) {
        return false;
    }
    let Ok(packet) = Packet::parse(answer) else {
        // With the right number it is from the server: let it be told as unreadable.
        return simple_dns::header_buffer::has_flags(answer, PacketFlag::RESPONSE).unwrap_or(false);
    };
    let same = packet.questions.iter().all(|told| {
        let name = told.qname.to_string();
        let asked = question.name.trim_end_matches('.');
        name.eq_ignore_ascii_case(asked) && told.qtype == QTYPE::TYPE(question.kind.number())
    });
    packet.has_flags(PacketFlag::RESPONSE) && same
}

async fn by_udp(server: SocketAddr, asked: &[u8], question: &Question) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of its own for each packet, and the kernel lets nobody else's answers through.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(asked).await?;
    let mut buffer = vec![0; usize::from(UDP_BYTES)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        if belongs(answer, asked, question) {
            return Ok(answer.to_vec());
        }
    }
}

async fn by_tcp(server: SocketAddr, asked: &[u8], question: &Question) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(asked.len()).map_err(std::io::Error::other)?;
    let mut whole = length.to_be_bytes().to_vec();
    whole.extend_from_slice(asked);
    stream.write_all(&whole).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if belongs(&answer, asked, question) {
        Ok(answer)
    } else {
        Err(std::io::Error::other("the answer is to another question"))
    }
}

fn understood(answer: &[u8]) -> Option<(Rcode, Vec<Record>)> {
    let packet = Packet::parse(answer).ok()?;
    let records = packet
        .answers
        .iter()
        .take(MOST_RECORDS)
        .map(|record| Record {
            name: record.name.to_string().to_ascii_lowercase(),
            kind: kind_word(&record.rdata),
            ttl: record.ttl,
            data: data_text(&record.rdata),
        });
    let records = records.collect();
    // The low bits stand in the header; what is above them only servers of zones use.
    let rcode = match packet.rcode() {
        RCODE::Reserved => answer.get(3).map_or(0, |byte| u16::from(byte & 0xf)),
        rcode => rcode as u16,
    };
    Some((Rcode(rcode), records))
}

fn kind_word(data: &RData<'_>) -> String {
    let kind = data.type_code();
    let known = KINDS.iter().find(|(_, _, number)| *number == kind);
    match known {
        Some((_, word, _)) => (*word).to_owned(),
        None => format!("TYPE{}", u16::from(kind)),
    }
}

fn data_text(data: &RData<'_>) -> String {
    let text = match data {
        RData::A(a) => Ipv4Addr::from(a.address).to_string(),
        RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).to_string(),
        RData::CNAME(name) => name.0.to_string(),
        RData::NS(name) => name.0.to_string(),
        RData::PTR(name) => name.0.to_string(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange),
        RData::SRV(srv) => {
            format!(
                "{} {} {} {}",
                srv.priority, srv.weight, srv.port, srv.target
            )
        }
        RData::SOA(soa) => format!("{} {} {}", soa.mname, soa.rname, soa.serial),
        RData::CAA(caa) => {
            let value = String::from_utf8_lossy(&caa.value).into_owned();
            format!("{} {} \"{value}\"", caa.flag, caa.tag)
        }
        RData::TXT(txt) => return String::try_from(txt.clone()).unwrap_or_default(),
        _ => String::new(),
    };
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_the_systems_file() {
        let text = "# by hand\nnameserver 192.0.2.1\nsearch example.com\n\
                    nameserver\t2001:db8::1 ; second\nnameserver fe80::1%eth0\noptions ndots:1\n";
        let found: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
    }
}
