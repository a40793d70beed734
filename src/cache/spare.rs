//! What a hit leaves over is the request: when its body is read from afar and breaks off there, the
//! request is made after all, and the rest of the body comes from where the answer does.
//!
//! It goes the way of any request through the cache, so many of them at once are one fetch, and what
//! is fetched is stored.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{BoxError, Service};

use super::{
    body::ResponseBody,
    exchange::{Answer, Exchange},
};
use crate::store::{Again, Elsewhere, Store, StoreError};

impl<S, I, Q, R> Exchange<S, I, Q>
where
    S: Store,
    I: Service<Request<Q>, Response = Response<R>> + Send + 'static,
    I::Future: Send + 'static,
    I::Error: Send + 'static,
    Q: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    /// Answers with what is stored. `before` is how many bytes of the whole come before it, where
    /// what is stored is a part.
    pub(super) fn hit(
        self: Box<Self>,
        mut res: Response<ResponseBody<R>>,
        before: u64,
    ) -> Answer<I, Q, R> {
        if !self.is_spare {
            res.body_mut().keep_spare(|| self.again(before));
        }
        Ok(res)
    }

    /// Asks for the whole, as if nobody had answered yet.
    fn again(mut self: Box<Self>, before: u64) -> Again {
        Box::new(move || {
            Box::pin(async move {
                self.is_spare = true;
                let headers = &mut self.parts.headers;
                self.core.policy.make_conditional(headers, None);
                let Ok(res) = self.look_up().await else {
                    return Err(StoreError::new("the origin cannot be asked for a body"));
                };
                if res.status() == StatusCode::PARTIAL_CONTENT {
                    return Err(StoreError::new("the origin sends a part of a body"));
                }
                Ok(Elsewhere::new(res.into_body().boxed_unsync(), before))
            })
        })
    }
}
