//! The member `connection` of `configs/support.json`: server, user, mailboxes, and which secrets
//! open them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::platform::secrets::is_secret_name;
use crate::seams::outbound::{Host, Target, Url, UrlFault};

/// Port of IMAP with TLS from the first byte (RFC 8314).
const TLS_PORT: u16 = 993;
/// Port of IMAP that begins in plaintext (RFC 9051).
const STARTTLS_PORT: u16 = 143;
/// Mailboxes that are read at most (our own choice: each costs a few commands).
const MOST_MAILBOXES: usize = 8;
/// Bytes of a mailbox name, user or scope at most (our own choice).
const MOST_TEXT: usize = 512;
/// Where Google exchanges tokens.
const GOOGLE_TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// What Google calls the right to read mail by IMAP.
const GOOGLE_SCOPE: &str = "https://mail.google.com/";
/// What Microsoft calls it for a program of its own right.
const MICROSOFT_APP_SCOPE: &str = "https://outlook.office365.com/.default";
/// What Microsoft calls it for a user's program.
const MICROSOFT_USER_SCOPE: &str =
    "https://outlook.office365.com/IMAP.AccessAsUser.All offline_access";

/// How TLS is agreed on; never is a mailbox opened without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// From the first byte, port 993.
    #[default]
    Tls,
    /// After a first plain word, port 143; nothing is told before.
    Starttls,
}

/// The mailbox and how it is reached.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConnection {
    /// The mail server, such as `imap.example.com`. Default: what `IMAP_HOST` says, which goes
    /// before this. One in a private network must be in `outbound.allow` of `echopilot.json`.
    host: Option<String>,
    /// Its port. Default 993, or 143 with `starttls`.
    #[schemars(range(min = 1, max = 65_535))]
    port: Option<u16>,
    /// How TLS is agreed on: `tls` from the first byte, or `starttls`. Default `tls`.
    security: Security,
    /// Who signs in. Default: what `IMAP_USER` says, which goes before this.
    user: Option<String>,
    /// Mailboxes whose mails are read. Default `["INBOX"]`.
    #[schemars(length(min = 1, max = 8))]
    mailboxes: Vec<String>,
    /// Where our own answers are, for the time to an answer. Default: the mailbox that the server
    /// marks as the one for sent mail.
    sent_mailbox: Option<String>,
    /// Name of the secret that is the password. Default `IMAP_PASS`.
    password_secret: Option<String>,
    /// Signing in by a token in the place of a password. Default: none.
    oauth: Option<RawOauth>,
    /// Seconds that the server may take for one answer. Default 15.
    #[schemars(range(min = 1, max = 30))]
    timeout_secs: u32,
}

impl Default for RawConnection {
    fn default() -> Self {
        Self {
            host: None,
            port: None,
            security: Security::Tls,
            user: None,
            mailboxes: vec!["INBOX".to_owned()],
            sent_mailbox: None,
            password_secret: None,
            oauth: None,
            timeout_secs: 15,
        }
    }
}

/// Who gives out tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Provider {
    /// Google, with a user's refresh token.
    Google,
    /// Microsoft 365.
    Microsoft,
    /// Another one, at `token_url`.
    Custom,
}

/// What a token is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// For a refresh token, which a user has agreed to.
    #[default]
    Refresh,
    /// For the program's own secret, which an administrator has agreed to.
    ClientCredentials,
}

/// Signing in by a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawOauth {
    /// Who gives out tokens: `google`, `microsoft` or `custom`.
    provider: Provider,
    /// What for: `refresh` (a refresh token) or `client_credentials`. Default `refresh`.
    #[serde(default)]
    flow: Flow,
    /// Id of the program with the provider.
    client_id: String,
    /// Name of the secret that is the program's secret. Default `IMAP_CLIENT_SECRET`; may be absent
    /// with `refresh`.
    client_secret: Option<String>,
    /// Name of the secret that is the refresh token. Default `IMAP_REFRESH_TOKEN`.
    refresh_token: Option<String>,
    /// Where tokens are given out, for `custom`.
    token_url: Option<String>,
    /// The right that is asked for. Default: the provider's own for IMAP.
    scope: Option<String>,
    /// The organisation with Microsoft, by id or domain.
    tenant: Option<String>,
}

