//! What kind of mail it is: written by a person, or by which kind of machine (RFC 3834 and what
//! programs really do). Two faults weigh differently: a machine taken for a person costs somebody a
//! glance, a person taken for a machine is never answered. So what persons' programs write as well
//! (`X-Auto-Response-Suppress`, lists, words in subjects) proves nothing alone.

use super::super::model::{Kind, Party};
use super::config::Rules;
use super::headers::{Headers, clip, tidy};
use super::mime::Parts;
use super::signs;
use super::spam;

/// Points from which a mail is a machine's (our own choice: no two weak signs reach it).
const MACHINE: u32 = 75;
/// Characters of the text in which sentences of machines are looked for: theirs come first.
const OPENING: usize = 1_500;
/// Characters in which a report from anybody says that it is one: a person says something first.
const REPORT_OPENING: usize = 100;
/// Characters of a sender that are named as a reason.
const SHOWN_ADDRESS: usize = 60;

/// What is known of a mail when its kind is asked.
pub(super) struct Seen<'s> {
    pub(super) headers: &'s Headers<'s>,
    pub(super) parts: &'s Parts,
    pub(super) from: &'s Party,
    /// Addresses in `To` and `Cc`.
    pub(super) to: &'s [String],
    pub(super) subject: &'s str,
    /// What is new in its text.
    pub(super) fresh: &'s str,
    /// Whether it lies where our own answers are kept.
    pub(super) is_sent: bool,
    /// Whether a form of ours sent it in the name of `from`.
    pub(super) is_form: bool,
    pub(super) rules: &'s Rules,
}

/// A kind and why.
pub(super) type Verdict = (Kind, Vec<String>);

/// The same in forms that are easy to compare.
struct Plain<'s> {
    seen: &'s Seen<'s>,
    /// The subject in lower case.
    subject: String,
    /// The beginning of the text in lower case, spaces single.
    text: String,
    has_null_path: bool,
    is_reply: bool,
}

/// What kind of mail it is.
pub(super) fn kind_of(seen: &Seen<'_>) -> Verdict {
    let rules = seen.rules;
    if seen.is_sent || rules.is_own(&seen.from.address) {
        return (Kind::Own, one("sent from one of our own addresses"));
    }
    if seen.is_form {
        return (
            Kind::Person,
            one("a form of ours sent it for the address in Reply-To"),
        );
    }
    if rules.is_denied(&seen.from.address) {
        return (Kind::Spam, one("its sender is in `deny_senders`"));
    }
    let opening = clip(seen.fresh, OPENING);
    let plain = Plain {
        seen,
        subject: seen.subject.to_lowercase().replace('\u{2019}', "'"),
        text: tidy(&opening).to_lowercase().replace('\u{2019}', "'"),
        has_null_path: has_null_path(seen.headers),
        is_reply: seen.headers.has("in-reply-to") || seen.headers.has("references"),
    };
    let allowed = rules.is_allowed(&seen.from.address);
    // A customer's own newsletters are none the less newsletters.
    let trusted = allowed || rules.customer(&seen.from.address).is_some();
    plain
        .bounce()
        .or_else(|| plain.answer())
        .or_else(|| {
            if trusted {
                None
            } else {
                spam::verdict(seen.headers)
            }
        })
        .or_else(|| if allowed { None } else { plain.list_or_bulk() })
        .unwrap_or_else(|| (Kind::Person, one("no sign of a machine")))
}

fn one(reason: impl Into<String>) -> Vec<String> {
    vec![reason.into()]
}

/// Whether the sender of the envelope is empty: no answer is wanted by anybody.
fn has_null_path(headers: &Headers<'_>) -> bool {
    headers.line("return-path").is_some_and(|path| {
        let path: String = path.split_whitespace().collect();
        path == "<>"
    })
}

