//! The routes of all capabilities, ready to be asked: which row answers this method and path?

use std::collections::HashMap;
use std::fmt::{self, Debug};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use http::Method;

use super::{HttpError, Route, Routes};

/// Methods that are known at all; every other one is refused before anything else (rule H4).
const KNOWN: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// The table.
pub struct Table {
    rows: Vec<Route>,
    /// Paths without parameters, which are nearly all: one look-up.
    exact: HashMap<&'static str, Methods>,
    params: matchit::Router<Methods>,
    /// How the paths begin under which errors are bare.
    bare: Vec<&'static str>,
    router: Router,
}

/// Rows of one path, by method.
type Methods = Vec<(Method, usize)>;

/// Why a table cannot be built: two rows claim the same, or a row has nobody to answer.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Two rows for one method and path.
    #[error("route `{method} {path}` is declared twice")]
    Twice {
        /// Its method.
        method: Method,
        /// Its path.
        path: &'static str,
    },
    /// A row without handler.
    #[error("route `{method} {path}` has no handler")]
    Unanswered {
        /// Its method.
        method: Method,
        /// Its path.
        path: &'static str,
    },
    /// A path that the router cannot take.
    #[error("route `{path}` has a path that cannot be matched")]
    Path {
        /// The path.
        path: &'static str,
        /// What is wrong with it.
        #[source]
        source: matchit::InsertError,
    },
}

impl Table {
    /// A table of `rows`.
    pub fn new(rows: Routes) -> Result<Self, TableError> {
        let mut by_path: Vec<(&'static str, Methods)> = Vec::new();
        let mut router = Router::new();
        for (index, row) in rows.iter().enumerate() {
            let (method, path) = (row.method.clone(), row.path);
            if row.handler.is_none() && row.hot.is_none() {
                return Err(TableError::Unanswered { method, path });
            }
            let known = by_path.iter().position(|(known, _)| *known == path);
            let place = known.unwrap_or_else(|| {
                by_path.push((path, Vec::new()));
                by_path.len() - 1
            });
            let Some((_, methods)) = by_path.get_mut(place) else {
                continue;
            };
            if methods.iter().any(|(known, _)| *known == method) {
                return Err(TableError::Twice { method, path });
            }
            methods.push((method, index));
            if let Some(handler) = row.handler.clone().filter(|_| row.hot.is_none()) {
                router = router.route(path, handler);
            }
        }
        let mut exact = HashMap::new();
        let mut params = matchit::Router::new();
        for (path, methods) in by_path {
            if path.contains('{') {
                let inserted = params.insert(path, methods);
                inserted.map_err(|source| TableError::Path { path, source })?;
            } else {
                exact.insert(path, methods);
            }
        }
        let mut bare: Vec<_> = rows.iter().filter_map(|row| row.bare_errors).collect();
        bare.sort_unstable();
        bare.dedup();
        Ok(Self {
            rows,
            exact,
            params,
            bare,
            // Bodies are bounded before the router sees them; axum's own 2 MB would come on top.
            router: router.layer(DefaultBodyLimit::disable()),
        })
    }

    /// All rows, in the order in which they were declared.
    pub fn rows(&self) -> &[Route] {
        &self.rows
    }

    /// Rows that are answered by axum, as its router.
    pub(super) fn router(&self) -> Router {
        self.router.clone()
    }

    /// Whether errors at `path` are told as [`Route::bare_errors`] says.
    pub(super) fn has_bare_errors(&self, path: &str) -> bool {
        self.bare.iter().any(|prefix| path.starts_with(prefix))
    }

    /// The row for `method` and `path`, with its number.
    pub fn find(&self, method: &Method, path: &str) -> Result<(usize, &Route), HttpError> {
        let found = self.exact.get(path);
        let methods = found.or_else(|| self.params.at(path).ok().map(|found| found.value));
        let Some(methods) = methods else {
            return Err(self.no_such_path(method, path));
        };
        let wanted = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let index = methods
            .iter()
            .find(|(known, _)| known == wanted)
            .map(|(_, index)| *index);
        let row = index.and_then(|index| Some((index, self.rows.get(index)?)));
        row.ok_or_else(|| HttpError::method_not_allowed(method, &allow(methods)))
    }

    /// The error for a path that has no row. `*` and a bare host are no paths at all: the first
    /// is for OPTIONS, which no row has, the second for CONNECT.
    fn no_such_path(&self, method: &Method, path: &str) -> HttpError {
        let is_path = path.starts_with('/');
        if !KNOWN.contains(method) || !is_path && *method == Method::OPTIONS {
            return HttpError::method_not_allowed(method, "GET, HEAD, POST");
        }
        if is_path {
            return self.not_found(path);
        }
        HttpError::bad_request("bad_target", "the request target does not begin with `/`")
    }

    fn not_found(&self, path: &str) -> HttpError {
        let error = HttpError::not_found("route_not_found", "there is nothing at this path");
        let known = self.rows.iter().map(|row| row.path);
        match crate::base::names::nearest(path, known) {
            Some(near) => error.with("nearest", near).hint(format!(
                "did you mean `{near}`? `GET /api` lists all routes"
            )),
            None => error.hint("`GET /api` lists all routes"),
        }
    }
}

/// The value of `Allow`.
fn allow(methods: &Methods) -> String {
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.join(", ")
}

impl Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.rows).finish()
    }
}
