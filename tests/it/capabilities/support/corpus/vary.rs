//! Seeded variation of made mails: names and dates, line ends, case and order of fields, encodings,
//! what servers on the way add and take; and for the reader's sake, damage of any kind.

/// A small generator of numbers (xorshift64*).
pub struct Dice(u64);

impl Dice {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll()).expect("53 bits") % end.max(1)
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    /// One of `choices`.
    pub fn pick<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.below(choices.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

const NAMES: [(&str, &str); 10] = [
    ("Ann Lee", "ann.lee"),
    ("Björn Åkesson", "bjorn"),
    ("Zoë O'Hara", "zoe.ohara"),
    ("佐藤 健", "sato"),
    ("Müller, Jürgen", "j.mueller"),
    ("Иван Петров", "ivan.petrov"),
    ("Maria-José Núñez", "mjnunez"),
    ("Dr. Paul \"P.\" Weiß", "paul"),
    ("sales dept", "office"),
    ("", "x1234567"),
];
const HOSTS: [&str; 8] = [
    "acme.example",
    "firma.example",
    "uni.example",
    "gmail.com",
    "outlook.com",
    "web.de",
    "club.example",
    "mail.startup.example",
];
const SUBJECTS: [&str; 10] = [
    "Question about my invoice",
    "Cannot sign in",
    "Your order 1234",
    "Re: ticket 99",
    "Frage zur Rechnung",
    "Problème de connexion",
    "Error when exporting",
    "hello",
    "Site slow?",
    "Angebot / offer",
];

/// `text` with its `%` words filled in.
pub fn filled(text: &str, dice: &mut Dice) -> String {
    let (name, local) = NAMES[dice.below(NAMES.len())];
    let host = dice.pick(&HOSTS);
    let id = format!("{:x}.{:x}@{host}", dice.roll(), dice.roll());
    let shown = match name {
        "" => String::new(),
        plain if plain.is_ascii() && !plain.contains(['"', ',', '.']) => format!("{plain} "),
        odd => format!("{} ", encoded(odd, dice)),
    };
    let day = 1 + dice.below(20);
    let (hour, minute) = (dice.below(24), dice.below(60));
    let date = format!("{day:02} Nov 2026 {hour:02}:{minute:02}:07 +0100");
    let values = [
        ("%FROM%", format!("{shown}<{local}@{host}>")),
        ("%ADDRESS%", format!("{local}@{host}")),
        ("%HOST%", host.to_owned()),
        ("%US%", super::OURS.to_owned()),
        ("%ESC%", "\u{1b}".to_owned()),
        ("%ID%", id),
        ("%REF%", format!("out.{:x}@shop.example", dice.roll())),
        ("%DATE%", date),
        ("%BOUND%", format!("=_{:x}/{:x}", dice.roll(), dice.roll())),
        ("%ASKED%", dice.pick(&SUBJECTS).to_owned()),
        ("%N%", format!("{}", 1000 + dice.below(90_000))),
    ];
    values.iter().fold(text.to_owned(), |text, (word, value)| {
        text.replace(word, value)
    })
}

/// A mail made of `text`, varied in ways that do not change what it is.
pub fn made(text: &str, dice: &mut Dice) -> Vec<u8> {
    let text = filled(text, dice);
    let (head, body) = text.split_once("\n\n").unwrap_or((text.as_str(), ""));
    let mut fields = unfolded(head);
    for field in &mut fields {
        *field = varied(field, dice);
    }
    // A server that hands a mail over without its envelope.
    if dice.once_in(12) {
        fields.retain(|field| !field.to_lowercase().starts_with("return-path:"));
    }
    if dice.once_in(7) {
        fields.retain(|field| !field.to_lowercase().starts_with("message-id:"));
    }
    if dice.once_in(10) {
        fields.retain(|field| !field.to_lowercase().starts_with("date:"));
        let odd = [
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
            "Date: 1 Jan 2099 00:00 GMT",
            "Date: today",
            "Date: Mon, 99 Foo 2026 77:88:99 +9999",
            "Date:",
        ];
        fields.push(dice.pick(&odd).to_owned());
    }
    if dice.once_in(3) {
        let by = "Received: from mx1.example (mx1.example [192.0.2.7])\n\tby mx.shop.example \
                  (Postfix) with ESMTPS id 4F1;\n\tSat, 21 Nov 2026 08:00:00 +0000 (UTC)";
        fields.insert(0, by.to_owned());
    }
    if dice.once_in(6) {
        let at = dice.below(fields.len());
        fields.insert(at, format!("X-Long: {}", "y ".repeat(dice.below(2_000))));
    }
    if dice.once_in(40) {
        let many = (0..10_000).map(|number| format!("X-Field-{number}: {number}"));
        fields.splice(0..0, many);
    }
    if dice.once_in(5) {
        let swap = dice.below(fields.len());
        fields.swap(0, swap);
    }
    let end = if dice.once_in(4) { "\n" } else { "\r\n" };
    let mut whole = format!("{}\n\n{body}", fields.join("\n"))
        .replace('\n', end)
        .into_bytes();
    if dice.once_in(25) {
        whole.push(0);
        whole.extend_from_slice(b"\0\xFF\xFE");
    }
    whole
}

fn unfolded(head: &str) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for line in head.lines() {
        match fields.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push('\n');
                last.push_str(line);
            }
            _ => fields.push(line.to_owned()),
        }
    }
    fields
}

