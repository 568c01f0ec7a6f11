//! `echopilot api`: every route, each with a call to paste.

use serde_json::Value;

use super::api::{Api, Ask};
use super::args::ApiArgs;
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, plain};

/// The address in the examples that the daemon gives: the shipped one.
const WRITTEN: &str = "http://127.0.0.1:5000";

/// Lists the routes whose path contains the filter.
pub(super) fn run(args: &ApiArgs, api: &Api, output: &mut Output) -> Outcome {
    let answer = api.ask(&Ask::get("/api"))?;
    let all = answer.get("routes").and_then(Value::as_array);
    let wanted = args.filter.as_deref().unwrap_or_default();
    let of = |route: &Value, name: &str| route.get(name).map(plain).unwrap_or_default();
    let routes: Vec<&Value> = all
        .into_iter()
        .flatten()
        .filter(|route| of(route, "path").contains(wanted))
        .collect();
    if routes.is_empty() {
        return Err(Failure::new(format!("no route has `{wanted}` in its path"))
            .hint("`echopilot api` lists all routes"));
    }
    if output.json() {
        output.value(&serde_json::json!({ "routes": routes }))?;
        return Ok(DONE);
    }
    let address = api.address();
    let mut first = true;
    let for_admins = routes.iter().any(|route| of(route, "scope") == "admin");
    for route in routes {
        if !std::mem::take(&mut first) {
            output.line("")?;
        }
        let name = format!("{} {}", of(route, "method"), of(route, "path"));
        let name = output.paint(Style::Bold, &name);
        output.line(&format!("{name}  ({})", of(route, "scope")))?;
        output.line(&format!("  {}", of(route, "about")))?;
        let example = of(route, "example").replace(WRITTEN, &address);
        if !example.is_empty() {
            output.line(&format!("  {example}"))?;
        }
    }
    if for_admins {
        output.talk("");
        output.talk("ADMIN_TOKEN is a key of role admin: `echopilot key new admin` makes one");
    }
    Ok(DONE)
}
