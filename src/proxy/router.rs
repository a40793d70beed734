//! Which part of the program answers: one match on the path.

use std::{
    convert::Infallible,
    ops::ControlFlow::{self, Break, Continue},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, request};
use http_body::Body;
use http_body_util::{Either, Empty};
use pin_project_lite::pin_project;
use tower::{BoxError, Service, ServiceExt};

use super::{
    access::{Access, Entrance, Serves},
    admin::Admin,
    body::Spliced,
    docs::Docs,
    envelope::Envelope,
    error::ApiError,
    explain::Explain,
    fields::{self, Unkeyed},
    figures::MetricsPage,
    forward, framing,
    health::Health,
    limits::{Bounds, Limit},
    origin::Origin,
    rescue::Rescued,
    trailers::Checked,
};

/// The body of a request to the stack: the client's, or none.
pub(super) type RequestBody<R> = Either<Checked<R>, Nothing>;

/// The body of a response: larder's own, or what the stack answers.
pub(super) type ResponseBody<B> = Either<Spliced, B>;

/// No body.
pub(super) type Nothing = Empty<Bytes>;

/// The method that makes larder forget what it keeps of a path.
const PURGE: &str = "PURGE";

const READ: &str = "GET, HEAD";

/// What is read and thrown away of a request body, where none is wanted.
const UNWANTED_BODY: u64 = 64 * 1024;

/// Everything that larder answers with itself.
#[derive(Clone, Debug)]
pub(super) struct Own<S> {
    pub(super) envelope: Envelope<S>,
    pub(super) admin: Admin,
    pub(super) explain: Explain,
    pub(super) metrics: MetricsPage,
    pub(super) docs: Docs,
    pub(super) health: Health,
    pub(super) bounds: Bounds,
    pub(super) unkeyed: Unkeyed,
}

/// Hands a request to the one that answers it.
#[derive(Debug)]
pub(super) struct Router<S> {
    parts: Arc<Parts<S>>,
    entrance: Entrance,
}

#[derive(Debug)]
struct Parts<S> {
    /// Empty, or `/path`.
    prefix: String,
    access: Access,
    own: Own<S>,
    origin: Option<Origin>,
    stack: S,
}

/// What does not go on to the origin.
enum Aside {
    Answered(Response<Spliced>),
    Own(Route, request::Parts),
    Purge(Uri),
}

pin_project! {
    /// What the stack answers.
    struct Forwarded<S, F> {
        parts: Arc<Parts<S>>,
        #[pin]
        answer: F,
    }
}

/// What larder itself answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Proxy,
    Cache,
    Metrics,
    Health,
    OpenApi,
    Docs(String),
}

// === impl Route ===

impl Route {
    /// Which one has this path, at this listener.
    pub(super) fn at(listener: Serves, prefix: &str, path: &str) -> Option<Route> {
        Route::of(prefix, path).filter(|route| route.is_at(listener))
    }

    fn of(prefix: &str, path: &str) -> Option<Route> {
        Some(match path.strip_prefix(prefix)? {
            "/proxy" => Route::Proxy,
            "/cache" => Route::Cache,
            "/metrics" => Route::Metrics,
            "/healthz" => Route::Health,
            "/openapi.json" => Route::OpenApi,
            "/docs" => Route::Docs(String::new()),
            below => Route::Docs(below.strip_prefix("/docs/")?.to_owned()),
        })
    }

    fn is_at(&self, listener: Serves) -> bool {
        match listener {
            Serves::All => true,
            Serves::Proxied => *self == Route::Proxy,
            Serves::Controls => *self != Route::Proxy,
        }
    }
}

// === impl Router ===

impl<S> Router<S> {
    /// `stack` answers what the own parts do not, where there is an origin.
    pub(super) fn new(
        prefix: String,
        access: Access,
        own: Own<S>,
        origin: Option<Origin>,
        stack: S,
    ) -> Self {
        let parts = Parts {
            prefix,
            access,
            own,
            origin,
            stack,
        };
        Router {
            parts: Arc::new(parts),
            entrance: Entrance {
                serves: Serves::All,
                near: false,
            },
        }
    }

    /// The same, for what comes in there.
    pub(super) fn at(&self, entrance: Entrance) -> Self {
        Router {
            entrance,
            ..self.clone()
        }
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Router {
            parts: self.parts.clone(),
            entrance: self.entrance,
        }
    }
}

impl<S, R, B> Service<Request<R>> for Router<S>
where
    S: Service<Request<RequestBody<R>>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Body + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let parts = Arc::clone(&self.parts);
        let is_head = *request.method() == Method::HEAD;
        match parts.route(request, self.entrance) {
            Continue(request) => {
                let answer = parts.stack.clone().oneshot(request);
                Box::pin(Forwarded { parts, answer })
            }
            Break(aside) => Box::pin(async move {
                let own = parts.answer(aside).await;
                // RFC 9110 §9.3.2: the head that GET has, its Content-Length included.
                let own = match is_head {
                    true => own.map(|_| Spliced::empty()),
                    false => own,
                };
                Ok(own.map(Either::Left))
            }),
        }
    }
}

