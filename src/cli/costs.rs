//! `echopilot costs`: what a month costs, as a table or CSV, and telling what was used.

use serde_json::{Map, Value, json};

use super::api::{Api, Ask};
use super::failure::{DONE, Failure, Outcome};
use super::output::{Output, Style, elements, of, safe};
use super::query::with_query;
use super::watch_args::{CostsReportArgs, CostsUsageVerb, CostsVerb, UsageAddArgs};

/// Columns of the CSV, by the names that FOCUS 1.2 has for them where it has any.
const COLUMNS: [&str; 11] = [
    "BillingPeriodStart",
    "ChargePeriodEnd",
    "ResourceName",
    "ChargeDescription",
    "ChargeCategory",
    "BilledCost",
    "BillingCurrency",
    "ConsumedQuantity",
    "ConsumedUnit",
    "IncludedQuantity",
    "BillableQuantity",
];

/// Does what was asked.
pub(super) fn run(verb: &CostsVerb, api: &Api, output: &mut Output) -> Outcome {
    match verb {
        CostsVerb::Report(args) => report(args, api, output),
        CostsVerb::Usage(CostsUsageVerb::Add(args)) => add(args, api, output),
    }
}

fn report(args: &CostsReportArgs, api: &Api, output: &mut Output) -> Outcome {
    let path = with_query("/api/costs", &[("month", args.month.as_deref())]);
    let answer = api.ask(&Ask::get(path))?;
    if args.csv {
        output.raw(csv(&answer).as_bytes())?;
    } else if output.json() {
        output.value(&answer)?;
    } else {
        table(&answer, output)?;
    }
    Ok(DONE)
}

fn table(answer: &Value, output: &mut Output) -> Result<(), Failure> {
    let (month, through) = (of(answer, "/month"), of(answer, "/through"));
    output.talk(&format!("{month}, up to {through} UTC"));
    if let Some(refused) = answer.get("refused").and_then(Value::as_str) {
        let warning = output.paint(Style::Yellow, &safe(refused));
        output.talk(&format!(
            "{warning}\nhint: `echopilot check` says what is wrong with it"
        ));
    }
    let rows: Vec<Vec<String>> = elements(answer, "lines")
        .map(|line| {
            let used = line.get("quantity").filter(|found| !found.is_null());
            let used = used.map_or_else(
                || tokens(line),
                |_| format!("{} {}", of(line, "/quantity"), of(line, "/unit")),
            );
            vec![
                of(line, "/item"),
                of(line, "/kind"),
                used,
                of(line, "/amount"),
                of(line, "/currency"),
            ]
        })
        .collect();
    if rows.is_empty() {
        output.talk("nothing costs anything in this month, by `configs/costs.json`");
        return rest(answer, output);
    }
    output.table(&["ITEM", "KIND", "USED", "COST", ""], &rows)?;
    output.line("")?;
    for total in elements(answer, "totals") {
        let (amount, currency) = (of(total, "/amount"), of(total, "/currency"));
        let sum = output.paint(Style::Bold, &format!("{amount} {currency}"));
        output.line(&sum)?;
    }
    for share in elements(answer, "allocation").flat_map(|one| elements(one, "shares")) {
        let unit = match of(share, "/unit") {
            none if none == "-" => "idle".to_owned(),
            unit => unit,
        };
        let (percent, amount) = (of(share, "/percent"), of(share, "/amount"));
        output.line(&format!("  {percent} % {unit}: {amount}"))?;
    }
    for (currency, each) in answer["per_1000_requests"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let each = each.as_str().unwrap_or_default();
        output.line(&format!("{each} {} for 1,000 requests", safe(currency)))?;
    }
    rest(answer, output)
}

