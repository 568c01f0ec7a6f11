//! `echopilot standby` and `echopilot promote`: a copy of a home, and the way it becomes the home.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Ask};
use super::args::Global;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::Output;
use super::standby_args::{StandbyArgs, StandbyVerb};
use crate::app::serve::{Channels, ServeOptions};
use crate::app::standby::{StandbyOptions, promote_offline, standby};
use crate::seams::files::Files;
use crate::storage::files::epoch;
use crate::storage::replica::followers;

/// How often it is looked whether the standby took over.
const LOOK: Duration = Duration::from_millis(50);
/// Looks before the caller is told that it takes long: 60 s of them.
const LOOKS: u32 = 1_200;

/// Follows another home, or tells of who follows.
pub(super) fn run(
    args: &StandbyArgs,
    global: &Global,
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    match &args.verb {
        Some(StandbyVerb::Status) => status(&Api::connect(global, files)?, output),
        Some(StandbyVerb::Forget { id }) => forget(id, global, files, output),
        None => follow(args, global, output),
    }
}

fn follow(args: &StandbyArgs, global: &Global, output: &mut Output) -> Outcome {
    let Some(from) = &args.from else {
        return Err(
            Failure::new("`standby` needs `--from`: what should be followed")
                .hint("`--from http://HOST:PORT` follows a primary, `--from DIR` a home on a disk"),
        );
    };
    output.flush()?;
    let options = StandbyOptions {
        serve: ServeOptions {
            home: global.home.clone(),
            listen: args.listen,
            quiet: global.quiet,
            json: global.json,
        },
        from: from.clone(),
        key_file: args.key_file.clone(),
        advertise: args.advertise.clone(),
        take_over_after: args.take_over_after.map(Duration::from_secs),
        takes_damaged: args.accept_damaged,
        begins_anew: args.begin_anew,
    };
    let mut to = Channels {
        talk: &mut io::stderr(),
        data: &mut io::stdout(),
    };
    standby(&options, &mut to)?;
    Ok(DONE)
}

fn status(api: &Api, output: &mut Output) -> Outcome {
    let told = api.ask(&Ask::get("/api/replica"))?;
    if output.json() {
        output.value(&told)?;
        return Ok(DONE);
    }
    let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    output.line(&format!("{} at epoch {}", text("part"), told["epoch"]))?;
    if let Some(from) = told["from"].as_str() {
        output.line(&format!("follows {from}, {} s behind", told["behind_secs"]))?;
    }
    for name in ["problem", "unfenced"] {
        if let Some(why) = told[name].as_str() {
            output.line(&format!("{name}: {why}"))?;
        }
    }
    for (journal, why) in told["apart"].as_object().into_iter().flatten() {
        let why = why.as_str().unwrap_or_default();
        output.line(&format!("`{journal}` is not followed: {why}"))?;
    }
    for follower in told["followers"].as_array().into_iter().flatten() {
        let (id, url) = (&follower["id"], &follower["url"]);
        let (id, url) = (
            id.as_str().unwrap_or_default(),
            url.as_str().unwrap_or_default(),
        );
        output.line(&format!("followed by {id} at {url}"))?;
    }
    Ok(DONE)
}

/// Where no daemon runs the list is changed on the disk: to ask for the followers first is what
/// cannot be done.
fn forget(id: &str, global: &Global, files: &dyn Files, output: &mut Output) -> Outcome {
    let known = followers::followers(files, &global.home);
    let daemon = Api::daemon(global, files)?;
    let gone = match daemon {
        Some(daemon) => {
            let api = Api::Remote(daemon);
            let path = format!("/api/replica/followers/{}/forget", plain(id)?);
            api.ask(&Ask::post(path, json!({})))?;
            true
        }
        None => followers::forget(files, &global.home, id)
            .map_err(|error| Failure::new(format!("cannot write `followers.json`: {error}")))?,
    };
    if !gone {
        let known: Vec<String> = known
            .unwrap_or_default()
            .into_iter()
            .map(|one| one.id)
            .collect();
        return Err(
            Failure::new(format!("no standby `{id}` follows this home")).hint(
                if known.is_empty() {
                    "none does".to_owned()
                } else {
                    format!("these do: {}", known.join(", "))
                },
            ),
        );
    }
    output.talk(&format!("`{id}` is forgotten"));
    Ok(DONE)
}

fn plain(id: &str) -> Result<&str, Failure> {
    if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(id);
    }
    Err(Failure::new("an id has letters and digits only")
        .hint("`echopilot standby status` shows them"))
}

/// Lets the standby of this home take over, and waits until it has.
pub(super) fn promote(global: &Global, files: &dyn Files, output: &mut Output) -> Outcome {
    let Some(daemon) = Api::daemon(global, files)? else {
        let promoted = promote_offline(&global.home)?;
        tell(promoted.epoch, output)?;
        if let Some(from) = &promoted.unfenced {
            output.talk(&format!(
                "warning: nothing keeps `{from}` from writing\n\
                 hint: see that it does not run; before it is started again, make it a standby of \
                 this one, by `echopilot standby --from URL --begin-anew`"
            ));
        }
        output.next(&format!("echopilot serve --home {}", global.home.display()));
        return Ok(DONE);
    };
    Api::Remote(daemon).ask(&Ask::post("/api/replica/promote", json!({})))?;
    for _look in 0..LOOKS {
        if let Some(told) = part(global, files)
            && told["part"] == "primary"
        {
            tell(told["epoch"].as_u64().unwrap_or(epoch::FIRST), output)?;
            return Ok(DONE);
        }
        std::thread::sleep(LOOK);
    }
    Err(
        Failure::new("the standby did not take over within a minute")
            .code(FAILED)
            .hint("its log says why; `echopilot standby status` shows how it is"),
    )
}

/// What the daemon on this home says of itself, if it answers: while it takes over it does not.
fn part(global: &Global, files: &dyn Files) -> Option<Value> {
    let daemon = Api::daemon(global, files).ok()??;
    Api::Remote(daemon).ask(&Ask::get("/api/replica")).ok()
}

fn tell(epoch: u64, output: &mut Output) -> Result<(), Failure> {
    if output.json() {
        return output.value(&json!({ "ok": true, "epoch": epoch }));
    }
    output.line(&format!("this home is the primary, epoch {epoch}"))
}
