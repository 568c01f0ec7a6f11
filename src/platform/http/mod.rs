//! HTTP: the routes as one table, and what stands between the socket and a handler.

mod answer;
mod call;
mod error;
mod extract;
mod refusal;
mod route;

pub use answer::{Answer, Body, Reply, json_bytes};
pub use call::{Call, Caller, Role, Scope};
pub use error::HttpError;
pub use extract::{BasedOn, JsonBody, QueryParams};
pub use route::{HotAnswer, HotCall, HotHandler, Route, Routes};