/// Signing in by a token, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oauth {
    /// What a token is given for.
    pub flow: Flow,
    /// Where it is given out.
    pub token_url: Url,
    /// Id of the program.
    pub client_id: String,
    /// Name of the secret that is the program's.
    pub client_secret: String,
    /// Name of the secret that is the refresh token.
    pub refresh_token: String,
    /// The right that is asked for; empty for the provider's own choice.
    pub scope: String,
}

/// The connection, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The server, where the file names one.
    pub host: Option<Host>,
    /// Its port, where the file names one.
    pub port: Option<u16>,
    /// How TLS is agreed on.
    pub security: Security,
    /// Who signs in, where the file says so.
    pub user: Option<String>,
    /// Mailboxes that are read.
    pub mailboxes: Vec<String>,
    /// Where our own answers are, where the file says so.
    pub sent_mailbox: Option<String>,
    /// Name of the secret that is the password.
    pub password_secret: String,
    /// Signing in by a token.
    pub oauth: Option<Oauth>,
    /// How long the server may take for one answer.
    pub timeout: Duration,
}

impl Connection {
    /// Checks `raw`, which stands at `place`.
    pub fn read(raw: &RawConnection, place: &Path, problems: &mut Problems) -> Option<Self> {
        let before = problems.count();
        let host = raw.host.as_ref().and_then(|text| {
            let fault = match Host::parse(text) {
                Ok(host) => return Some(host),
                Err(fault) => fault,
            };
            let allowed = "a host such as `imap.example.com`; the port is a member of its own";
            problems.not_allowed(place.key("host"), fault.refused(), allowed, fault.hint);
            None
        });
        let texts = raw.mailboxes.iter().enumerate();
        let texts = texts.map(|(at, text)| (place.key("mailboxes").index(at), text));
        let user = raw.user.iter().map(|text| (place.key("user"), text));
        let sent = raw.sent_mailbox.iter();
        let sent = sent.map(|text| (place.key("sent_mailbox"), text));
        for (place, text) in texts.chain(user).chain(sent) {
            check_text(text, place, problems);
        }
        if raw.mailboxes.is_empty() || raw.mailboxes.len() > MOST_MAILBOXES {
            let allowed = format!("1 to {MOST_MAILBOXES} mailboxes");
            let hint = "[\"INBOX\"] is the usual one";
            problems.out_of_range(place.key("mailboxes"), raw.mailboxes.len(), allowed, hint);
        }
        let password = raw.password_secret.as_deref();
        let password = secret_name(
            password,
            "IMAP_PASS",
            &place.key("password_secret"),
            problems,
        );
        let oauth = raw.oauth.as_ref();
        let oauth = oauth.and_then(|oauth| oauth.checked(&place.key("oauth"), problems));
        (problems.count() == before).then(|| Self {
            host,
            port: raw.port,
            security: raw.security,
            user: raw.user.clone(),
            mailboxes: raw.mailboxes.clone(),
            sent_mailbox: raw.sent_mailbox.clone(),
            password_secret: password,
            oauth,
            timeout: Duration::from_secs(u64::from(raw.timeout_secs)),
        })
    }

    /// The port, where nothing names another.
    pub fn default_port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::Tls => TLS_PORT,
            Security::Starttls => STARTTLS_PORT,
        })
    }

    /// The server that `IMAP_HOST` names: `host` or `host:port`.
    pub fn target_of(&self, text: &str) -> Result<Target, String> {
        let text = text.trim();
        let split = text
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let (host, port) = match split {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
            None => (text, Some(self.default_port())),
        };
        let port = port.ok_or("`IMAP_HOST` has no usable port, write host or host:port")?;
        let host = Host::parse(host).map_err(|fault| format!("`IMAP_HOST`: {}", fault.found))?;
        Ok(Target { host, port })
    }
}

