//! HTTP: the routes as one table, and what stands between the socket and a handler.

mod answer;
mod body;
mod call;
mod describe;
mod edge;
mod error;
mod extract;
mod finish;
mod guard;
mod intake;
mod patience;
mod refusal;
mod route;
mod rules;
mod server;
mod spare;
mod stream;
mod table;

pub use answer::{Answer, Endless, Finished, Reply, json, json_bytes, prepared};
pub use body::Body;
pub use call::{Call, Caller, Role, Scope};
pub use describe::{Descriptions, example, index, openapi};
pub use error::HttpError;
pub use extract::{BasedOn, JsonBody, QueryParams};
pub use route::{Choice, Condition, HotAnswer, HotCall, HotHandler, Route, Routes};
pub use rules::{HttpRules, InForce, LiveRules, Network, client_address};
pub use server::{Server, ServerParts};
pub use table::{Table, TableError};
