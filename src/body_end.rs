//! A body that tells once how it ended: at its end, in an error, or dropped before either.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was read, trailers included where there were any.
    Complete,
    /// It broke off in an error.
    Failed,
    /// Its reader dropped it before the end.
    Dropped,
}

/// Who is told of the end of a body whose error is `E`. Every `FnOnce(End, u64)` will do; a type
/// of one's own can be named, and sees the error.
pub trait OnEnd<E> {
    /// Told once: how the body ended, how many bytes of data passed, and the error if it failed.
    fn on_end(self, end: End, bytes: u64, error: Option<&E>);
}

impl<E, F: FnOnce(End, u64)> OnEnd<E> for F {
    fn on_end(self, end: End, bytes: u64, _: Option<&E>) {
        self(end, bytes);
    }
}

pin_project! {
    /// Wraps a body and tells its [`OnEnd`] once of the [`End`] and the data bytes that passed.
    #[derive(Debug)]
    pub struct BodyEnd<B, F>
    where
        B: Body,
        F: OnEnd<B::Error>,
    {
        #[pin]
        inner: B,
        bytes: u64,
        on_end: Option<F>,
    }

    impl<B, F> PinnedDrop for BodyEnd<B, F>
    where
        B: Body,
        F: OnEnd<B::Error>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(on_end) = this.on_end.take() {
                on_end.on_end(End::Dropped, *this.bytes, None);
            }
        }
    }
}

impl<B, F> BodyEnd<B, F>
where
    B: Body,
    F: FnOnce(End, u64),
{
    /// Watches `inner`, and calls `on_end` with the [`End`] and the bytes that passed.
    pub fn new(inner: B, on_end: F) -> Self {
        BodyEnd::told_to(inner, on_end)
    }
}

impl<B, F> BodyEnd<B, F>
where
    B: Body,
    F: OnEnd<B::Error>,
{
    /// Watches `inner`. A body that is at its end already is told of at once: nobody polls it.
    pub fn told_to(inner: B, on_end: F) -> Self {
        let on_end = if inner.is_end_stream() {
            on_end.on_end(End::Complete, 0, None);
            None
        } else {
            Some(on_end)
        };
        BodyEnd {
            inner,
            bytes: 0,
            on_end,
        }
    }
}

impl<B, F> Body for BodyEnd<B, F>
where
    B: Body<Data = Bytes>,
    F: OnEnd<B::Error>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let (end, error) = match &frame {
            Some(Ok(frame)) => {
                *this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // The reader need not poll again once the inner body says that it is done.
                let done = this.inner.is_end_stream();
                (done.then_some(End::Complete), None)
            }
            Some(Err(error)) => (Some(End::Failed), Some(error)),
            None => (Some(End::Complete), None),
        };
        if let Some(end) = end
            && let Some(on_end) = this.on_end.take()
        {
            on_end.on_end(end, *this.bytes, error);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http_body_util::{BodyExt, Empty, Full};

    use super::*;

    type Told = Arc<Mutex<Vec<(End, u64)>>>;

    fn ear() -> (Told, impl FnOnce(End, u64)) {
        let told = Told::default();
        let ear = told.clone();
        (told, move |end, bytes| {
            ear.lock().unwrap().push((end, bytes))
        })
    }

    #[tokio::test]
    async fn tells_of_the_end_on_the_last_frame_and_only_once() {
        let (told, on_end) = ear();
        let mut body = BodyEnd::new(Full::new(Bytes::from_static(b"four")), on_end);
        assert!(body.frame().await.is_some());
        assert_eq!(*told.lock().unwrap(), [(End::Complete, 4)]);
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(told.lock().unwrap().len(), 1);
    }

    #[test]
    fn tells_of_a_drop_before_the_end() {
        let (told, on_end) = ear();
        drop(BodyEnd::new(Full::new(Bytes::from_static(b"x")), on_end));
        assert_eq!(*told.lock().unwrap(), [(End::Dropped, 0)]);
    }

    #[test]
    fn tells_of_an_empty_body_that_nobody_polls() {
        let (told, on_end) = ear();
        let body = BodyEnd::new(Empty::<Bytes>::new(), on_end);
        assert_eq!(*told.lock().unwrap(), [(End::Complete, 0)]);
        drop(body);
        assert_eq!(told.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn tells_of_an_error_and_shows_it() {
        struct Torn;
        impl Body for Torn {
            type Data = Bytes;
            type Error = &'static str;
            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
                Poll::Ready(Some(Err("torn")))
            }
        }
        struct Ear(Arc<Mutex<String>>);
        impl OnEnd<&'static str> for Ear {
            fn on_end(self, end: End, bytes: u64, error: Option<&&'static str>) {
                *self.0.lock().unwrap() = format!("{end:?} {bytes} {error:?}");
            }
        }
        let told = Arc::default();
        let body = BodyEnd::told_to(Torn, Ear(Arc::clone(&told)));
        assert_eq!(body.collect().await.unwrap_err(), "torn");
        assert_eq!(*told.lock().unwrap(), "Failed 0 Some(\"torn\")");
    }
}
