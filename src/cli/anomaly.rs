//! `echopilot anomaly`: what the detector says of recorded series. Needs no daemon and no home.

use std::io::{Read, stdin};
use std::path::Path;

use super::failure::{DONE, Failure, Outcome};
use super::output::Output;
use super::watch_args::{AnomalyReplayArgs, AnomalyVerb};
use crate::capabilities::anomalies::logic::Limits;
use crate::capabilities::anomalies::replay::{BadRow, replay};
use crate::seams::files::{Files, read_whole};

/// Bytes of a series at most: more than 10 million rows.
const MOST: u64 = 512 << 20;

impl From<BadRow> for Failure {
    fn from(bad: BadRow) -> Self {
        Self::new(bad.to_string())
            .hint("a row is `TIME,VALUE` or a value alone; TIME as `2026-11-21 09:15:00`")
    }
}

/// Does what was asked.
pub(super) fn run(verb: &AnomalyVerb, files: &dyn Files, output: &mut Output) -> Outcome {
    match verb {
        AnomalyVerb::Replay(args) => run_replay(args, files, output),
    }
}

fn run_replay(args: &AnomalyReplayArgs, files: &dyn Files, output: &mut Output) -> Outcome {
    let text = read(&args.file, files)?;
    let usual = Limits::default();
    let limits = Limits {
        window: args.window.map_or(usual.window, |most| most as usize),
        damper_samples: args.damper.map_or(usual.damper_samples, u64::from),
        ..usual
    };
    let (mut rows, mut anomalies) = (0_u64, 0_u64);
    replay::<Failure>(&text, &limits, |line, row| {
        rows += 1;
        anomalies += u64::from(row.verdict.is_some_and(|said| said.anomaly));
        output.raw(row.to_line(line).as_bytes())
    })?;
    output.talk(&format!("{rows} rows, {anomalies} anomalies"));
    Ok(DONE)
}

/// The text of `file`; `-` is standard input.
fn read(file: &Path, files: &dyn Files) -> Result<String, Failure> {
    let failed = |error| Failure::new(format!("cannot read `{}`: {error}", file.display()));
    let body = if file == Path::new("-") {
        let mut body = Vec::new();
        stdin()
            .take(MOST + 1)
            .read_to_end(&mut body)
            .map_err(failed)?;
        body
    } else {
        let mut opened = files.open_read(file).map_err(failed)?;
        read_whole(&mut *opened, MOST).map_err(failed)?
    };
    if body.len() as u64 > MOST {
        return Err(Failure::new(format!(
            "`{}` is longer than {} MiB",
            file.display(),
            MOST >> 20
        ))
        .hint("replay it in parts: each part needs 30 rows before it is judged"));
    }
    String::from_utf8(body)
        .map_err(|_| Failure::new(format!("`{}` is no UTF-8 text", file.display())))
}