fn varied(field: &str, dice: &mut Dice) -> String {
    let Some((name, value)) = field.split_once(':') else {
        return field.to_owned();
    };
    let name = match dice.below(12) {
        0 => name.to_lowercase(),
        1 => name.to_uppercase(),
        _ => name.to_owned(),
    };
    let lower = name.to_lowercase();
    let text = value.trim();
    let value = match lower.as_str() {
        // Raw 8-bit subjects are about; so are encoded ones of plain words.
        "subject" if dice.once_in(4) => format!(" {}", encoded(text, dice)),
        "auto-submitted" if dice.once_in(5) => format!(" {text} (by a program)"),
        "precedence" | "auto-submitted" if dice.once_in(5) => format!("  {}", text.to_uppercase()),
        "content-type" if dice.once_in(5) => value.replace("; ", ";\n\t"),
        _ => value.to_owned(),
    };
    format!("{name}:{value}")
}

/// An RFC 2047 encoded word of `text`.
fn encoded(text: &str, dice: &mut Dice) -> String {
    if dice.once_in(2) {
        return format!("=?utf-8?B?{}?=", base64(text.as_bytes()));
    }
    let mut quoted = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => quoted.push('_'),
            byte if byte.is_ascii_alphanumeric() => quoted.push(char::from(byte)),
            byte => quoted.extend(["=", &format!("{byte:02X}")]),
        }
    }
    format!("=?UTF-8?q?{quoted}?=")
}

/// `bytes` in base64, on one line.
pub fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let sign = SIGNS[usize::try_from(bits >> (18 - 6 * place) & 63).expect("six bits")];
            out.push(if place > group.len() {
                '='
            } else {
                char::from(sign)
            });
        }
    }
    out
}

/// `raw` damaged: bytes changed, cut out, doubled, put elsewhere, cut off.
pub fn mangled(raw: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = raw.to_vec();
    for _ in 0..=dice.below(8) {
        let length = bytes.len();
        if length < 4 {
            break;
        }
        let at = dice.below(length);
        let end = (at + dice.below(length.min(400))).min(bytes.len());
        match dice.below(8) {
            0 => bytes[at] = dice.byte(),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.below(length);
                bytes.splice(to..to, copy);
            }
            3 => bytes.truncate(at.max(4)),
            4 => {
                let marks: [&[u8]; 12] = [
                    b"\n",
                    b"\r",
                    b"\0",
                    b"<",
                    b">",
                    b"(((((",
                    b"\"",
                    b"=?",
                    b"?=",
                    b"\\",
                    b":;",
                    b"\xE2\x80",
                ];
                let mark = marks[dice.below(marks.len())];
                bytes.splice(at..at, mark.iter().copied());
            }
            5 => {
                let parts: [&[u8]; 6] = [
                    b"\nContent-Type: multipart/mixed; boundary=a\n\n--a\n",
                    b"\nContent-Type: message/rfc822\n\n",
                    b"\nContent-Transfer-Encoding: base64\n",
                    b"\nContent-Type: text/html; charset=iso-2022-jp\n",
                    b"=?iso-2022-kr?b?//8=?=",
                    b"\nContent-Type: text/plain; charset*0*=utf-7''x; charset*1=%%\n",
                ];
                let part = parts[dice.below(parts.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            6 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 0x80),
            _ => bytes[at..end].reverse(),
        }
    }
    bytes
}
