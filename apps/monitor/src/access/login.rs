//! The form by which people log in: the page shows it to whoever may not look yet.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Extension, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use framewire_signal::Connected;
use serde::Deserialize;

use super::{Access, Refusal};

const PAGE: &str = include_str!("../page/login.html");
/// Where it says what was wrong.
const WRONG: &str = "<!-- wrong -->";

/// What the form sends. Not shown: it may be right.
#[derive(Deserialize)]
pub(crate) struct Login {
    secret: String,
}

/// Answers the form: with a pass and the way back to the page, or with the form again.
pub(crate) async fn log_in(
    State(access): State<Arc<Access>>,
    Extension(connected): Extension<Connected>,
    Form(login): Form<Login>,
) -> Response {
    // As from a place where it was copied.
    match access.judge(login.secret.trim().as_bytes(), &connected) {
        Err(refusal) => form(refusal, false),
        Ok(pass) => {
            // Of the same directory: the page may be below a path of a proxy's.
            let back = (header::LOCATION, HeaderValue::from_static("./"));
            (StatusCode::SEE_OTHER, [back, (header::SET_COOKIE, pass)]).into_response()
        }
    }
}

/// The form, which says what was wrong unless `is_first`.
pub(super) fn form(refusal: Refusal, is_first: bool) -> Response {
    let (status, _) = refusal.says();
    let words = match refusal {
        _ if is_first => "",
        Refusal::Secret | Refusal::Node => "That is neither the view token nor the view password of this server.",
        Refusal::TooManyGuesses => "Too many wrong ones came from your address. Wait a second.",
        Refusal::NoRandom => "The server has no random numbers just now. Try again.",
    };
    let words = if words.is_empty() { String::new() } else { format!("<p class=\"wrong\" role=\"alert\">{words}</p>") };
    let mut response = (status, Html(PAGE.replace(WRONG, &words))).into_response();
    refusal.mark(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_has_a_place_for_what_was_wrong_and_asks_nobody_else_for_anything() {
        assert_eq!(PAGE.matches(WRONG).count(), 1);
        for elsewhere in ["://", "href=\"/", "src=\"/", "action=\"/", "<script", "style=\""] {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn what_was_wrong_is_said_with_the_status_that_programs_read() {
        for (refusal, is_first, status) in
            [(Refusal::Secret, true, 401), (Refusal::Secret, false, 401), (Refusal::TooManyGuesses, false, 429)]
        {
            let response = form(refusal, is_first);
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
        }
    }
}
