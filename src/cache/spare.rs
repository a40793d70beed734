//! What a hit leaves over is the request: when its body is read from afar and breaks off there, the
//! request is made after all, and the rest of the body comes from where the answer does.
//!
//! It goes the way of any request through the cache, so many of them at once are one fetch, and what
//! is fetched is stored. Where the request itself is used up, as what is stored was just validated, or
//! is being, a copy of it is left over, if there can be one.

use std::sync::Arc;

use http::{Response, StatusCode};
use http_body_util::BodyExt;

use super::{
    body::ResponseBody,
    exchange::{Answer, Exchange, Inner},
};
use crate::store::{Again, Elsewhere, Entry, Store, StoreError};

/// Answers with what is stored; `twin` is what is left over.
pub(super) fn hit_by<S: Store, I: Inner<Q>, Q: Send + 'static>(
    twin: Option<Box<Exchange<S, I, Q>>>,
    res: Response<ResponseBody<I::Body>>,
) -> Answer<I, Q> {
    match twin {
        Some(twin) => twin.hit(res, 0),
        None => Ok(res),
    }
}

impl<S: Store, I: Inner<Q>, Q: Send + 'static> Exchange<S, I, Q> {
    /// The same request once more, for a response with what is stored here, where that may come to
    /// need it: the body is elsewhere, and that of the request can be copied.
    pub(super) fn twin(&self, entry: &Entry) -> Option<Box<Self>> {
        match entry.body.data() {
            Some(_) => None,
            None => self.copy(),
        }
    }

    /// The same request once more, if its body can be copied.
    pub(super) fn copy(&self) -> Option<Box<Self>> {
        let copy = self
            .copier
            .as_ref()?
            .downcast_ref::<fn(&Q) -> Option<Q>>()?;
        Some(Box::new(Exchange {
            core: Arc::clone(&self.core),
            inner: self.inner.clone(),
            parts: self.parts.clone(),
            body: copy(&self.body)?,
            copier: None,
            is_spare: self.is_spare,
        }))
    }

    /// Answers with what is stored. `before` is how many bytes of the whole come before it, where
    /// what is stored is a part.
    pub(super) fn hit(
        self: Box<Self>,
        mut res: Response<ResponseBody<I::Body>>,
        before: u64,
    ) -> Answer<I, Q> {
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
