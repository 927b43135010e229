//! What goes wrong, in the shape that OpenAI's clients know.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    parameter: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Problem {
            status,
            message: message.into(),
            parameter: None,
        }
    }

    /// A parameter that is not what it should be.
    pub fn parameter(name: &str, message: impl Into<String>) -> Self {
        Problem {
            parameter: Some(name.into()),
            ..Problem::new(StatusCode::BAD_REQUEST, message)
        }
    }

    pub fn busy() -> Self {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests wait already; try again later",
        )
    }

    pub fn stopping() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
    }

    /// The body of the answer.
    pub fn json(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            s if s.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {
            "message": self.message,
            "type": kind,
            "param": self.parameter,
            "code": self.status.as_u16(),
        }})
    }
}

/// What the library refuses is the client's mistake if it is an argument, else the server's.
impl From<zmlx::Error> for Problem {
    fn from(error: zmlx::Error) -> Self {
        match error {
            zmlx::Error::Argument {
                argument, message, ..
            } => Problem::parameter(&argument, message),
            other => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, other.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
