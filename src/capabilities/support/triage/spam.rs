//! Spam, by the verdict of the filters a mail passed on its way. Nothing is judged by its words.

use super::super::model::Kind;
use super::automatic::Verdict;
use super::headers::Headers;

/// The level from which Exchange files a mail as junk (Microsoft: "spam confidence level" 5, 6, 9).
const EXCHANGE_JUNK: u32 = 5;

/// Spam, if a filter said so.
pub(super) fn verdict(headers: &Headers<'_>) -> Option<Verdict> {
    let yes = |name: &str| {
        let token = headers.token(name).unwrap_or_default();
        token == "yes" || token == "true" || token.starts_with("yes ")
    };
    for name in ["x-spam-flag", "x-spam-status", "x-spam"] {
        if yes(name) {
            return Some((Kind::Spam, vec![format!("`{name}` says yes")]));
        }
    }
    let level = headers.token("x-ms-exchange-organization-scl");
    if level
        .and_then(|text| text.parse::<u32>().ok())
        .is_some_and(|level| level >= EXCHANGE_JUNK)
    {
        return Some((
            Kind::Spam,
            vec!["Exchange's confidence that it is spam".into()],
        ));
    }
    let report = headers
        .line("x-forefront-antispam-report")
        .unwrap_or_default();
    if report
        .split(';')
        .any(|part| part.trim().eq_ignore_ascii_case("SFV:SPM"))
    {
        return Some((Kind::Spam, vec!["Microsoft's filter says spam".into()]));
    }
    forged(headers)
}

/// A sender whose domain asks that such mails be refused. Only the first field counts: it is the
/// one our own server wrote, those below anybody could.
fn forged(headers: &Headers<'_>) -> Option<Verdict> {
    let results = headers.line("authentication-results")?.to_lowercase();
    let fails = results.contains("dmarc=fail");
    let strict = [
        "p=reject",
        "action=reject",
        "action=quarantine",
        "dis=reject",
        "p=quarantine",
    ];
    let asked = strict.iter().any(|mark| results.contains(mark));
    // A forwarded mail loses SPF; what kept its signature is the sender's own.
    let kept = ["dkim=pass", "spf=pass", "arc=pass"]
        .iter()
        .any(|mark| results.contains(mark));
    (fails && asked && !kept).then(|| {
        (
            Kind::Spam,
            vec!["its sender is forged: dmarc=fail, and refused there".into()],
        )
    })
}
