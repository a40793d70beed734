//! The future of [`Query`](super::Query).

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

pin_project! {
    /// Resolves to the inner service's answer.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, T, E> {
        #[pin]
        inner: Inner<F, T, E>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<F, T, E> {
        Direct { #[pin] future: F },
        Gathering { future: Boxed<T, E> },
    }
}

impl<F, T, E> ResponseFuture<F, T, E> {
    pub(super) fn direct(future: F) -> Self {
        ResponseFuture {
            inner: Inner::Direct { future },
        }
    }

    pub(super) fn gathering(future: impl Future<Output = Result<T, E>> + Send + 'static) -> Self {
        let future = Box::pin(future);
        ResponseFuture {
            inner: Inner::Gathering { future },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F, T, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.project() {
            InnerProj::Direct { future } => future.poll(cx),
            InnerProj::Gathering { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, T, E> fmt::Debug for ResponseFuture<F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
