//! What comes from outside the home folder: the environment and systemd's credentials. Read once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;

use crate::base::secret::Secret;
use crate::platform::secrets::{SecretFault, Secrets, Vault};
use crate::seams::files::{Files, read_whole};

/// Shortest key that may come from the environment or a credential, in characters: 128 bits as hex.
const SHORTEST_KEY: usize = 16;

/// Bytes of a credential at most: more than any key, less than a wrong file.
const MAX_KEY_BYTES: u64 = 4096;

/// A key given from outside.
pub struct GivenKey {
    /// The name that histories show, such as `env:dash`.
    pub name: &'static str,
    /// The key itself.
    pub secret: Secret,
}

/// Keys given from outside, by role.
#[derive(Default)]
pub struct GivenKeys {
    /// For role dash.
    pub dash: Option<GivenKey>,
    /// For role admin.
    pub admin: Option<GivenKey>,
}

/// Reads one variable of the environment; empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "this is where settings come in")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

/// Whether the service manager handed sockets to this very process: `sd_listen_fds(3)`. Without a
/// process id they are not known to be meant for us.
pub(super) fn is_given_sockets() -> bool {
    let pid = variable("LISTEN_PID").and_then(|pid| pid.trim().parse().ok());
    pid == Some(std::process::id()) && variable("LISTEN_FDS").is_some()
}

/// Whether a service manager wants to be told how we are: `sd_notify(3)`.
pub(super) fn has_service_manager() -> bool {
    variable("NOTIFY_SOCKET").is_some()
}

/// Whether standard error goes to the system's journal: systemd.exec(5), `JOURNAL_STREAM`, which
/// names the device and inode of the stream, because children inherit the variable too.
pub(super) fn has_system_journal() -> bool {
    let Some(named) = variable("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|stream| named.trim() == format!("{}:{}", stream.st_dev, stream.st_ino))
}

/// Whether a terminal should be given colours: <https://no-color.org>.
pub(super) fn takes_colors() -> bool {
    variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|name| name != "dumb")
}

/// How much the daemon says, by `ECHOPILOT_LOG`.
pub(super) fn log_level() -> anyhow::Result<LevelFilter> {
    match variable("ECHOPILOT_LOG").as_deref() {
        None | Some("info") => Ok(LevelFilter::INFO),
        Some("error") => Ok(LevelFilter::ERROR),
        Some("warn") => Ok(LevelFilter::WARN),
        Some("debug") => Ok(LevelFilter::DEBUG),
        Some(other) => anyhow::bail!(
            "`ECHOPILOT_LOG` is `{}`, allowed are error, warn, info, debug",
            other.escape_debug()
        ),
    }
}

/// The home folder that the environment names.
pub fn home() -> Option<PathBuf> {
    variable("ECHOPILOT_HOME").map(PathBuf::from)
}

/// The key with which the command line speaks to a daemon elsewhere.
pub fn client_key() -> Option<String> {
    variable("ECHOPILOT_KEY")
}

impl GivenKeys {
    /// Credentials first, then the environment.
    pub fn read(files: &dyn Files) -> anyhow::Result<Self> {
        let folder = variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        let one = |file: &str, from_file, env: &str, from_env| {
            if let Some(secret) = credential(files, folder.as_deref(), file)? {
                return accept(from_file, secret, file).map(Some);
            }
            match variable(env) {
                Some(text) => accept(from_env, Secret::new(text), env).map(Some),
                None => Ok(None),
            }
        };
        Ok(Self {
            dash: one("dash_key", "credential:dash", "DASHBOARD_KEY", "env:dash")?,
            admin: one(
                "admin_token",
                "credential:admin",
                "ADMIN_TOKEN",
                "env:admin",
            )?,
        })
    }
}

/// Where secrets of the doors outward are: credentials first, then `secrets/` in the home folder,
/// then the environment.
struct Outside {
    files: Arc<dyn Files>,
    credentials: Option<PathBuf>,
    own: PathBuf,
}

/// The secrets of the doors outward.
pub fn secrets(files: &Arc<dyn Files>, home: &Path) -> Secrets {
    Secrets::of(Arc::new(Outside {
        files: Arc::clone(files),
        credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        own: home.join("secrets"),
    }))
}

