//! How the `openidconnect` crate sends its requests: through the guard, for a while, and up to a size.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use shared::outbound::{Outbound, ReadError, Refused, read_at_most};

/// A person waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Documents of a provider are small; a larger answer is not one.
const LARGEST: usize = 256 * 1024;

/// A request that got no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("the guard refuses the address: {0}")]
    Guard(#[from] Refused),
    #[error("no answer: {0}")]
    Unreachable(reqwest::Error),
    #[error(transparent)]
    Body(#[from] ReadError),
    #[error("the address is no URL")]
    Address,
    #[error(transparent)]
    Http(#[from] http::Error),
}

pub(super) struct Http(pub(super) Outbound);

impl Http {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url = url::Url::parse(&parts.uri.to_string()).map_err(|_| HttpError::Address)?;
        // A code or a token may stand in the URL: no error tells it.
        let plain = |error: reqwest::Error| HttpError::Unreachable(error.without_url());
        let request = self.0.guarded().request(parts.method, &url)?;
        let request = request.headers(parts.headers).body(body).timeout(PATIENCE);
        let response = request.send().await.map_err(plain)?;
        let mut answer = http::Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = response.headers().clone();
        }
        let body = read_at_most(response, LARGEST).await?;
        Ok(answer.body(body.to_vec())?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
