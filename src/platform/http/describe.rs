//! What the table says about itself: the index at `GET /api` and the OpenAPI 3.1 document. Made
//! once, from the rows that are really served, so neither can name a route that is not there.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Choice, Condition, HotAnswer, HotHandler, Route, Routes, Scope, Table, json_bytes};

/// The two descriptions, filled in once the table is whole.
#[derive(Debug, Clone, Default)]
pub struct Descriptions {
    index: Arc<OnceLock<Bytes>>,
    openapi: Arc<OnceLock<Bytes>>,
}

impl Descriptions {
    /// Their rows.
    pub fn routes(&self) -> Routes {
        let about = "the OpenAPI 3.1 document of this API";
        vec![
            Route::get("/api", Scope::Public, "all routes, with an example of each")
                .hot(prepared(&self.index)),
            Route::get("/openapi.json", Scope::Public, about).hot(prepared(&self.openapi)),
            Route::get("/public/openapi.json", Scope::Public, about).hot(prepared(&self.openapi)),
        ]
    }

    /// Fills them in.
    pub fn complete(&self, table: &Table) {
        self.index.get_or_init(|| json_bytes(&index(table)));
        self.openapi.get_or_init(|| json_bytes(&openapi(table)));
    }
}

fn prepared(text: &Arc<OnceLock<Bytes>>) -> HotHandler {
    let text = Arc::clone(text);
    Arc::new(move |_call| {
        let text = text.get().cloned().unwrap_or_default();
        HotAnswer::Now(Ok(super::json(text)))
    })
}

/// The list of routes: `{"ok":true,"count":…,"routes":[…]}`.
pub fn index(table: &Table) -> Value {
    let routes: Vec<Value> = table.rows().iter().map(index_row).collect();
    json!({ "ok": true, "count": routes.len(), "routes": routes })
}

fn index_row(row: &Route) -> Value {
    json!({
        "method": row.method.as_str(),
        "path": row.path,
        "scope": row.scope.name(),
        "about": row.about,
        "example": example(row),
    })
}

/// The shell command that makes an example call of `row`.
pub fn example(row: &Route) -> String {
    let mut text = "curl -s".to_owned();
    text.push_str(match row.scope {
        Scope::Public => "",
        Scope::Admin => " -H \"Authorization: Bearer $ADMIN_TOKEN\"",
        Scope::Read | Scope::Operate => " -H \"X-Dash-Key: $DASHBOARD_KEY\"",
    });
    if !row.body.is_empty() {
        text.push_str(" -H 'Content-Type: application/json' -d '");
        text.push_str(row.body);
        text.push('\'');
    } else if row.method != http::Method::GET {
        text.push_str(" -X ");
        text.push_str(row.method.as_str());
    }
    let mark = if row.query.is_empty() { "" } else { "?" };
    text + &format!(" 'http://127.0.0.1:5000{}{mark}{}'", row.path, row.query)
}

/// The OpenAPI 3.1 document of `table`.
pub fn openapi(table: &Table) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert("Problem".to_owned(), problem_schema());
    for row in table.rows() {
        let operation = operation(row, &mut schemas);
        let methods = paths.entry(row.path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(row.method.as_str().to_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "echopilot",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "dashKey": { "type": "apiKey", "in": "header", "name": "X-Dash-Key" },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
            "headers": {
                "RateLimit": header("requests left (`r`) and seconds until all are back (`t`)"),
                "RateLimit-Policy": header("requests (`q`) in a window of seconds (`w`)"),
                "ETag": header("revision of the file, quoted"),
                "X-Request-Id": header("names this request in answers and logs"),
            },
            "responses": {
                "Problem": {
                    "description": "what failed, and the cure",
                    "content": { "application/problem+json": {
                        "schema": { "$ref": "#/components/schemas/Problem" }
                    }},
                },
                "BareProblem": {
                    "description": "what failed, and the cure: a string where the status is 400, \
                        404 or 500",
                    "content": { "application/json": { "schema": {
                        "anyOf": [
                            { "type": "string" }, { "$ref": "#/components/schemas/Problem" },
                        ],
                    }}},
                },
            },
        },
    })
}

