//! `echopilot support`: the support inbox.

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, Outcome};
use super::output::{Output, Style, elements, of, plain};
use super::query::{segment, with_query};
use super::watch_args::{SupportListArgs, SupportVerb};

/// Does `verb`.
pub(super) fn run(verb: &SupportVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        SupportVerb::Digest { latest } => digest(*latest, api, output),
        SupportVerb::List(args) => list(args, api, output),
        SupportVerb::Show { id } => show(id, api, output),
    }
}

fn style(urgency: &str) -> Style {
    match urgency {
        "urgent" => Style::Red,
        "high" => Style::Yellow,
        _ => Style::Dim,
    }
}

fn digest(latest: bool, api: &Api, output: &mut Output) -> Outcome {
    let path = "/api/support/digest";
    let ask = if latest {
        Ask::get(path)
    } else {
        Ask::post(path, json!({}))
    };
    let answer = api.ask(&ask)?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    if answer.get("dry_run") == Some(&Value::Bool(true)) {
        let reason = of(&answer, "/reason");
        output.talk(&format!("no mailbox was read ({reason}); this is a sample"));
    }
    let row = |item: &Value| {
        let urgency = of(item, "/urgency");
        vec![
            of(item, "/date"),
            output.paint(style(&urgency), &urgency),
            of(item, "/category"),
            of(item, "/from"),
            of(item, "/subject"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "items").map(row).collect();
    if rows.is_empty() {
        output.talk("no unread mail that a person has to look at");
    } else {
        output.table(&["DATE", "URGENCY", "ABOUT", "FROM", "SUBJECT"], &rows)?;
    }
    waits(&answer, output)?;
    output.next("echopilot support list");
    Ok(DONE)
}

/// Who waits, in a line or two.
fn waits(answer: &Value, output: &mut Output) -> Outcome {
    let Some(waiting) = answer.get("waiting") else {
        return Ok(DONE);
    };
    let (count, breached) = (of(waiting, "/count"), of(waiting, "/breached"));
    output.line(&format!(
        "{count} conversations wait, {breached} longer than promised"
    ))?;
    if waiting.get("oldest").is_some_and(Value::is_object) {
        let (since, from) = (of(waiting, "/oldest/since"), of(waiting, "/oldest/from"));
        output.line(&format!("the oldest since {since}: {from}"))?;
    }
    for mailbox in elements(answer, "mailboxes") {
        if mailbox.get("is_complete") == Some(&Value::Bool(false)) {
            let name = of(mailbox, "/mailbox");
            output.talk(&format!(
                "`{name}` is not read to its end; the next visits go on"
            ));
        }
    }
    Ok(DONE)
}

fn list(args: &SupportListArgs, api: &Api, output: &mut Output) -> Outcome {
    let limit = args.lines.to_string();
    let unread = args.unread.then_some("true");
    let query = [
        ("kind", args.kind.as_deref()),
        ("unread", unread),
        ("limit", Some(limit.as_str())),
    ];
    let answer = api.ask(&Ask::get(with_query("/api/support/mails", &query)))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let row = |mail: &Value| {
        let urgency = of(mail, "/urgency");
        vec![
            of(mail, "/id"),
            of(mail, "/date"),
            of(mail, "/kind"),
            output.paint(style(&urgency), &urgency),
            of(mail, "/from"),
            of(mail, "/subject"),
        ]
    };
    let rows: Vec<_> = elements(&answer, "mails").map(row).collect();
    if rows.is_empty() {
        output.talk("no such mail is remembered");
        output.next("echopilot support digest");
        return Ok(DONE);
    }
    output.table(&["ID", "DATE", "KIND", "URGENCY", "FROM", "SUBJECT"], &rows)?;
    output.next("echopilot support show ID");
    Ok(DONE)
}

fn show(id: &str, api: &Api, output: &mut Output) -> Outcome {
    let path = format!("/api/support/mails/{}", segment(id));
    let answer = api.ask(&Ask::get(path))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    let reasons = |name: &str| {
        let list = answer.pointer(name).and_then(Value::as_array);
        let texts = list.into_iter().flatten().map(plain);
        texts.collect::<Vec<_>>().join("; ")
    };
    let state = match (answer.get("is_unread"), answer.get("is_answered")) {
        (_, Some(Value::Bool(true))) => "answered",
        (Some(Value::Bool(true)), _) => "unread",
        _ => "read",
    };
    let rows = [
        ("from", of(&answer, "/from")),
        ("subject", of(&answer, "/subject")),
        ("date", of(&answer, "/date")),
        ("state", state.to_owned()),
        ("mailbox", of(&answer, "/mail/mailbox")),
        ("message id", of(&answer, "/message_id")),
        ("kind", of(&answer, "/kind")),
        ("because", reasons("/mail/kind_reasons")),
        ("urgency", of(&answer, "/urgency")),
        ("because", reasons("/mail/urgency/reasons")),
        ("about", of(&answer, "/category")),
        ("begins", of(&answer, "/mail/snippet")),
        ("attachments", of(&answer, "/mail/attachments/count")),
        ("oddities", reasons("/mail/oddities")),
    ];
    let rows = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value]);
    output.table(&["MAIL", id], &rows.collect::<Vec<_>>())?;
    Ok(DONE)
}
