//! Schedules that are refused, and what the person who wrote one is told.

use super::super::Cron;

/// Schedule, and what its refusal must name: what was found, what is allowed, the cure.
const CASES: [(&str, &str, &str, &str); 25] = [
    (
        "0 25 * * *",
        "`0 25 * * *`, whose hour is `25`",
        "0..=23",
        "such as `*`",
    ),
    ("60 * * * *", "whose minute is `60`", "0..=59", "such as"),
    (
        "* * 0 * *",
        "whose day of month is `0`",
        "1..=31",
        "such as",
    ),
    (
        "* * * 13 *",
        "whose month is `13`",
        "1..=12 or JAN..=DEC",
        "such as",
    ),
    (
        "* * * JUNE *",
        "whose month is `JUNE`",
        "JAN..=DEC",
        "did you mean `JUN`?",
    ),
    (
        "* * * * monday",
        "whose day of week is `monday`",
        "0..=7",
        "did you mean `MON`?",
    ),
    (
        "* * * * MOM",
        "whose day of week is `MOM`",
        "SUN..=SAT",
        "did you mean `MON`?",
    ),
    (
        "0 22-2 * * *",
        "whose hour is `22-2`",
        "from low to high",
        "write `22-23,0-2`",
    ),
    (
        "0 0 * * FRI-MON",
        "is `FRI-MON`",
        "from low to high",
        "write `5-7,1`",
    ),
    ("0 0 * * 6-0", "is `6-0`", "from low to high", "write `6-7`"),
    (
        "*/90 * * * *",
        "whose minute is `*/90`",
        "a step of 1..=59",
        "such as `90m`",
    ),
    (
        "0 */24 * * *",
        "whose hour is `*/24`",
        "a step of 1..=23",
        "interval",
    ),
    (
        "0 0 * * */7",
        "whose day of week is `*/7`",
        "a step of 1..=6",
        "every second",
    ),
    (
        "*/0 * * * *",
        "whose minute is `*/0`",
        "a step of 1..=59",
        "interval",
    ),
    (
        "5/15 * * * *",
        "whose minute is `5/15`",
        "a range or `*`",
        "write `5-59/…`",
    ),
    (
        "0 0 L * *",
        "whose day of month is `L`",
        "1..=31",
        "`L`, `W`, `#` and `?`",
    ),
    (
        "0 0 30 2 *",
        "whose day never comes",
        "a day that exists",
        "`0 0 1 * *`",
    ),
    (
        "0 0 31 4,6,9,11 *",
        "whose day never comes",
        "a day that exists",
        "`0 0 1 * *`",
    ),
    (
        "0 0 1 *",
        "`0 0 1 *`, 4 fields",
        "five fields",
        "daily at 01:10",
    ),
    (
        "0 0 0 1 * *",
        "6 fields",
        "five fields",
        "no field for seconds",
    ),
    ("", "``, 0 fields", "five fields", "daily at 01:10"),
    ("1,,2 * * * *", "whose minute is ``", "0..=59", "such as"),
    ("+5 * * * *", "whose minute is `+5`", "0..=59", "such as"),
    ("@dayly", "`@dayly`", "`@hourly`", "did you mean `@daily`?"),
    ("@reboot", "`@reboot`", "`@hourly`", "an interval"),
];

#[test]
fn what_is_refused_is_told_with_its_field_and_a_cure() {
    for (text, found, allowed, hint) in CASES {
        let error = Cron::parse(text).expect_err(text);
        assert!(error.found.contains(found), "{text}: {}", error.found);
        assert!(error.allowed.contains(allowed), "{text}: {}", error.allowed);
        assert!(error.hint.contains(hint), "{text}: {}", error.hint);
    }
    let long = "0,".repeat(300) + "0 * * * *";
    assert!(Cron::parse(&long).is_err(), "the length is bounded");
}