impl Vault for Outside {
    fn find(&self, name: &str) -> Result<Option<Secret>, SecretFault> {
        let file = name.to_ascii_lowercase();
        let fault = |error: anyhow::Error| SecretFault(format!("{error:#}"));
        let found = credential(&*self.files, self.credentials.as_deref(), &file).map_err(fault)?;
        if found.is_some() {
            return Ok(found);
        }
        private(&*self.files, &self.own, &file)?;
        let found = credential(&*self.files, Some(&self.own), &file).map_err(fault)?;
        Ok(found.or_else(|| variable(name).map(Secret::new)))
    }
}

/// What a secret's file may not let others do: anything.
const OTHERS: u32 = 0o077;

/// That a secret's file, if it is there, is for its owner alone.
fn private(files: &dyn Files, folder: &Path, file: &str) -> Result<(), SecretFault> {
    match files.stat(&folder.join(file)) {
        Ok(stat) if stat.plain && stat.mode & OTHERS == 0 => Ok(()),
        Ok(stat) if stat.plain => Err(SecretFault(format!(
            "`secrets/{file}` can be read by others: its mode is {:04o}, allowed is 0600\n\
             hint: chmod 600 secrets/{file}",
            stat.mode & 0o7777
        ))),
        Ok(_) => Err(SecretFault(format!(
            "`secrets/{file}` is no plain file\nhint: write the secret into a file of that name"
        ))),
        // Not there, or not for us: reading tells.
        Err(_) => Ok(()),
    }
}

fn credential(
    files: &dyn Files,
    folder: Option<&Path>,
    name: &str,
) -> anyhow::Result<Option<Secret>> {
    let Some(path) = folder.map(|folder| folder.join(name)) else {
        return Ok(None);
    };
    match files
        .open_read(&path)
        .and_then(|mut file| read_whole(&mut *file, MAX_KEY_BYTES))
    {
        Ok(bytes) => {
            let text = String::from_utf8(bytes)
                .map_err(|_| anyhow::anyhow!("the credential `{name}` is not UTF-8 text"))?;
            // As with a variable: what is empty was not given.
            Ok(Some(text.trim())
                .filter(|text| !text.is_empty())
                .map(|text| Secret::new(text.to_owned())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(anyhow::Error::new(error).context(format!("cannot read the credential `{name}`")))
        }
    }
}

/// What an environment has for us: the names of its variables, never their values, and where the
/// credentials are.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    names: BTreeSet<String>,
    credentials: Option<PathBuf>,
}

/// Bytes of an environment that are read at most: what execve(2) allows for it.
const MOST_ENVIRONMENT: u64 = 2 << 20;

impl Surroundings {
    /// With these variables set, and credentials in this folder.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>, credentials: Option<PathBuf>) -> Self {
        Self {
            names: names.into_iter().map(str::to_owned).collect(),
            credentials,
        }
    }

    /// Those of this process.
    pub fn own() -> Self {
        let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
        let names = set.filter_map(|(name, _)| name.into_string().ok());
        Self {
            names: names.collect(),
            credentials: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// Those of the process whose `/proc/PID/environ` this is; `None` where it is not for us.
    pub fn of_process(files: &dyn Files, environ: &Path) -> Option<Self> {
        let mut file = files.open_read(environ).ok()?;
        let text = zeroize::Zeroizing::new(read_whole(&mut *file, MOST_ENVIRONMENT).ok()?);
        let mut found = Self::default();
        for one in text.split(|byte| *byte == 0) {
            let Some((name, value)) = std::str::from_utf8(one)
                .ok()
                .and_then(|one| one.split_once('='))
            else {
                continue;
            };
            if name == "CREDENTIALS_DIRECTORY" {
                found.credentials = Some(PathBuf::from(value));
            }
            if !value.trim().is_empty() {
                found.names.insert(name.to_owned());
            }
        }
        (!found.names.is_empty()).then_some(found)
    }

    /// Whether a variable is set to something.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether systemd gave credentials.
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }
}

/// How a secret was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nowhere.
    Absent,
    /// There, to be used; the text tells where: `in secrets/x`.
    Given(String),
    /// There, with nothing in it.
    Empty(String),
    /// In a file that others may read, which is not used: path and permission bits.
    Open(String, u32),
    /// In a file that this user cannot read, or that is no plain file.
    Unreadable(String),
}