fn header(about: &str) -> Value {
    json!({ "description": about, "schema": { "type": "string" } })
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "required": ["ok", "error", "title", "status", "detail", "request_id"],
        "properties": {
            "ok": { "const": false },
            "error": { "type": "string", "description": "stable machine word" },
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "hint": { "type": "string", "description": "the cure" },
            "request_id": { "type": "string" },
        },
    })
}

fn operation(row: &Route, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "summary": row.about,
        "operationId": operation_id(row),
        "x-scope": row.scope.name(),
        "parameters": parameters(row),
        "responses": responses(row, schemas),
        "security": match row.scope {
            Scope::Public => json!([]),
            _ => json!([{ "dashKey": [] }, { "bearer": [] }, { "apiKey": [] }]),
        },
    });
    if let Some(takes) = row.takes {
        let mut content = Map::new();
        let mut json_body = json!({ "schema": hoisted(takes().to_value(), schemas) });
        if let Ok(example) = serde_json::from_str::<Value>(row.body) {
            json_body["example"] = example;
        }
        content.insert("application/json".to_owned(), json_body);
        for kind in row.also_takes {
            let about = "one JSON body a line";
            let schema = json!({ "type": "string", "description": about });
            content.insert((*kind).to_owned(), json!({ "schema": schema }));
        }
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn operation_id(row: &Route) -> String {
    let words = row
        .path
        .split(['/', '{', '}', '.', '-'])
        .filter(|word| !word.is_empty());
    let mut id = row.method.as_str().to_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn parameters(row: &Route) -> Vec<Value> {
    let path = row
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let path = path.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let query = row.query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, example)| {
        json!({ "name": name, "in": "query", "schema": { "type": "string" }, "example": example })
    });
    let choices = row.choices.iter().map(choice);
    let condition = row.condition.map(|condition| {
        let (name, about) = match condition {
            Condition::Unmoved => ("If-Match", "the revision that the change is based on"),
            Condition::Moved => ("If-None-Match", "the revision that is known already"),
        };
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "header", "description": about, "schema": schema })
    });
    let query = path.chain(query).chain(choices);
    query.chain(condition).collect()
}

fn choice(choice: &Choice) -> Value {
    json!({
        "name": choice.name,
        "in": "query",
        "description": choice.about,
        "schema": {
            "type": "string",
            "enum": choice.values,
            "default": choice.values.first(),
        },
    })
}

fn responses(row: &Route, schemas: &mut Map<String, Value>) -> Value {
    let schema = match row.gives {
        Some(gives) => hoisted(gives().to_value(), schemas),
        None => json!({}),
    };
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } });
    if row.limited {
        for name in ["RateLimit", "RateLimit-Policy"] {
            headers[name] = json!({ "$ref": format!("#/components/headers/{name}") });
        }
    }
    if row.condition.is_some() {
        headers["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
    }
    let problem = match row.bare_errors {
        None => json!({ "$ref": "#/components/responses/Problem" }),
        Some(_) => json!({ "$ref": "#/components/responses/BareProblem" }),
    };
    let mut responses = json!({ "default": problem });
    match row.condition {
        Some(Condition::Unmoved) => responses["412"] = problem.clone(),
        Some(Condition::Moved) => {
            let about = "still at the revision that is known";
            responses["304"] = json!({ "description": about, "headers": headers });
        }
        None => {}
    }
    responses[row.success.as_str()] = json!({
        "description": "success",
        "headers": headers,
        "content": { row.media: { "schema": schema } },
    });
    if row.scope != Scope::Public {
        for status in ["401", "403"] {
            responses[status] = problem.clone();
        }
    }
    if row.limited {
        responses["429"] = problem;
    }
    responses
}

/// `schema` with its definitions moved to the document's components, where all share them.
fn hoisted(mut schema: Value, schemas: &mut Map<String, Value>) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        if let Some(Value::Object(definitions)) = members.remove("$defs") {
            for (name, definition) in definitions {
                let definition = hoisted(definition, schemas);
                schemas.insert(name, definition);
            }
        }
    }
    redirect(&mut schema);
    schema
}

fn redirect(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        *target = target.replacen("#/$defs/", "#/components/schemas/", 1);
                    }
                    other => redirect(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redirect),
        _ => {}
    }
}
