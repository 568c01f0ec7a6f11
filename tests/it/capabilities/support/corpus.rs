//! A made mailbox with known truth: mails as mail systems, answering programs, services and people
//! write them (`tests/fixtures/mail`), varied by a seed. Written after what such programs send, not
//! after our rules.

mod vary;

pub use vary::{Dice, base64, mangled};

/// What a made mail truly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// A person wrote it, to us.
    Person,
    /// A person's mail on a list that we are only on: a person or a list is right.
    Listed,
    /// A service wrote it by itself.
    Bulk,
    /// A program answered.
    AutoReply,
    /// A mail system tells of a delivery.
    Bounce,
    /// A filter called it spam.
    Spam,
}

/// One made mail.
pub struct Sample {
    /// Which template.
    pub name: &'static str,
    /// What it is.
    pub truth: Truth,
    /// All its bytes.
    pub raw: Vec<u8>,
}

/// The support address of all made mails.
pub const OURS: &str = "support@shop.example";

/// Templates of each truth, and how many of a hundred mails are made of them. A template begins
/// with `=== name`; its `%` words are filled in.
const SETS: [(Truth, &str, usize); 6] = [
    (
        Truth::Bounce,
        include_str!("../../../fixtures/mail/bounces.txt"),
        20,
    ),
    (
        Truth::AutoReply,
        include_str!("../../../fixtures/mail/replies.txt"),
        22,
    ),
    (
        Truth::Bulk,
        include_str!("../../../fixtures/mail/bulk.txt"),
        10,
    ),
    (
        Truth::Spam,
        include_str!("../../../fixtures/mail/spam.txt"),
        3,
    ),
    (
        Truth::Listed,
        include_str!("../../../fixtures/mail/lists.txt"),
        5,
    ),
    (
        Truth::Person,
        include_str!("../../../fixtures/mail/persons.txt"),
        40,
    ),
];

/// The templates of one set, with their names.
fn templates(set: &'static str) -> Vec<(&'static str, &'static str)> {
    let parts = set.split("=== ").skip(1);
    parts
        .map(|part| part.split_once('\n').expect("a name and a mail"))
        .collect()
}

/// `count` mails by `seed`; the same seed gives the same mails.
pub fn corpus(seed: u64, count: usize) -> Vec<Sample> {
    let mut dice = Dice::new(seed);
    let sets = SETS.map(|(truth, set, share)| (truth, templates(set), share));
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count {
        let mut roll = dice.below(100);
        for (truth, templates, share) in &sets {
            if roll < *share {
                let (name, text) = templates[dice.below(templates.len())];
                let raw = vary::made(text, &mut dice);
                samples.push(Sample {
                    name,
                    truth: *truth,
                    raw,
                });
                break;
            }
            roll -= share;
        }
    }
    samples
}

/// Every template once, unvaried but for its names.
pub fn plain() -> Vec<Sample> {
    let mut dice = Dice::new(1);
    let mut samples = Vec::new();
    for (truth, set, _) in SETS {
        for (name, text) in templates(set) {
            let raw = vary::filled(text, &mut dice)
                .replace('\n', "\r\n")
                .into_bytes();
            samples.push(Sample { name, truth, raw });
        }
    }
    samples
}
