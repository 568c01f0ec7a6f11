//! A certificate of the tests' own, a real Dovecot, scripted mail servers, and a daemon whose
//! mailbox is there.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod, SslStream};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Daemon, PATIENCE};

/// User of nobody's: what Dovecot runs as where the tests run as root.
const NOBODY: u32 = 65_534;

/// A certificate for this machine, and its key, as files.
pub struct Papers {
    folder: TempDir,
    cert: X509,
    key: PKey<Private>,
}

impl Papers {
    /// A new certificate, which holds for an hour.
    pub fn new() -> Self {
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "mail of the tests")
            .unwrap();
        let name = name.build();
        let mut cert = X509::builder().unwrap();
        cert.set_version(2).unwrap();
        let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
        cert.set_serial_number(&serial).unwrap();
        cert.set_subject_name(&name).unwrap();
        cert.set_issuer_name(&name).unwrap();
        cert.set_pubkey(&key).unwrap();
        let now = chrono::Utc::now().timestamp();
        let at = |secs| Asn1Time::from_unix(now + secs).unwrap();
        cert.set_not_before(&at(-3600)).unwrap();
        cert.set_not_after(&at(3600)).unwrap();
        let names = SubjectAlternativeName::new()
            .dns("localhost")
            .ip("127.0.0.1")
            .build(&cert.x509v3_context(None, None))
            .unwrap();
        cert.append_extension(names).unwrap();
        cert.sign(&key, MessageDigest::sha256()).unwrap();
        let cert = cert.build();
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("cert.pem"), cert.to_pem().unwrap()).unwrap();
        let text = key.private_key_to_pem_pkcs8().unwrap();
        fs::write(folder.path().join("key.pem"), text).unwrap();
        Self { folder, cert, key }
    }

    /// The certificate as a file.
    pub fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

/// A free port of this machine.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until `there` gives something.
pub fn wait_for<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} never came");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A Dovecot with one user, `support`, whose password is `secret`.
pub struct Dovecot {
    child: Child,
    folder: TempDir,
    owner: (u32, u32),
    /// Port of IMAP with TLS from the first byte.
    pub tls: u16,
    /// Port of IMAP with STARTTLS.
    pub plain: u16,
}

