//! Channels as `configs/alerts.json` writes them, and as they are used. No secret stands in the
//! file: it names them, and they are looked up at each use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siphasher::sip::SipHasher13;

pub use super::raw::ChannelConfig;
use super::raw::{
    RawDiscord, RawLog, RawNtfy, RawPagerDuty, RawResend, RawSlack, RawSmtp, RawTelegram, RawTls,
    RawWebhook,
};
use super::rules::{ChannelRules, Channels, Kind, Mail, Safety};
use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::platform::secrets::is_secret_name;
use crate::seams::outbound::{Host, Url};

/// After how long a notice is only summed up, in seconds, where nothing is said: 6 h.
const EXPIRY_SECS: u32 = 6 * 3600;
/// Port of mail submission over TLS, RFC 8314.
const SUBMISSIONS: u16 = 465;
/// What a secret's name may be.
const NAME_RULE: &str = "a secret's name, such as `SLACK_WEBHOOK_URL`";

/// The channels that stand at `place`; what is wrong with them goes to `problems`.
pub fn checked(
    raw: &BTreeMap<String, ChannelConfig>,
    place: &Path,
    problems: &mut Problems,
) -> Arc<Channels> {
    let mut channels = Channels::default();
    for (name, one) in raw {
        let place = place.key(name);
        for (at, fallback) in one.fallback.iter().enumerate() {
            if fallback == name || !raw.contains_key(fallback) {
                let others = raw.keys().map(String::as_str);
                let known: Vec<&str> = others.filter(|known| known != name).collect();
                let hint = match known.as_slice() {
                    [] => "name a second channel under `channels`, or remove the fallback",
                    _ => "a fallback is the name of another channel",
                };
                problems.unknown_word(place.key("fallback").index(at), fallback, known, hint);
            }
        }
        let Some(kind) = kind(one, &place, problems) else {
            continue;
        };
        let text = serde_json::to_string(one).unwrap_or_default();
        let expiry = one.expiry_secs.unwrap_or(EXPIRY_SECS);
        let rules = ChannelRules {
            name: name.clone(),
            kind,
            fallback: one.fallback.clone(),
            expiry: Duration::from_secs(u64::from(expiry)),
            definition: format!("{:016x}", SipHasher13::new().hash(text.as_bytes())),
        };
        channels.insert(rules);
    }
    Arc::new(channels)
}

fn kind(raw: &ChannelConfig, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let kinds = [
        raw.slack.as_ref().map(|one| slack(one, place, problems)),
        raw.telegram
            .as_ref()
            .map(|one| telegram(one, place, problems)),
        raw.resend.as_ref().map(|one| resend(one, place, problems)),
        raw.smtp.as_ref().map(|one| smtp(one, place, problems)),
        raw.discord
            .as_ref()
            .map(|one| discord(one, place, problems)),
        raw.ntfy.as_ref().map(|one| ntfy(one, place, problems)),
        raw.pagerduty
            .as_ref()
            .map(|one| pagerduty(one, place, problems)),
        raw.webhook
            .as_ref()
            .map(|one| webhook(one, place, problems)),
        raw.log.as_ref().map(|RawLog {}| Some(Kind::Log)),
    ];
    let count = kinds.iter().flatten().count();
    if count != 1 {
        let found = match count {
            0 => "without a kind".to_owned(),
            _ => format!("of {count} kinds"),
        };
        let allowed = "exactly one of `slack`, `telegram`, `resend`, `smtp`, `discord`, `ntfy`, \
                       `pagerduty`, `webhook` and `log`";
        problems.not_allowed(place, found, allowed, "make a channel of its own for each");
        return None;
    }
    kinds.into_iter().flatten().next()?
}

/// A secret's name, if it may be one.
fn secret(
    text: &str,
    key: &str,
    kind: &str,
    place: &Path,
    problems: &mut Problems,
) -> Option<String> {
    if is_secret_name(text) {
        return Some(text.to_owned());
    }
    // It may be the secret itself, so it is not shown.
    let place = place.key(kind).key(key);
    let hint = "name the secret here and put it into `secrets/` of the home folder";
    problems.not_allowed(place, "something else", NAME_RULE, hint);
    None
}

fn url(text: &str, key: &str, kind: &str, place: &Path, problems: &mut Problems) -> Option<Url> {
    match Url::parse(text) {
        Ok(url) => Some(url),
        Err(fault) => {
            let place = place.key(kind).key(key);
            let allowed = "an `https` or `http` address";
            problems.not_allowed(place, fault.refused(), allowed, fault.hint);
            None
        }
    }
}

fn slack(raw: &RawSlack, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let url_secret = secret(&raw.url_secret, "url_secret", "slack", place, problems)?;
    Some(Kind::Slack { url_secret })
}