/// Budgets, and what is in no line.
fn rest(answer: &Value, output: &mut Output) -> Result<(), Failure> {
    for budget in elements(answer, "budgets") {
        let reached = elements(budget, "reached_percent").filter_map(Value::as_u64);
        let reached = reached.max().unwrap_or(0);
        let mut line = format!(
            "budget `{}`: {} of {} {}",
            of(budget, "/budget"),
            of(budget, "/spent/amount"),
            of(budget, "/bound/amount"),
            of(budget, "/bound/currency")
        );
        if reached > 0 {
            let style = if reached >= 100 {
                Style::Red
            } else {
                Style::Yellow
            };
            let told = output.paint(style, &format!("{reached} % reached"));
            line = format!("{line}, {told}");
        }
        output.line(&line)?;
    }
    if of(answer, "/late") != "0" {
        output.talk(&format!("told late: {}", of(answer, "/late")));
    }
    for model in elements(answer, "unpriced") {
        let model = model.as_str().unwrap_or_default();
        output.talk(&format!("no price for `{}`: it is in no line", safe(model)));
    }
    Ok(())
}

fn tokens(line: &Value) -> String {
    let count = |name: &str| line.get(name).and_then(Value::as_u64);
    match (
        count("input_tokens"),
        count("output_tokens"),
        count("cached_tokens"),
    ) {
        (Some(input), Some(output), Some(cached)) => {
            format!("{input} in, {output} out, {cached} cached")
        }
        _ => "-".to_owned(),
    }
}

/// The lines as CSV (RFC 4180).
fn csv(answer: &Value) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    let begin = format!("{}-01", of(answer, "/month"));
    for line in elements(answer, "lines") {
        let plain = |name: &str| {
            let found = line.get(name).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let words = [
            &begin,
            &of(answer, "/through"),
            &plain("item"),
            &plain("description"),
        ];
        let mut cells: Vec<String> = words.into_iter().map(|word| cell(word)).collect();
        cells.push(cell(match &*plain("kind") {
            "fixed" => "Purchase",
            _ => "Usage",
        }));
        // Numbers are ours, and stay numbers: a credit may begin with a minus.
        cells.push(plain("amount"));
        cells.push(cell(&plain("currency")));
        let counted = ["input_tokens", "output_tokens", "cached_tokens"];
        let tokens = counted.map(|name| line.get(name).and_then(Value::as_u64));
        if tokens.iter().all(Option::is_some) {
            let sum: u64 = tokens.into_iter().flatten().sum();
            cells.extend([
                sum.to_string(),
                cell("tokens"),
                String::new(),
                String::new(),
            ]);
        } else {
            cells.push(plain("quantity"));
            cells.push(cell(&plain("unit")));
            cells.extend([plain("included"), plain("billable")]);
        }
        text += &cells.join(",");
        text += "\r\n";
    }
    text
}

/// One cell of words. What a spreadsheet would take for a formula begins with a quote mark then,
/// and stands in quotes.
fn cell(text: &str) -> String {
    let steers = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if steers { "'" } else { "" };
    if steers || text.contains([',', '"', '\n', '\r']) {
        return format!("\"{guard}{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

fn add(args: &UsageAddArgs, api: &Api, output: &mut Output) -> Outcome {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    if args.model {
        put("model", Some(json!(args.item)));
        put("input_tokens", args.input.map(Value::from));
        put("output_tokens", args.output.map(Value::from));
        put("cached_tokens", args.cached.map(Value::from));
    } else {
        put("item", Some(json!(args.item)));
        put("quantity", args.quantity.as_ref().map(|text| json!(text)));
    }
    put("at", args.at.as_ref().map(|text| json!(text)));
    put("id", Some(json!(args.id)));
    let answer = api.ask(&Ask::post("/api/costs/usage", body.into()))?;
    if output.json() {
        output.value(&answer)?;
        return Ok(DONE);
    }
    for result in elements(&answer, "results") {
        let what = match (&result["repeated"], &result["late"]) {
            (Value::Bool(true), _) => "was on record already, in",
            (_, Value::Bool(true)) => "is on record, late, in",
            _ => "is on record in",
        };
        let month = of(result, "/month");
        output.line(&format!("`{}` {what} {month}", of(result, "/id")))?;
        output.next(&format!("echopilot costs report --month {month}"));
    }
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h15_a_cell_is_no_formula() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=1+1", "\"'=1+1\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