impl Dovecot {
    /// Starts one; `introspection` is where it asks whether a token is good.
    pub fn start(papers: &Papers, introspection: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let own = (
            fs::metadata(root).unwrap().uid(),
            fs::metadata(root).unwrap().gid(),
        );
        let owner = if own.0 == 0 { (NOBODY, NOBODY) } else { own };
        let (tls, plain) = (free_port(), free_port());
        let config = config(root, papers, owner, (tls, plain));
        fs::write(root.join("dovecot.conf"), config).unwrap();
        fs::write(root.join("users"), "support:{PLAIN}secret::::::\n").unwrap();
        let oauth = format!(
            "introspection_mode = auth\nintrospection_url = {introspection}\n\
             username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        );
        fs::write(root.join("oauth2.ext"), oauth).unwrap();
        for name in ["run", "state", "mail", "mail/support"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        for name in [
            "cur",
            "new",
            "tmp",
            ".Sent",
            ".Sent/cur",
            ".Sent/new",
            ".Sent/tmp",
        ] {
            fs::create_dir(root.join("mail/support").join(name)).unwrap();
        }
        own_all(root, owner);
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(root.join("dovecot.conf"));
        if own.0 == 0 {
            command.uid(owner.0).gid(owner.1);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .expect("dovecot is installed, see tests/run");
        let mut dovecot = Self {
            child,
            folder,
            owner,
            tls,
            plain,
        };
        wait_for("dovecot's port", || {
            let ended = dovecot.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", dovecot.log());
            TcpStream::connect(("127.0.0.1", tls)).ok()
        });
        dovecot
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn mailbox(&self) -> PathBuf {
        self.folder.path().join("mail/support")
    }

    /// Puts a mail into `place`, such as `new` or `.Sent/cur`, under a name that ends in `flags`.
    pub fn deliver(&self, place: &str, name: &str, flags: &str, mail: &[u8]) {
        let path = self.mailbox().join(place).join(format!("{name}{flags}"));
        fs::write(&path, mail).unwrap();
        chown(&path, Some(self.owner.0), Some(self.owner.1)).unwrap();
    }

    /// File names of all mails.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for place in ["new", "cur"] {
            for entry in fs::read_dir(self.mailbox().join(place)).unwrap() {
                names.push(entry.unwrap().file_name().to_string_lossy().into_owned());
            }
        }
        names
    }

    /// Marks the mail `name` as somebody's mail program would.
    pub fn mark(&self, name: &str, flags: &str) {
        let is_it = |found: &String| found.split(':').next() == Some(name);
        let found = self.names().into_iter().find(is_it).expect("such a mail");
        let place = |place: &str| self.mailbox().join(place).join(&found);
        let from = [place("cur"), place("new")];
        let from = from.iter().find(|path| path.exists()).expect("its file");
        fs::rename(
            from,
            self.mailbox().join("cur").join(format!("{name}:2,{flags}")),
        )
        .unwrap();
    }

    /// Forgets all numbers of mails, so that the server numbers them anew.
    pub fn renumber(&self) {
        for entry in fs::read_dir(self.mailbox()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("dovecot") {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its processes end with it.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if asked.is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

fn own_all(folder: &Path, (uid, gid): (u32, u32)) {
    chown(folder, Some(uid), Some(gid)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            own_all(&path, (uid, gid));
        } else {
            chown(&path, Some(uid), Some(gid)).unwrap();
        }
    }
}

fn config(root: &Path, papers: &Papers, (uid, gid): (u32, u32), ports: (u16, u16)) -> String {
    let root = root.display();
    let name = |file: &str, id: u32| {
        let lines = fs::read_to_string(file).unwrap();
        let mut lines = lines
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let line = lines.find(|line| line[2] == id.to_string());
        line.expect("a name for the id")[0].to_owned()
    };
    let (user, group) = (name("/etc/passwd", uid), name("/etc/group", gid));
    let (cert, key) = (papers.cert(), papers.key());
    let (cert, key) = (cert.display(), key.display());
    let (tls, plain) = ports;
    format!(
        "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {root}/run\nstate_dir = {root}/state\n\
         log_path = {root}/log\ndefault_internal_user = {user}\ndefault_login_user = {user}\n\
         default_internal_group = {group}\nfirst_valid_uid = 1\n\
         mail_location = maildir:{root}/mail/%u\nssl = required\nssl_cert = <{cert}\n\
         ssl_key = <{key}\ndisable_plaintext_auth = yes\n\
         auth_mechanisms = plain login xoauth2 oauthbearer\n\
         passdb {{\n driver = passwd-file\n \
         args = scheme=PLAIN username_format=%u {root}/users\n}}\n\
         passdb {{\n driver = oauth2\n mechanisms = xoauth2 oauthbearer\n \
         args = {root}/oauth2.ext\n}}\n\
         userdb {{\n driver = static\n args = uid={uid} gid={gid} home={root}/mail/%u\n}}\n\
         namespace inbox {{\n inbox = yes\n mailbox Sent {{\n special_use = \\Sent\n }}\n}}\n\
         service anvil {{\n chroot =\n}}\n\
         service imap-login {{\n chroot =\n inet_listener imap {{\n port = {plain}\n }}\n \
         inet_listener imaps {{\n port = {tls}\n ssl = yes\n }}\n}}\n"
    )
}

/// A daemon that reads the mailbox of `port`.
pub fn daemon(home: &Path, papers: &Papers, port: u16, config: &Value) -> Daemon {
    daemon_with(home, papers, port, config, |_| {})
}

/// The same, after `change` had its way with the command.
pub fn daemon_with(
    home: &Path,
    papers: &Papers,
    port: u16,
    config: &Value,
    change: impl FnOnce(&mut Command),
) -> Daemon {
    fs::create_dir_all(home.join("configs")).unwrap();
    fs::write(home.join("configs/support.json"), config.to_string()).unwrap();
    Daemon::start_with(home, |command| {
        command
            .env("SSL_CERT_FILE", papers.cert())
            .env("IMAP_HOST", format!("127.0.0.1:{port}"))
            .env("IMAP_USER", "support")
            .env("IMAP_PASS", "secret");
        change(command);
    })
}

/// Resident bytes of a process.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB").trim();
    kib.parse::<u64>().unwrap() * 1024
}

/// One connection of a scripted server.
pub struct Talk {
    stream: BufReader<SslStream<TcpStream>>,
    /// Each connection numbers its one mail anew, so that it is fetched.
    numbering: usize,
}

impl Talk {
    /// Says something, whether or not anybody listens any more.
    pub fn say(&mut self, text: impl AsRef<[u8]>) -> bool {
        let stream = self.stream.get_mut();
        stream.write_all(text.as_ref()).is_ok() && stream.flush().is_ok()
    }

    /// The next command, as tag and text; `None` when the client is gone.
    pub fn hear(&mut self) -> Option<(String, String)> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(1..) => {}
            _ => return None,
        }
        let (tag, text) = line.trim_end().split_once(' ')?;
        Some((tag.to_owned(), text.to_owned()))
    }

    /// Obliges until a command begins with `odd`; gives its tag.
    pub fn oblige_until(&mut self, odd: &str) -> Option<String> {
        self.say("* OK ready\r\n");
        loop {
            let (tag, text) = self.hear()?;
            if text.starts_with(odd) {
                return Some(tag);
            }
            let word = text.split(' ').next().unwrap_or_default();
            let numbering = self.numbering;
            let examined =
                format!("* 1 EXISTS\r\n* OK [UIDVALIDITY {numbering}] v\r\n* OK [UIDNEXT 2] n\r\n");
            let answer = match (word, text.contains("RFC822.SIZE")) {
                ("CAPABILITY", _) => "* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n",
                ("EXAMINE", _) => &examined,
                ("UID", true) => {
                    "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"21-Nov-2099 09:00:00 +0000\" \
                     RFC822.SIZE 41)\r\n"
                }
                ("UID", false) if text.contains("SEARCH") => "* SEARCH 1\r\n",
                ("UID", false) => {
                    "* 1 FETCH (UID 1 BODY[]<0> {41}\r\nFrom: a@example.com\r\n\
                     Subject: hi\r\n\r\nhey\r\n)\r\n"
                }
                ("LOGOUT", _) => "* BYE\r\n",
                _ => "",
            };
            self.say(answer);
            self.say(format!("{tag} OK done\r\n"));
            if word == "LOGOUT" {
                return None;
            }
        }
    }

    /// Waits until the client is gone.
    pub fn wait_for_end(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest), Ok(1..)) {}
    }
}

/// What a scripted server does with one connection.
pub type Script = fn(&mut Talk);

/// Serves one connection after the other by `scripts`; gives its port.
pub fn scripted(papers: &Papers, scripts: Vec<Script>) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key(&papers.key).unwrap();
    acceptor.set_certificate(&papers.cert).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (at, script) in scripts.into_iter().enumerate() {
            let (stream, _) = listener.accept().unwrap();
            // A client that has left is no reason to wait.
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            let acceptor = Arc::clone(&acceptor);
            std::thread::spawn(move || {
                if let Ok(stream) = acceptor.accept(stream) {
                    let stream = BufReader::new(stream);
                    let numbering = at + 1;
                    script(&mut Talk { stream, numbering });
                }
            });
        }
    });
    port
}

/// An HTTP server that answers each request by `answer`, which is given the whole request.
pub fn web(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let mut line = String::new();
                if !matches!(stream.read_line(&mut line), Ok(1..)) {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                continue;
            }
            let (status, text) = answer(&(head + &String::from_utf8_lossy(&body)));
            let reply = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{text}",
                text.len()
            );
            let _gone = stream.get_mut().write_all(reply.as_bytes());
        }
    });
    port
}
