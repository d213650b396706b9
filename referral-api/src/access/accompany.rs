//! What goes with whatever answer, for it belongs to the caller rather than to what was asked: what is left of their
//! budget, and the current nonce for whoever shows a proof (RFC 9449 §8.2, §9), so that who takes it up is not sent back
//! for it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::Response;
use futures::future::BoxFuture;
use shared::dpop::{DPOP, DPOP_NONCE};
use tower::layer::layer_fn;
use tower::{Layer, Service};

use super::budget::Spent;
use crate::state::AppState;

/// The layer. Not axum's `from_fn`, which copies and boxes what is within anew for every request.
pub fn accompany<S>(state: &AppState) -> impl Layer<S, Service = Accompanied<S>> + Clone + use<S> {
    let state = state.clone();
    layer_fn(move |inner| Accompanied { state: state.clone(), inner })
}

/// What [`accompany`] wraps.
#[derive(Clone)]
pub struct Accompanied<S> {
    state: AppState,
    inner: S,
}

impl<S> Service<Request> for Accompanied<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let wants_nonce = request.headers().contains_key(DPOP) && self.state.platform().config.dpop.require_nonce;
        let nonce_from = wants_nonce.then(|| self.state.clone());
        let spent = Spent::default();
        request.extensions_mut().insert(spent.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            spent.tell(answer.headers_mut());
            if let Some(state) = nonce_from
                && let Ok(nonce) = HeaderValue::try_from(state.nonces().issue(state.platform().clock.timestamp()))
            {
                answer.headers_mut().insert(DPOP_NONCE, nonce);
            }
            Ok(answer)
        })
    }
}
