//! How far somebody looks: at this server, or at all of its cluster.

use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;

/// `?scope=server`, which is the default, or `?scope=cluster`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Scope {
    #[default]
    Server,
    Cluster,
}

#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    scope: Scope,
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match Query::<Asked>::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(asked.scope),
            Err(_) => Err((StatusCode::BAD_REQUEST, "scope is server or cluster\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(uri: &str) -> Option<Scope> {
        let uri = uri.parse().unwrap();
        Query::<Asked>::try_from_uri(&uri).ok().map(|Query(asked)| asked.scope)
    }

    #[test]
    fn whoever_does_not_say_how_far_looks_at_the_server_alone() {
        assert_eq!(scope("/api/streams"), Some(Scope::Server));
        assert_eq!(scope("/api/streams?scope=server&other=1"), Some(Scope::Server));
        assert_eq!(scope("/api/streams?scope=cluster"), Some(Scope::Cluster));
        assert_eq!(scope("/api/streams?scope=world"), None);
    }
}