impl Plain<'_> {
    fn bounce(&self) -> Option<Verdict> {
        let (headers, parts) = (self.seen.headers, self.seen.parts);
        if parts.top == "multipart/report" || parts.report == "delivery-status" {
            match parts.report.as_str() {
                "disposition-notification" => return None,
                "feedback-report" | "tlsrpt" => {
                    let reason = format!("multipart/report, report-type={}", parts.report);
                    return Some((Kind::Bulk, vec![reason]));
                }
                _ if parts
                    .types
                    .iter()
                    .any(|kind| kind == "message/disposition-notification") =>
                {
                    return None;
                }
                _ => return Some((Kind::Bounce, one("multipart/report of a delivery"))),
            }
        }
        let address = self.seen.from.address.as_str();
        let is_nobody = headers.line("from").is_some_and(|from| from.contains("<>"));
        let daemon =
            is_nobody || signs::is_named(address, &signs::DAEMONS) || self.is_called_daemon();
        let master = signs::is_named(address, &signs::MASTERS);
        let mut signs = Vec::new();
        if let Some(field) = signs::REPORTING.iter().find(|name| headers.has(name)) {
            signs.push(format!("the field `{field}`"));
        }
        if parts
            .types
            .iter()
            .any(|kind| kind == "message/delivery-status")
        {
            signs.push("a part message/delivery-status".into());
        }
        if let Some(words) = signs::said(&self.subject, &signs::UNDELIVERED) {
            signs.push(format!("subject `{words}`"));
        }
        if let Some(sentence) = signs::said(&self.text, &signs::REPORTS) {
            signs.push(format!("text `{sentence}`"));
        }
        if let Some(submitted) = headers
            .token("auto-submitted")
            .filter(|token| token != "no")
        {
            signs.push(format!("Auto-Submitted: {submitted}"));
        } else if headers.has("x-autogenerated") {
            signs.push("the field `x-autogenerated`".into());
        }
        let least = match (daemon, master, self.has_null_path) {
            // What no person sent, and who takes no answer, is a report whatever it says.
            (true, ..) | (_, true, true) => 0,
            // A postmaster may be a person who writes about deliveries.
            (_, true, false) => 2,
            // Answering programs send with no sender too, and their own subjects are theirs.
            (_, _, true) if signs::opens(&self.subject, &signs::ANSWERS).is_some() => return None,
            (_, _, true) if headers.has("auto-submitted") => 2,
            (_, _, true) => 1,
            // From anybody: subject and text must both open as reports do, and answer nothing.
            _ if self.opens_as_report() => 2,
            _ => return None,
        };
        if signs.len() < least {
            return None;
        }
        if self.has_null_path {
            signs.push("empty Return-Path".to_owned());
        }
        if daemon || master {
            signs.push(format!("sent by `{}`", clip(address, SHOWN_ADDRESS)));
        }
        Some((Kind::Bounce, signs))
    }

    fn opens_as_report(&self) -> bool {
        let opening = clip(&self.text, REPORT_OPENING);
        !self.is_reply
            && signs::begins(&self.subject, &signs::TITLES).is_some()
            && signs::said(&opening, &signs::REPORTS).is_some()
    }

    fn is_called_daemon(&self) -> bool {
        let name = self.seen.from.name.to_lowercase();
        matches!(
            name.as_str(),
            "mail delivery subsystem"
                | "mail delivery system"
                | "mail delivery service"
                | "mailer-daemon"
        )
    }

    /// An answer of a machine, or another mail that a machine says it made.
    fn answer(&self) -> Option<Verdict> {
        let headers = self.seen.headers;
        let parts = self.seen.parts;
        if parts.report == "disposition-notification"
            || parts
                .types
                .iter()
                .any(|kind| kind == "message/disposition-notification")
        {
            return Some((Kind::AutoReply, one("a receipt: it was read or deleted")));
        }
        let submitted = headers.token("auto-submitted").unwrap_or_default();
        if !matches!(
            submitted.as_str(),
            "" | "no" | "auto-generated" | "auto-notified"
        ) {
            return Some((Kind::AutoReply, one(format!("Auto-Submitted: {submitted}"))));
        }
        if let Some(field) = self.answering_field() {
            return Some((Kind::AutoReply, one(field)));
        }
        let mut points = Points::default();
        if matches!(submitted.as_str(), "auto-generated" | "auto-notified") {
            points.add(MACHINE, format!("Auto-Submitted: {submitted}"));
        }
        if self.has_null_path {
            points.add(MACHINE, "empty Return-Path");
        }
        let precedence = headers.token("precedence").unwrap_or_default();
        if matches!(precedence.as_str(), "bulk" | "junk") {
            // Of old, answering programs say `junk` and lists say `bulk`.
            let weight = if precedence == "junk" { 45 } else { 40 };
            points.add(weight, format!("Precedence: {precedence}"));
        }
        let shaped = self.shape(&mut points);
        self.company(&mut points);
        if points.sum < MACHINE {
            return None;
        }
        // Many services write of themselves; an answer shows by its shape.
        let of_list = headers.has("list-id") || headers.has("list-unsubscribe");
        let kind = if shaped && (self.is_reply || !of_list) {
            Kind::AutoReply
        } else {
            Kind::Bulk
        };
        Some((kind, points.reasons))
    }

    fn answering_field(&self) -> Option<String> {
        let headers = self.seen.headers;
        let says_no = |name: &str| {
            matches!(
                headers.token(name).as_deref(),
                Some("no" | "false" | "none" | "0")
            )
        };
        if let Some(field) = signs::ANSWERING
            .iter()
            .find(|name| headers.has(name) && !says_no(name))
        {
            return Some(format!("the field `{field}`"));
        }
        let precedence = headers.token("precedence").unwrap_or_default();
        if matches!(
            precedence.as_str(),
            "auto_reply" | "auto-reply" | "autoreply"
        ) {
            return Some(format!("Precedence: {precedence}"));
        }
        let delivered = headers.lines("delivered-to");
        let mut by_name = delivered.filter(|line| line.eq_ignore_ascii_case("autoresponder"));
        by_name.next().map(|_| "Delivered-To: Autoresponder".into())
    }

    /// Whether it looks like an answer of a machine; what speaks for that is added.
    fn shape(&self, points: &mut Points) -> bool {
        let is_titled = signs::opens(&self.subject, &signs::ANSWERS);
        let is_maybe = signs::begins(&self.subject, &signs::MAYBE_ANSWERS);
        let away = signs::said(&self.text, &signs::AWAY);
        let received = signs::said(&self.text, &signs::RECEIVED);
        if let Some(start) = is_titled {
            points.add(50, format!("subject `{start}`"));
        } else if let Some(start) = is_maybe {
            points.add(30, format!("subject `{start}`"));
        }
        if let Some(sentence) = away.or(received) {
            points.add(25, format!("text `{sentence}`"));
        }
        if self.is_reply {
            points.add(10, "it answers a mail");
        }
        is_titled.or(is_maybe).or(away).or(received).is_some() || self.is_reply
    }

    /// Signs that say little alone.
    fn company(&self, points: &mut Points) {
        let headers = self.seen.headers;
        if let Some(value) = headers.token("x-auto-response-suppress") {
            // Persons' servers write lists of what they suppress; `All` is what programs write.
            match value.as_str() {
                "" | "none" => {}
                "all" => points.add(20, "X-Auto-Response-Suppress: All"),
                _ => points.add(5, "X-Auto-Response-Suppress"),
            }
        }
        if headers.has("x-ms-exchange-inbox-rules-loop") {
            points.add(20, "X-MS-Exchange-Inbox-Rules-Loop");
        }
        if signs::is_deaf(&self.seen.from.address) {
            points.add(20, "nobody reads what is sent to its sender");
        }
    }

    fn list_or_bulk(&self) -> Option<Verdict> {
        let headers = self.seen.headers;
        let precedence = headers.token("precedence").unwrap_or_default();
        let mut bulk = Vec::new();
        if matches!(precedence.as_str(), "bulk" | "junk") {
            bulk.push(format!("Precedence: {precedence}"));
        }
        if let Some(field) = signs::SENDING.iter().find(|name| headers.has(name)) {
            bulk.push(format!("the field `{field}`"));
        }
        if signs::is_deaf(&self.seen.from.address) {
            bulk.push("nobody reads what is sent to its sender".into());
        }
        if self.subject.starts_with("report domain:") && self.subject.contains("submitter:") {
            bulk.push("a DMARC report by its subject".into());
        }
        let list = headers.name_like("list-").map(str::to_owned);
        if !bulk.is_empty() && !self.is_from_a_person_of(list.is_some(), &precedence) {
            bulk.extend(list.map(|field| format!("the field `{field}`")));
            return Some((Kind::Bulk, bulk));
        }
        let mut reasons = Vec::new();
        reasons.extend(list.map(|field| format!("the field `{field}`")));
        if precedence == "list" {
            reasons.push("Precedence: list".into());
        }
        if reasons.is_empty() {
            return None;
        }
        if self.is_through_our_list() {
            return Some((Kind::Person, one("through a list of our own")));
        }
        Some((Kind::List, reasons))
    }

    /// Whether what looks like bulk is a person's mail on a list: lists say `Precedence: bulk` too.
    fn is_from_a_person_of(&self, is_list: bool, precedence: &str) -> bool {
        let headers = self.seen.headers;
        let posted = headers.has("list-post") || headers.has("list-id") && self.is_reply;
        is_list
            && posted
            && !signs::is_deaf(&self.seen.from.address)
            && (precedence != "junk")
            && !signs::SENDING.iter().any(|name| headers.has(name))
    }

    /// Whether the list is our own address, as groups and help desks forward, or we are written to.
    fn is_through_our_list(&self) -> bool {
        let rules = self.seen.rules;
        let headers = self.seen.headers;
        let posts = headers.line("list-post").unwrap_or_default().to_lowercase();
        let id = headers.line("list-id").unwrap_or_default().to_lowercase();
        let dotted = |address: &str| address.replace('@', ".");
        let ours = |address: &str| posts.contains(address) || id.contains(&dotted(address));
        rules.own_addresses().any(ours) || self.seen.to.iter().any(|to| rules.is_own(to))
    }
}

#[derive(Default)]
struct Points {
    sum: u32,
    reasons: Vec<String>,
}

impl Points {
    fn add(&mut self, points: u32, reason: impl Into<String>) {
        self.sum += points;
        self.reasons.push(reason.into());
    }
}
