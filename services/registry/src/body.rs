//! Request bodies, read to their end even where they are too large: a client that is cut off while it sends
//! never sees why.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::HttpBody;
use axum::extract::{FromRequest, Request};
use axum::response::Response;

use crate::http::reply;
use crate::refusal::Refusal;

/// Largest request body that is looked at, in bytes: the largest schema, escaped as a JSON string.
const LARGEST: usize = 1024 * 1024;

/// A body that was sent.
pub(crate) struct Sent(pub(crate) Vec<u8>);

impl<S: Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Response> {
        let mut body = request.into_body();
        let (mut read, mut length) = (Vec::new(), 0_usize);
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|why| {
                reply(Err(Refusal::new(42209, format!("the request body could not be read to its end: {why}"))))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length <= LARGEST {
                read.extend_from_slice(&data);
            }
        }
        if length > LARGEST {
            let what = format!("the request body has {length} bytes; at most {LARGEST} are looked at");
            return Err(reply(Err(Refusal::new(42209, what))));
        }
        Ok(Self(read))
    }
}