impl RawOauth {
    fn checked(&self, place: &Path, problems: &mut Problems) -> Option<Oauth> {
        let before = problems.count();
        if self.provider == Provider::Google && self.flow == Flow::ClientCredentials {
            let hint = "Google gives mail to a user's refresh token only";
            let found = "`client_credentials` with Google";
            problems.not_allowed(place.key("flow"), found, "`refresh`", hint);
        }
        check_text(&self.client_id, place.key("client_id"), problems);
        if let Some(scope) = &self.scope {
            check_text(scope, place.key("scope"), problems);
        }
        let token_url = self.token_url(place, problems);
        let scope = match (&self.scope, self.provider, self.flow) {
            (Some(scope), ..) => scope.as_str(),
            (None, Provider::Google, _) => GOOGLE_SCOPE,
            (None, Provider::Microsoft, Flow::Refresh) => MICROSOFT_USER_SCOPE,
            (None, Provider::Microsoft, Flow::ClientCredentials) => MICROSOFT_APP_SCOPE,
            (None, Provider::Custom, _) => "",
        };
        let named = self.client_secret.as_deref();
        let place_of = place.key("client_secret");
        let client_secret = secret_name(named, "IMAP_CLIENT_SECRET", &place_of, problems);
        let named = self.refresh_token.as_deref();
        let place_of = place.key("refresh_token");
        let refresh_token = secret_name(named, "IMAP_REFRESH_TOKEN", &place_of, problems);
        let token_url = token_url?;
        (problems.count() == before).then(|| Oauth {
            flow: self.flow,
            token_url,
            client_id: self.client_id.clone(),
            client_secret,
            refresh_token,
            scope: scope.to_owned(),
        })
    }

    fn token_url(&self, place: &Path, problems: &mut Problems) -> Option<Url> {
        let surplus = [
            ("token_url", self.token_url.is_some(), Provider::Custom),
            ("tenant", self.tenant.is_some(), Provider::Microsoft),
        ];
        for (key, is_there, of) in surplus {
            if is_there && self.provider != of {
                let allowed = format!("nothing: only for {of:?}").to_lowercase();
                problems.not_allowed(place.key(key), "there", allowed, "remove it");
            }
        }
        let text = match self.provider {
            Provider::Google => GOOGLE_TOKEN_URL.to_owned(),
            Provider::Microsoft => {
                let tenant = self.tenant.as_deref().unwrap_or_default();
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                if tenant.is_empty() || !tenant.bytes().all(plain) {
                    let allowed = "the organisation's id or domain";
                    let hint = "it is on the overview page of Microsoft Entra";
                    problems.missing_key(place.key("tenant"), allowed, hint);
                    return None;
                }
                format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")
            }
            Provider::Custom => {
                let Some(text) = &self.token_url else {
                    let place = place.key("token_url");
                    problems.missing_key(place, "where tokens are given out", "");
                    return None;
                };
                text.clone()
            }
        };
        let fault = match Url::parse(&text) {
            Ok(url) if url.is_secure() || is_here(&url) => return Some(url),
            Ok(_) => None,
            Err(fault) => Some(fault),
        };
        let found = fault
            .as_ref()
            .map_or_else(|| "http".to_owned(), UrlFault::refused);
        let hint = fault.map(|fault| fault.hint).unwrap_or_default();
        problems.not_allowed(place.key("token_url"), found, "an https address", hint);
        None
    }
}

/// Whether `url` stays on this machine, where no TLS is needed.
fn is_here(url: &Url) -> bool {
    matches!(&url.target().host, Host::Address(address) if address.is_loopback())
}

fn check_text(text: &str, place: Path, problems: &mut Problems) {
    let is_plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
    if !is_plain || text.len() > MOST_TEXT {
        let found = if is_plain {
            "longer"
        } else {
            "empty or with control characters"
        };
        let allowed = format!("a text of at most {MOST_TEXT} bytes");
        problems.not_allowed(place, found, allowed, "");
    }
}

/// The name of a secret: `named`, or what it is called where nothing is said.
fn secret_name(named: Option<&str>, usual: &str, place: &Path, problems: &mut Problems) -> String {
    if let Some(name) = named
        && !is_secret_name(name)
    {
        // What stands there may be the secret itself.
        let allowed = "the name of a secret: capital letters, digits and `_`";
        let hint = "the secret itself goes into `secrets/`, a credential or the environment";
        problems.not_allowed(place, "something else", allowed, hint);
    }
    named.unwrap_or(usual).to_owned()
}
