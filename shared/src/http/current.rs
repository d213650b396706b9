//! The request that is being answered, for code that has no request at hand: its id, and what goes with its answer
//! whatever that becomes. Absent outside of a request, and in tasks it spawned.

use std::cell::RefCell;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::request_id;

tokio::task_local! {
    pub(super) static CURRENT: Current;
}

/// What is known of it.
pub(super) struct Current {
    id: HeaderValue,
    along: RefCell<Vec<(HeaderName, HeaderValue)>>,
}

impl Current {
    /// A request of this id.
    pub(super) fn new(id: HeaderValue) -> Self {
        Self { id, along: RefCell::default() }
    }

    /// Writes into its answer what goes with it, over what stands there.
    pub(super) fn finish(&self, headers: &mut HeaderMap) {
        let along = self.along.take();
        headers.reserve(along.len() + 1);
        for (name, value) in along {
            headers.insert(name, value);
        }
        headers.insert(request_id::HEADER, self.id.clone());
    }
}

/// The id of the request.
pub fn id() -> Option<String> {
    CURRENT.try_with(|current| current.id.to_str().map(str::to_owned).ok()).ok().flatten()
}

/// Has a header go with the answer, be it a refusal, an error or none of the handler's making: for what belongs to the
/// caller rather than to what was asked. The last value of a name counts.
pub fn send_along(name: HeaderName, value: HeaderValue) {
    // Outside of a request there is no answer either.
    let _ = CURRENT.try_with(|current| current.along.borrow_mut().push((name, value)));
}