impl<S> Parts<S> {
    /// The request to the origin, if it is one.
    fn route<R: Body>(
        &self,
        mut request: Request<R>,
        entrance: Entrance,
    ) -> ControlFlow<Aside, Request<RequestBody<R>>> {
        fields::remove_named(request.headers_mut());
        self.own.unkeyed.remove(request.headers_mut());
        let route = Route::at(entrance.serves, &self.prefix, request.uri().path());
        let purge = route.is_none() && request.method().as_str() == PURGE;
        if let Err(error) = framing::check(&request, &self.own.bounds) {
            let refusal = framing::closing(error.into_response(), request.version());
            return Break(Aside::Answered(refusal));
        }
        if let Err(error) = self.admit(route.as_ref(), purge, entrance, &mut request) {
            return Break(Aside::Answered(error.into_response()));
        }
        // hyper reads and drops a body that nobody wants, or closes the connection.
        if let Some(route) = route {
            return Break(match framing::check_length(&request, UNWANTED_BODY) {
                Ok(()) => Aside::Own(route, request.into_parts().0),
                Err(error) => {
                    self.own.bounds.met(Limit::Content);
                    Aside::Answered(error.into_response())
                }
            });
        }
        if let Some(answer) = forward::count_down(&mut request) {
            return Break(Aside::Answered(answer));
        }
        match self.forward(request) {
            // hyper reads and drops its body.
            Ok(request) if purge => Break(Aside::Purge(request.into_parts().0.uri)),
            Ok(request) => Continue(request),
            Err(error) => Break(Aside::Answered(error.into_response())),
        }
    }

    /// What larder itself answers.
    async fn answer<R, B>(&self, aside: Aside) -> Response<Spliced>
    where
        S: Service<Request<RequestBody<R>>, Response = Response<B>, Error = Infallible> + Clone,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError> + Send,
    {
        match aside {
            Aside::Answered(answer) => answer,
            Aside::Own(route, head) => {
                let nothing = Either::Right(Nothing::new());
                self.own.answer(route, head, nothing).await
            }
            Aside::Purge(uri) => self.own.admin.purge(&uri).await,
        }
    }

    /// Refuses what may not be asked where the request came in.
    fn admit<R>(
        &self,
        route: Option<&Route>,
        purge: bool,
        entrance: Entrance,
        request: &mut Request<R>,
    ) -> Result<(), ApiError> {
        match route {
            Some(Route::Cache) => self.access.check(entrance, request),
            None if purge => self.access.check(entrance, request),
            None if entrance.serves == Serves::Controls => {
                let message = "There is no such path among the controls.";
                Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message))
            }
            _ => {
                self.access.keep_back(request.headers_mut());
                Ok(())
            }
        }
    }

    /// The request to the origin.
    fn forward<R: Body>(&self, request: Request<R>) -> Result<Request<RequestBody<R>>, ApiError> {
        let Some(origin) = &self.origin else {
            let message = "There is no such path, and larder was started without --origin.";
            return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message));
        };
        let request = forward::request(origin, request)?;
        Ok(request.map(|body| Either::Left(Checked::new(body, &self.own.unkeyed))))
    }
}

// === impl Forwarded ===

impl<S, F, B> Future for Forwarded<S, F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.answer.poll(cx));
        let response = match response.extensions().get::<Rescued>() {
            Some(_) => {
                if response.status() == StatusCode::REQUEST_TIMEOUT {
                    this.parts.own.bounds.met(Limit::Body);
                }
                response
            }
            None => forward::response(response),
        };
        Poll::Ready(Ok(response.map(Either::Right)))
    }
}

// === impl Own ===

impl<S> Own<S> {
    async fn answer<Q, B>(
        &self,
        route: Route,
        request: request::Parts,
        nothing: Q,
    ) -> Response<Spliced>
    where
        S: Service<Request<Q>, Response = Response<B>, Error = Infallible> + Clone,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError> + Send,
    {
        let read = matches!(request.method, Method::GET | Method::HEAD);
        match route {
            Route::Cache if request.method == Method::DELETE => {
                self.admin.delete(&request.uri).await
            }
            Route::Cache if read => self.explain.answer(request).await,
            Route::Cache => ApiError::method("GET, HEAD, DELETE").into_response(),
            _ if !read => ApiError::method(READ).into_response(),
            Route::Proxy => self.envelope.answer(request, nothing).await,
            Route::Metrics => self.metrics.answer(&request.headers),
            Route::Health => self.health.answer(),
            Route::OpenApi => self.docs.openapi(),
            Route::Docs(name) => self.docs.file(&name),
        }
    }
}

#[cfg(test)]
mod tests;
