//! Which files of a home are open to more people than they should be. One list of rules, for the
//! weekly audit and the doctor. Only looks at modes; never reads what is in a file.

use std::path::Path;

use crate::seams::files::{Files, Stat};

/// A file or folder that is too open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    /// What was found, the path in backticks.
    pub found: String,
    /// The command that mends it.
    pub cure: String,
    /// Whether everybody on the machine, or a stranger to a secret, is let in; otherwise it is the
    /// group alone, which may be meant.
    pub grave: bool,
}

/// Permission bits of the group and of everybody else.
const GROUP_AND_OTHERS: u32 = 0o077;
/// Permission bits of everybody who is neither owner nor in the group.
const OTHERS: u32 = 0o007;
/// Permission bit of others for writing.
const OTHERS_WRITE: u32 = 0o002;
/// Permission bit of the group for writing.
const GROUP_WRITE: u32 = 0o020;
/// Permission bits of the group.
const GROUP: u32 = 0o070;

/// Which bits a path may not have, which it had better not have, and what takes them away.
struct Rule {
    path: &'static str,
    never: u32,
    better_not: u32,
}

/// What a home consists of. `configs` may be written by the group: people edit there.
const RULES: [Rule; 8] = [
    rule(".", OTHERS_WRITE, GROUP_WRITE),
    rule("configs", OTHERS_WRITE, 0),
    rule("logs", OTHERS_WRITE, GROUP_WRITE),
    rule("backups", OTHERS_WRITE, GROUP_WRITE),
    rule("configs/keys.json", OTHERS, GROUP),
    rule(".echopilot", OTHERS_WRITE, GROUP_WRITE),
    rule(".echopilot/daemon.json", GROUP_AND_OTHERS, 0),
    rule("secrets", OTHERS_WRITE | GROUP_WRITE, 0),
];

const fn rule(path: &'static str, never: u32, better_not: u32) -> Rule {
    Rule {
        path,
        never,
        better_not,
    }
}

/// Everything below `home` that is too open, in a fixed order.
pub fn exposed(files: &dyn Files, home: &Path) -> Vec<Exposed> {
    let stat = |name: &str| files.stat(&home.join(name)).ok();
    // A link lets everybody follow it; what counts is the folder that it leads to.
    let led_to = |name: &str| match stat(name)? {
        link if !link.plain && !link.folder => stat(&format!("{name}/.")),
        found => Some(found),
    };
    let mut found: Vec<Exposed> = RULES
        .iter()
        .filter_map(|rule| judged(rule.path, &led_to(rule.path)?, rule.never, rule.better_not))
        .collect();
    let inside = |folder: &str| {
        let names = files.list(&home.join(folder)).unwrap_or_default();
        let names = names.into_iter().map(|name| format!("{folder}/{name}"));
        names.collect::<Vec<_>>()
    };
    for name in inside("secrets") {
        if let Some(stat) = stat(&name) {
            found.extend(secret(&name, &stat));
        }
    }
    for name in inside("configs") {
        if let Some(stat) = stat(&name).filter(|stat| stat.plain)
            && name != "configs/keys.json"
        {
            found.extend(judged(&name, &stat, OTHERS_WRITE, 0));
        }
    }
    found
}

fn judged(path: &str, stat: &Stat, never: u32, better_not: u32) -> Option<Exposed> {
    let (bits, grave) = match (stat.mode & never, stat.mode & better_not) {
        (0, 0) => return None,
        (0, lax) => (lax, false),
        (bad, lax) => (bad | lax, true),
    };
    let mode = stat.mode & 0o7777;
    Some(Exposed {
        found: format!("`{path}` has mode {mode:o}: {}", may(bits)),
        cure: format!("chmod {} {path}", taken(bits)),
        grave,
    })
}

/// A secret's file is for its owner alone; another one is not used.
fn secret(path: &str, stat: &Stat) -> Option<Exposed> {
    if !stat.plain {
        return Some(Exposed {
            found: format!("`{path}` is no plain file: it is not used"),
            cure: "write the secret into a file of that name".to_owned(),
            grave: true,
        });
    }
    let mode = stat.mode & 0o7777;
    (mode & GROUP_AND_OTHERS != 0).then(|| Exposed {
        found: format!("`{path}` has mode {mode:o}, allowed is 600: it is not used"),
        cure: format!("chmod 600 {path}"),
        grave: true,
    })
}

/// What `bits` let people do, in words.
fn may(bits: u32) -> String {
    let who = |shift: u32, who: &str| {
        let bits = bits >> shift & 0o7;
        let doing = match bits {
            0 => return None,
            0o2 => "write",
            0o4 | 0o5 | 0o1 => "read",
            _ => "read and write",
        };
        Some(format!("{who} may {doing} it"))
    };
    let told: Vec<String> = [who(0, "everybody"), who(3, "the group")]
        .into_iter()
        .flatten()
        .collect();
    told.join(", ")
}

/// The argument of chmod that takes `bits` away.
fn taken(bits: u32) -> String {
    let class = |shift: u32, name: char| {
        let letters: String = [(4, 'r'), (2, 'w'), (1, 'x')]
            .into_iter()
            .filter(|(bit, _)| bits >> shift & bit != 0)
            .map(|(_, letter)| letter)
            .collect();
        (!letters.is_empty()).then(|| format!("{name}-{letters}"))
    };
    let all: Vec<String> = [class(3, 'g'), class(0, 'o')]
        .into_iter()
        .flatten()
        .collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_in_words_and_taken_away_by_name() {
        assert_eq!(may(0o002), "everybody may write it");
        assert_eq!(
            may(0o046),
            "everybody may read and write it, the group may read it"
        );
        assert_eq!(taken(0o026), "g-w,o-rw");
    }

    #[test]
    fn the_group_may_write_to_configs_and_not_to_journals() {
        let folder = Stat {
            mode: 0o2770,
            folder: true,
            ..Stat::default()
        };
        let of = |path: &str| {
            let rule = RULES.iter().find(|rule| rule.path == path).expect("a rule");
            judged(path, &folder, rule.never, rule.better_not)
        };
        assert_eq!(of("configs"), None);
        let logs = of("logs").expect("told");
        assert!(!logs.grave && logs.cure == "chmod g-w logs", "{logs:?}");
    }
}