/// Where the secret `name` is, in the order in which the daemon looks. Its value is not kept.
pub fn found(files: &dyn Files, home: &Path, given: &Surroundings, name: &str) -> Found {
    let file = name.to_ascii_lowercase();
    if let Some(folder) = &given.credentials {
        match credential(files, Some(folder), &file) {
            Ok(Some(_)) => return Found::Given("as a credential of systemd".to_owned()),
            Err(_) => return Found::Unreadable(folder.join(&file).display().to_string()),
            Ok(None) => {}
        }
    }
    let (own, shown) = (home.join("secrets"), format!("secrets/{file}"));
    if let Ok(stat) = files.stat(&own.join(&file)) {
        if stat.plain && stat.mode & OTHERS != 0 {
            return Found::Open(shown, stat.mode & 0o7777);
        }
        match credential(files, Some(&own), &file) {
            Ok(Some(_)) => return Found::Given(format!("in {shown}")),
            Err(_) => return Found::Unreadable(shown),
            // What is empty was not given: the environment may have it.
            Ok(None) if !given.has(name) => return Found::Empty(format!("in {shown}")),
            Ok(None) => {}
        }
    }
    if given.has(name) {
        return Found::Given("in the environment".to_owned());
    }
    Found::Absent
}

/// Beginnings and ends of names whose values are secret, whoever set them.
const SECRET_WORDS: [&str; 7] = [
    "SECRET",
    "TOKEN",
    "KEY",
    "PASS",
    "CREDENTIAL",
    "_DSN",
    "AUTH",
];

/// The values of all secrets that are given on this machine, to be taken out of what leaves it:
/// files in `secrets/`, credentials, and variables of this process and of the one whose environment
/// `environ` is. `names` are those that configurations ask for.
pub fn known_secrets(
    files: &dyn Files,
    home: &Path,
    environ: Option<&Path>,
    names: &[String],
) -> Vec<Secret> {
    let mut known = Vec::new();
    let mut take = |name: &str, value: &str| {
        let ours = names.iter().any(|one| one == name);
        let upper = name.to_ascii_uppercase();
        if ours || SECRET_WORDS.iter().any(|word| upper.contains(word)) {
            known.push(Secret::new(value.trim().to_owned()));
        }
    };
    for (name, value) in std::env::vars_os() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            take(name, value);
        }
    }
    let theirs = environ.and_then(|path| {
        let mut file = files.open_read(path).ok()?;
        let bytes = read_whole(&mut *file, MOST_ENVIRONMENT).ok()?;
        Some(zeroize::Zeroizing::new(bytes))
    });
    let mut folders = vec![home.join("secrets")];
    folders.extend(variable("CREDENTIALS_DIRECTORY").map(PathBuf::from));
    for one in theirs.iter().flat_map(|text| text.split(|byte| *byte == 0)) {
        if let Some((name, value)) = std::str::from_utf8(one)
            .ok()
            .and_then(|one| one.split_once('='))
        {
            take(name, value);
            if name == "CREDENTIALS_DIRECTORY" {
                folders.push(PathBuf::from(value));
            }
        }
    }
    for folder in folders {
        for name in files.list(&folder).unwrap_or_default() {
            if let Ok(Some(secret)) = credential(files, Some(&folder), &name) {
                // Each line by itself too: a private key is printed line by line.
                let lines = secret
                    .reveal()
                    .lines()
                    .map(|line| Secret::new(line.trim().to_owned()));
                known.extend(lines.collect::<Vec<_>>());
                known.push(secret);
            }
        }
    }
    known
}

/// The address that the environment wants to be listened on.
pub fn listen() -> Option<String> {
    variable("ECHOPILOT_LISTEN")
}

fn accept(name: &'static str, secret: Secret, source: &str) -> anyhow::Result<GivenKey> {
    let found = secret.reveal().chars().count();
    anyhow::ensure!(
        found >= SHORTEST_KEY,
        "the key in `{source}` has {found} characters, at least {SHORTEST_KEY} are needed\n\
         hint: `head -c 32 /dev/urandom | base64` makes a good one"
    );
    Ok(GivenKey { name, secret })
}