fn discord(raw: &RawDiscord, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let url_secret = secret(&raw.url_secret, "url_secret", "discord", place, problems)?;
    Some(Kind::Discord { url_secret })
}

fn telegram(raw: &RawTelegram, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let token = secret(
        &raw.token_secret,
        "token_secret",
        "telegram",
        place,
        problems,
    );
    let chat = secret(
        &raw.chat_id_secret,
        "chat_id_secret",
        "telegram",
        place,
        problems,
    );
    let api_url = url(&raw.api_url, "api_url", "telegram", place, problems);
    Some(Kind::Telegram {
        token_secret: token?,
        chat_id_secret: chat?,
        message_thread_id: raw.message_thread_id,
        buttons: raw.buttons,
        api_url: api_url?,
    })
}

fn mail(
    (from, to, to_secret): (&str, &[String], &str),
    kind: &str,
    place: &Path,
    problems: &mut Problems,
) -> Option<Mail> {
    let mut good = true;
    let mut check = |key: &str, text: &str| {
        if text.parse::<lettre::message::Mailbox>().is_err() {
            let allowed = "a mail address, such as `EchoPilot <alerts@example.com>`";
            problems.not_allowed(place.key(kind).key(key), format!("\"{text}\""), allowed, "");
            good = false;
        }
    };
    check("from", from);
    for one in to {
        check("to", one);
    }
    let to_secret = secret(to_secret, "to_secret", kind, place, problems)?;
    good.then(|| Mail {
        from: from.to_owned(),
        to: to.to_vec(),
        to_secret,
    })
}

fn resend(raw: &RawResend, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let key = secret(&raw.key_secret, "key_secret", "resend", place, problems);
    let api_url = url(&raw.api_url, "api_url", "resend", place, problems);
    let mail = (raw.from.as_str(), raw.to.as_slice(), raw.to_secret.as_str());
    let mail = self::mail(mail, "resend", place, problems);
    Some(Kind::Resend {
        key_secret: key?,
        mail: mail?,
        api_url: api_url?,
    })
}

fn smtp(raw: &RawSmtp, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let host = match raw.host.as_deref().map(Host::parse) {
        None => None,
        Some(Ok(host)) => Some(host),
        Some(Err(fault)) => {
            let place = place.key("smtp").key("host");
            problems.not_allowed(place, fault.refused(), "a host", fault.hint);
            return None;
        }
    };
    let safety = match raw.tls {
        Some(RawTls::Implicit) => Safety::Implicit,
        Some(RawTls::None) => Safety::None,
        None if raw.port == SUBMISSIONS => Safety::Implicit,
        Some(RawTls::Starttls) | None => Safety::Starttls,
    };
    let host_secret = secret(&raw.host_secret, "host_secret", "smtp", place, problems);
    let user_secret = secret(&raw.user_secret, "user_secret", "smtp", place, problems);
    let password = &raw.password_secret;
    let password_secret = secret(password, "password_secret", "smtp", place, problems);
    let mail = (raw.from.as_str(), raw.to.as_slice(), raw.to_secret.as_str());
    let mail = self::mail(mail, "smtp", place, problems);
    Some(Kind::Smtp {
        host,
        host_secret: host_secret?,
        port: raw.port,
        safety,
        user_secret: user_secret?,
        password_secret: password_secret?,
        mail: mail?,
    })
}

fn ntfy(raw: &RawNtfy, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let api_url = url(&raw.api_url, "api_url", "ntfy", place, problems);
    let topic = secret(&raw.topic_secret, "topic_secret", "ntfy", place, problems);
    let token = secret(&raw.token_secret, "token_secret", "ntfy", place, problems);
    Some(Kind::Ntfy {
        api_url: api_url?,
        topic_secret: topic?,
        token_secret: token?,
    })
}

fn pagerduty(raw: &RawPagerDuty, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let (kind, key) = ("pagerduty", "routing_key_secret");
    let routing_key = secret(&raw.routing_key_secret, key, kind, place, problems);
    let api_url = url(&raw.api_url, "api_url", kind, place, problems);
    Some(Kind::PagerDuty {
        routing_key_secret: routing_key?,
        api_url: api_url?,
    })
}

fn webhook(raw: &RawWebhook, place: &Path, problems: &mut Problems) -> Option<Kind> {
    let own = match &raw.url {
        Some(text) => Some(url(text, "url", "webhook", place, problems)?),
        None => None,
    };
    let url_secret = secret(&raw.url_secret, "url_secret", "webhook", place, problems);
    let signing = &raw.signing_secret;
    let signing_secret = secret(signing, "signing_secret", "webhook", place, problems);
    Some(Kind::Webhook {
        url: own,
        url_secret: url_secret?,
        signing_secret: signing_secret?,
    })
}
